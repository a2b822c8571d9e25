"""Each attack fails, and succeeds on a build from which the defence was taken: a test of an
attack that could not fail would show nothing. SQLite alone: the defences know no engine.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from elihu import Elihu, UserExists
from elihu.commands.secrets import new_key
from elihu.orm.sessions import Sessions
from elihu.web import guard, streams
from tests.web import weak_builds as weak
from tests.web.conftest import BASE, PASSWORD, Clients, add_key, add_user
from tests.web.conftest import sign_in as signed
from tests.web.test_commands import made
from tests.web.test_streams import opened
from tests.web.weak_builds import Site

PAUSE = "/api/system/queues/default/pause"
SECRET = "hunter2-is-no-password"
PER_USER = streams.PER_USER
EVIL = "https://evil.example"


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Elihu]:
    """An app with all tables and a key for secrets."""
    async with Elihu(f"sqlite:///{tmp_path}/web.db", secret_key=new_key()) as app:
        await app.migrate("commands")
        await app.migrate("accounts")
        yield app


async def user(site: Site, name: str, role: str) -> Any:
    """A user, who may be there from the attack before."""
    try:
        return await add_user(site.sessions, name, role)
    except UserExists:
        return None


async def key(site: Site, role: str) -> str:
    """The header of a program with a key of a new user."""
    holder = await add_user(site.sessions, f"{role} {uuid4()}", role)
    return f"Bearer {await add_key(site.sessions, holder, role)}"


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
    """Eve plants her session in the browser of Ann, who signs in: Eve is Ann then."""
    await user(site, "ann", "admin")
    await user(site, "eve", "view")
    given = {"name": "ann", "password": PASSWORD}
    names = set()
    for path in ("/api/session", "/login"):
        eve = await site.clients()
        await signed(eve, "eve")
        ann = await site.clients(
            cookie=f"elihu_session={eve.cookies['elihu_session']}", origin=BASE
        )
        body: dict[str, Any] = {"data": given} if path == "/login" else {"json": given}
        answer = await ann.post(path, **body)
        assert answer.status_code in {200, 303}
        names.add((await eve.get("/api/session")).json()["name"])
    assert names in ({None}, {"ann"})
    return "ann" in names


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
    client = await site.clients(authorization=await key(site, "view"))
    return (await client.post(PAUSE)).status_code == 200


async def path_in_a_name(site: Site) -> bool:
    """A file of the server beside those that it gives away."""
    client = await site.clients()
    assert (await client.get("/static/style.css")).status_code == 200
    answer = await client.get("/static/..%2f..%2faccounts%2ftokens.py")
    assert answer.status_code in {200, 404}
    return "def form_token" in answer.text


async def injected_header(site: Site) -> bool:
    """A path of the client, in the header of an answer, sets the victim's cookie."""
    await user(site, "ann", "admin")
    client = await site.clients(origin=BASE)
    given = {"name": "ann", "password": PASSWORD, "next": "/runs\r\nSet-Cookie: planted=1"}
    request = client.build_request("POST", "/login", data=given)
    transport = httpx.ASGITransport(site.web, client=("127.0.0.1", 1))
    answer = await transport.handle_async_request(request)
    assert answer.status_code == 303
    lines = b"\r\n".join(b"%s: %s" % header for header in answer.headers.raw).split(b"\r\n")
    return any(line.lower().startswith(b"set-cookie: planted") for line in lines)


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
    """Ann, from one address after another, holds so many streams that Bob gets none."""
    site.patch.setattr(guard.Rates, "wait", lambda _self, _address: 0.0)
    site.patch.setattr(streams, "MOST", PER_USER + 10)
    path = "/api/stream?topic=nodes"
    ann, bob = [{"authorization": await key(site, "view")} for _ in range(2)]
    async with AsyncExitStack() as stack:
        for number in range(1_000):
            stream = await stack.enter_async_context(
                opened(site.web, path, address=f"192.0.2.{number % 250}", status=None, **ann)
            )
            if stream.status != 200:
                break
        theirs = await stack.enter_async_context(opened(site.web, path, status=None, **bob))
        assert theirs.status in {200, 503}
        return theirs.status == 503


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


Attack = Callable[[Site], Awaitable[bool]]
ATTACKS: list[tuple[Attack, Callable[[Site], None]]] = [
    (rebinding, weak.no_host_check),
    (form_of_another_site, weak.no_origin_check),
    (simple_request, weak.no_kind_check),
    (form_without_token, weak.no_token_check),
    (stolen_cookie, weak.plain_cookie),
    (fixed_session, weak.kept_session),
    (guessed_password, weak.no_sign_in_limit),
    (stream_without_sign_in, weak.everybody_is_admin),
    (role_too_small, weak.all_roles_are_one),
    (path_in_a_name, weak.files_by_path),
    (injected_header, weak.headers_as_given),
    (slow_body, weak.patient),
    (large_body, weak.any_size),
    (many_requests, weak.any_rate),
    (thousand_streams, weak.any_number),
    (secret_in_the_api, weak.secrets_are_texts),
    (secret_in_the_audit, weak.audited_secrets),
    (secret_in_an_error, weak.errors_that_tell),
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
