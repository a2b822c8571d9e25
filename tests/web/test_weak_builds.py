"""Each attack fails, and succeeds on a build from which the defence was taken: a test of an
attack that could not fail would show nothing. SQLite alone: the defences know no engine.
"""

import asyncio
import importlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from fastapi import FastAPI
from starlette.responses import Response

from elihu import Elihu, UserExists
from elihu.accounts import audit, sign_in, signed_in
from elihu.accounts.roles import Actor, Role
from elihu.commands.secrets import new_key
from elihu.orm.sessions import Sessions
from elihu.web import auth, guard, problems, streams
from elihu.web.pages import static_files
from tests.web.conftest import BASE, PASSWORD, Clients, add_key, add_user
from tests.web.conftest import sign_in as signed
from tests.web.test_commands import made
from tests.web.test_streams import opened

PAUSE = "/api/system/queues/default/pause"
SECRET = "hunter2-is-no-password"
EVIL = "https://evil.example"


class Site(NamedTuple):
    """What an attacker, and who set the server up, can reach."""

    web: FastAPI
    clients: Clients
    sessions: Sessions
    patch: pytest.MonkeyPatch


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Elihu]:
    """An app with all tables and a key for secrets."""
    async with Elihu(f"sqlite:///{tmp_path}/web.db", secret_key=new_key()) as app:
        await app.migrate("commands")
        await app.migrate("accounts")
        yield app


def module(name: str) -> Any:
    return importlib.import_module(f"elihu.web.api.{name}")


async def user(site: Site, name: str, role: str) -> Any:
    """A user, who may be there from the attack before."""
    try:
        return await add_user(site.sessions, name, role)
    except UserExists:
        return None


async def key(site: Site, role: str) -> httpx.AsyncClient:
    """A program with a key of a new user."""
    holder = await add_user(site.sessions, f"{role} {len(ATTACKS)} {id(object())}", role)
    text = await add_key(site.sessions, holder, role)
    return await site.clients(authorization=f"Bearer {text}")


# the attacks: True where they succeed


async def rebinding(site: Site) -> bool:
    client = await site.clients(host="evil.example")
    return (await client.get("/api/system/jobs")).status_code == 200


async def form_of_another_site(site: Site) -> bool:
    kind = "application/x-www-form-urlencoded"
    client = await site.clients(origin=EVIL, content_type=kind)
    return (await client.post(PAUSE, content=b"")).status_code == 200


async def simple_request(site: Site) -> bool:
    client = await site.clients(content_type="text/plain")
    return (await client.post(PAUSE, content=b"")).status_code == 200


async def form_without_token(site: Site) -> bool:
    await user(site, "ann", "admin")
    client = await site.clients()
    await signed(client)
    return (await client.post(PAUSE, headers={"Origin": BASE})).status_code == 200


async def stolen_cookie(site: Site) -> bool:
    """A script, or a page of another site, gets the cookie."""
    await user(site, "ann", "admin")
    client = await site.clients(base="https://localhost")
    given = {"name": "ann", "password": PASSWORD}
    answer = await client.post("/api/session", json=given, headers={"Origin": "https://localhost"})
    cookie = answer.headers["set-cookie"].lower()
    return not all(flag in cookie for flag in ("httponly", "samesite=lax", "secure", "__host-"))


async def fixed_session(site: Site) -> bool:
    """The attacker plants a session in the browser of another user, who signs in."""
    await user(site, "ann", "admin")
    await user(site, "eve", "view")
    eve = await site.clients()
    await signed(eve, "eve")
    fixed = eve.cookies["elihu_session"]
    ann = await site.clients(cookie=f"elihu_session={fixed}")
    given = {"name": "ann", "password": PASSWORD}
    await ann.post("/api/session", json=given, headers={"Origin": BASE})
    return (await eve.get("/api/session")).json()["name"] is not None


async def guessed_password(site: Site) -> bool:
    await user(site, "ann", "admin")
    client = await site.clients()
    guesses = [*(f"wrong password {number}" for number in range(8)), PASSWORD]
    for guess in guesses:
        given = {"name": "ann", "password": guess}
        answer = await client.post("/api/session", json=given, headers={"Origin": BASE})
        if answer.status_code == 200:
            return True
    return False


async def stream_without_sign_in(site: Site) -> bool:
    await user(site, "ann", "admin")
    client = await site.clients(address="192.0.2.7")
    answer = await client.get("/api/stream/poll", params={"topic": "overview"})
    return answer.status_code == 200


async def role_too_small(site: Site) -> bool:
    return (await (await key(site, "view")).post(PAUSE)).status_code == 200


async def path_in_a_name(site: Site) -> bool:
    client = await site.clients()
    answer = await client.get("/static/..%2f..%2faccounts%2ftokens.py")
    return "def form_token" in answer.text


async def injected_header(site: Site) -> bool:
    """A name of a file, in the header of a download."""
    client = await site.clients()
    answer = await client.get("/api/runs/x%0d%0aSet-Cookie:a=b/output/raw")
    return "set-cookie" in str(answer.headers).lower()


async def slow_body(site: Site) -> bool:
    """The request holds its place for longer than a second."""
    client, gone = await site.clients(content_type="application/json"), asyncio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b"{"
        await gone.wait()

    asking = asyncio.create_task(client.post("/api/system/jobs/bulk", content=parts()))
    done, _ = await asyncio.wait([asking], timeout=1.0)
    gone.set()
    await asyncio.wait([asking])
    return not done


async def large_body(site: Site) -> bool:
    client = await site.clients(content_type="application/json")
    answer = await client.post("/api/system/jobs/bulk", content=b" " * 2_000_000)
    return answer.status_code != 413


async def many_requests(site: Site) -> bool:
    client = await site.clients(address="192.0.2.9")
    begun, number, allowed = time.monotonic(), 0, float(guard.BURST)
    while number < allowed + 20:
        if (await client.get("/livez")).status_code == 429:
            return False
        number += 1
        allowed = guard.BURST + guard.RATE * (time.monotonic() - begun)
    return True


async def thousand_streams(site: Site) -> bool:
    """More streams than one may have are open at once."""
    client = await site.clients()
    async with AsyncExitStack() as stack:
        for number in range(1_000):
            if number >= 20:
                refused = await client.get("/api/stream", params={"topic": "nothing"})
                if (await _full(site)) or refused.status_code == 429:
                    return False
            await stack.enter_async_context(opened(site.web, "/api/stream?topic=nodes"))
            if site.web.state.elihu.streams.open > 40:
                return True
    return False


async def _full(site: Site) -> bool:
    try:
        with site.web.state.elihu.streams.place("loopback local 127.0.0.1"):
            return False
    except problems.Problem:
        return True


async def secret_in_the_api(site: Site) -> bool:
    client = await site.clients()
    variables = (await client.get("/api/variables")).json()["items"]
    if not variables:
        variables = [await made(client, "variables", name="TOKEN", secret=SECRET)]
    where = f"/api/variables/{variables[0]['id']}"
    changed = await client.patch(where, json={"secret": SECRET + "2"})
    lost = await client.patch(where, json={"secret": SECRET}, headers={"If-Match": '"1"'})
    assert (changed.status_code, lost.status_code) == (200, 412)
    return SECRET in changed.text + lost.text


async def secret_in_the_audit(site: Site) -> bool:
    await secret_in_the_api(site)
    admin = await site.clients()
    return SECRET in (await admin.get("/api/audit", params={"kind": "variable"})).text


async def secret_in_an_error(site: Site) -> bool:
    async def fail(**_: object) -> None:
        raise RuntimeError(SECRET)

    site.patch.setattr(site.web.state.elihu.app.jobs, "summaries", fail)
    transport = httpx.ASGITransport(site.web, client=("127.0.0.1", 1), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as client:
        return SECRET in (await client.get("/api/system/jobs")).text


# the weak builds


def no_host_check(site: Site) -> None:
    site.patch.setattr(guard, "_is_allowed", lambda _given, _hosts: True)
    site.patch.setattr(auth, "host_name", lambda _host: "localhost")


def no_origin_check(site: Site) -> None:
    site.patch.setattr(guard.Guard, "_forged", lambda *_: None)


def no_kind_check(site: Site) -> None:
    no_origin_check(site)
    site.patch.setattr(auth, "_is_simple", lambda _request: False)


def no_token_check(site: Site) -> None:
    site.patch.setattr(auth, "check_form", lambda *_: None)


def plain_cookie(site: Site) -> None:
    def keep(_request: Any, response: Response, token: str) -> None:
        response.set_cookie(auth.PLAIN_COOKIE, token)

    site.patch.setattr(module("session"), "keep_session", keep)


def kept_session(site: Site) -> None:
    """A sign-in ends no session, as if the token before were used on."""

    async def end(*_: object) -> bool:
        return False

    site.patch.setattr(signed_in, "end", end)


def no_sign_in_limit(site: Site) -> None:
    async def counted(*_: object) -> None:
        return None

    site.patch.setattr(sign_in, "_counted", counted)


def everybody_is_admin(site: Site) -> None:
    async def find(_connection: object) -> Actor:
        return Actor("nobody", Role.ADMIN, "loopback")

    site.patch.setattr(auth, "find_actor", find)


def all_roles_are_one(site: Site) -> None:
    site.patch.setattr(Role, "allows", lambda _self, _role: True)


def files_by_path(site: Site) -> None:
    folder = Path(static_files.__file__).parents[1] / "static"

    async def asgi(scope: Any, receive: Any, send: Any, _before: Any = site.web.router) -> None:
        path = scope.get("path", "")
        if path.startswith("/static/"):
            name = path.removeprefix("/static/")
            await Response((folder / name).read_bytes())(scope, receive, send)
            return
        await _before(scope, receive, send)

    site.patch.setattr(site.web, "middleware_stack", asgi)


def header_of_the_path(site: Site) -> None:
    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        lines = scope["path"].split("\r\n")[1:]
        headers = dict(line.split("/")[0].split(":", 1) for line in lines)
        await Response(headers=headers)(scope, receive, send)

    site.patch.setattr(site.web, "middleware_stack", asgi)


def patient(site: Site) -> None:
    site.patch.setattr(guard, "BODY_TIMEOUT", 3_600.0)


def any_size(site: Site) -> None:
    site.patch.setattr(guard, "LARGEST_BODY", 10**9)


def any_rate(site: Site) -> None:
    site.patch.setattr(guard.Rates, "wait", lambda _self, _address: 0.0)


def any_number(site: Site) -> None:
    site.patch.setattr(streams, "PER_USER", 10_000)


def secrets_are_texts(site: Site) -> None:
    site.patch.setattr(module("editing"), "_SECRETS", frozenset())


def audited_secrets(site: Site) -> None:
    before = module("editing")._plain

    def plain(shown: Any, given: Any, **options: Any) -> dict[str, Any]:
        added = {} if options else given
        return {**before(shown, given, **options), **added}

    site.patch.setattr(module("editing"), "_plain", plain)
    site.patch.setattr(audit, "_SECRET", frozenset())


def errors_that_tell(site: Site) -> None:
    async def failed(_request: Any, error: Exception) -> Response:
        return Response(str(error), status_code=500)

    site.web.exception_handlers[Exception] = failed
    site.web.middleware_stack = None


Attack = Callable[[Site], Awaitable[bool]]
ATTACKS: list[tuple[Attack, Callable[[Site], None]]] = [
    (rebinding, no_host_check),
    (form_of_another_site, no_origin_check),
    (simple_request, no_kind_check),
    (form_without_token, no_token_check),
    (stolen_cookie, plain_cookie),
    (fixed_session, kept_session),
    (guessed_password, no_sign_in_limit),
    (stream_without_sign_in, everybody_is_admin),
    (role_too_small, all_roles_are_one),
    (path_in_a_name, files_by_path),
    (injected_header, header_of_the_path),
    (slow_body, patient),
    (large_body, any_size),
    (many_requests, any_rate),
    (thousand_streams, any_number),
    (secret_in_the_api, secrets_are_texts),
    (secret_in_the_audit, audited_secrets),
    (secret_in_an_error, errors_that_tell),
]


@pytest.mark.parametrize(
    ("attack", "weaken"), ATTACKS, ids=[attack.__name__ for attack, _ in ATTACKS]
)
async def test_an_attack_fails_and_would_succeed_without_its_defence(
    attack: Attack,
    weaken: Callable[[Site], None],
    web: FastAPI,
    clients: Clients,
    sessions: Sessions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site = Site(web, clients, sessions, monkeypatch)
    monkeypatch.setattr("elihu.web.context.LOOK_AGAIN", 0.0)
    monkeypatch.setattr(guard, "BODY_TIMEOUT", 0.2)
    assert not await attack(site)
    weaken(site)
    assert await attack(site)
