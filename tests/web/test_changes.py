"""What every change leaves, and what no reading does."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import func, select

from elihu import Elihu
from elihu.accounts.models import AuditEntry
from elihu.api.crons import Crons
from elihu.api.jobs import Jobs
from elihu.api.templates import Templates
from elihu.commands.models import CommandJob, CommandJobEvent
from elihu.orm.sessions import Sessions
from elihu.web.pages.visits import PageRoute
from tests.web.conftest import BASE, PASSWORD, Clients, add_key, add_user
from tests.web.test_document import Client
from tests.web.test_roles import operations, routes

CHANGES_NOTHING = {"crons_preview_cron"}

Do = Callable[..., Awaitable[Any]]


@pytest.fixture
async def app(app: Elihu, monkeypatch: pytest.MonkeyPatch) -> Elihu:
    """An app with a task, and with what looks like a trigger, an executing job and an entry
    of code.
    """

    @app.task(name="render")
    async def render(invoice: int = 0) -> int:
        return invoice

    async def scan() -> SimpleNamespace:
        return SimpleNamespace(matched=1, enqueued=1, conflicts=0)

    options = SimpleNamespace(cron=None, queue="default", state="on")
    trigger = SimpleNamespace(
        name="close", model=Elihu, options=options, task_name="close", scan=scan,
        scan_task=SimpleNamespace(name="nightly"),
    )  # fmt: skip

    async def stop(_job_id: int) -> None:
        return None

    monkeypatch.setattr(app.triggers, "get", lambda _name: trigger)
    monkeypatch.setattr(app.jobs, "stop", stop)
    monkeypatch.setattr(app.crons, "reset", app.crons.get)
    return app


@pytest.fixture
async def done() -> set[str]:
    """The operations that were done."""
    return set()


@pytest.fixture
async def do(web: FastAPI, clients: Clients, sessions: Sessions, done: set[str]) -> Do:
    """Does an operation, which leaves an audit row."""
    admin = await add_user(sessions)
    client = await clients(authorization=f"Bearer {await add_key(sessions, admin, 'admin')}")
    call = Client(web.openapi(), client)

    async def rows() -> int:
        async with sessions.read() as session:
            return await session.scalar(select(func.count()).select_from(AuditEntry)) or 0

    async def act(name: str, body: Any = None, /, *, by: Client = call, **given: Any) -> Any:
        before = await rows()
        answer = await by(name, body, **given)
        assert await rows() > before, f"{name} left no audit row"
        done.add(name)
        return answer

    return act


async def failed(sessions: Sessions, run_id: UUID) -> UUID:
    """Let a run have failed. Returns the id of its event."""
    async with sessions.begin() as session:
        run = await session.get_one(CommandJob, run_id)
        run.status = "failed"
        event = CommandJobEvent(
            command_job_id=run_id, command_id=run.command_id, attempt=1, status="failed",
            stdout="", stderr="",
        )  # fmt: skip
        session.add(event)
    return event.id


async def commands(do: Do, sessions: Sessions) -> None:
    """Everything that people edit, and runs."""
    place = await do("environments_create_environment", {"name": "production"})
    command = await do("commands_create_command", {"name": "greet", "shell_command": "echo"})
    cron = await do("crons_create_cron", {"name": "hourly", "expression": "0 * * * *"})
    planned = {
        "command_id": command["id"], "environment_ids": [place["id"]], "cron_ids": [cron["id"]],
    }  # fmt: skip
    schedule = await do("schedules_create_schedule", planned)
    variable = await do("variables_create_variable", {"name": "REGION", "value": "eu"})
    target = {"name": "mail", "on": ["failed"], "channel": "email", "target": "a@example.org"}
    alert = await do("alerts_create_alert", target)
    await do("environments_change_environment", {"name": "live"}, id=place["id"])
    await do("commands_change_command", {"timeout": 5}, id=command["id"])
    await do("crons_change_cron", {"expression": "5 * * * *"}, id=cron["id"])
    await do("schedules_change_schedule", {"catch_up": "none"}, id=schedule["id"])
    await do("variables_change_variable", {"value": "us"}, id=variable["id"])
    await do("alerts_change_alert", {"name": "post"}, id=alert["id"])
    await do("alerts_test_alert", id=alert["id"])
    run = await do("commands_run_command", {}, id=command["id"])
    event = await failed(sessions, UUID(run["id"]))
    begun = [
        await do("commands_retry_last_failed", id=command["id"]),
        await do("events_retry_event", id=event),
        await do("commands_run_command", {"force": True}, id=command["id"]),
        await do(
            "commands_run_command_later", {"delay_seconds": 60, "force": True}, id=command["id"]
        ),
    ]
    for each in begun:
        await do("runs_kill_run", id=each["id"])
    text = 'version = 1\n[[environment]]\nname = "staging"\n'
    await do("commands_import_all", {"format": "toml", "text": text, "dry_run": False})
    await do("schedules_delete_schedule", id=schedule["id"])
    await do("variables_delete_variable", id=variable["id"])
    await do("alerts_delete_alert", id=alert["id"])
    await do("crons_delete_cron", id=cron["id"])
    await do("commands_delete_command", id=command["id"])
    await do("environments_delete_environment", id=place["id"])


async def jobs(do: Do) -> None:
    """The jobs of the package, their queues and their kinds."""
    job = await do("system_enqueue", {"task": "render", "args": {"invoice": 1}})
    await do("system_change_job", {"priority": 3}, id=job["id"])
    for verb in ("hold", "release", "kill", "stop", "cancel", "retry"):
        await do(f"system_{verb}_job", id=job["id"])
    await do("system_change_jobs", {"action": "cancel", "ids": [job["id"]]})
    await do("system_delete_job", id=job["id"])
    await do("system_start_queue", {"limit": 2}, name="default")
    await do("system_scale_queue", {"limit": 3}, name="default")
    await do("system_pause_queue", {"note": "moving"}, name="default")
    await do("system_resume_queue", name="default")
    await do("system_stop_queue", name="default")
    entry = {"name": "nightly", "cron": "0 3 * * *", "task": "render"}
    await do("system_create_entry", entry)
    await do("system_change_entry", {"priority": 2}, name="nightly")
    for verb in ("pause", "resume", "run", "reset"):
        await do(f"system_{verb}_entry", name="nightly")
    for verb in ("scan", "pause", "resume"):
        await do(f"system_{verb}_trigger", name="close")
    await do("system_delete_entry", name="nightly")
    kind = {"code": "bill", "name": "Bill", "task": "render", "schema": {"type": "object"}}
    await do("system_create_template", kind)
    await do("system_enqueue_template", {"context": {}}, code="bill")
    await do("system_change_template", {"name": "Bills"}, code="bill")
    await do("system_delete_template", code="bill")


async def people(do: Do, web: FastAPI, clients: Clients) -> None:
    """Users, keys, sessions and one's own choices."""
    bob = await do("users_add_user", {"name": "bob", "role": "edit", "password": PASSWORD})
    key = {"user_id": bob["id"], "name": "ci", "role": "run"}
    made = await do("keys_add_key", key)
    await do("keys_revoke_key", id=made["id"])
    browser = await clients(origin=BASE)
    by = Client(web.openapi(), browser)
    given = {"name": "bob", "password": PASSWORD}
    for change in (
        ("account_change_preferences", {"preferences": {"rows": 20}}),
        ("account_change_password", {"password": PASSWORD, "new_password": PASSWORD[::-1]}),
        ("session_end", None),
    ):  # fmt: skip
        begun = await do("session_begin", given, by=by)
        browser.headers["X-CSRF-Token"] = begun["csrf_token"]
        await do(change[0], change[1], by=by)
        if change[0].endswith("password"):
            given["password"] = PASSWORD[::-1]
    await do("users_change_user", {"role": "view"}, id=bob["id"])
    await do("users_sign_out_user", id=bob["id"])
    await do("users_delete_user", id=bob["id"])


async def test_every_change_leaves_an_audit_row(
    web: FastAPI, clients: Clients, sessions: Sessions, do: Do, done: set[str]
) -> None:
    await commands(do, sessions)
    await jobs(do)
    await people(do, web, clients)
    changing = {
        operation["operationId"] for method, _, operation in operations(web) if method != "GET"
    }
    assert changing - done == CHANGES_NOTHING


async def test_nothing_changes_by_get(
    web: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No page and no operation that is read begins a transaction that writes."""

    def begin(*_: object, **__: object) -> None:
        raise AssertionError("a reading begins a transaction that writes")

    monkeypatch.setattr(Sessions, "begin", begin)
    paths = [path for method, path, _ in operations(web) if method == "GET"]
    paths += [
        re.sub(r"\{[^}]*\}", "1", route.path)
        for route in routes(web)
        if isinstance(route, PageRoute) and "GET" in (route.methods or ())
    ]
    assert len(paths) > 80
    for path in paths:
        if not path.endswith("/stream"):
            assert (await client.get(path)).status_code < 500, path


# what is edited and listed


@pytest.fixture
async def admin(clients: Clients, sessions: Sessions) -> httpx.AsyncClient:
    """An admin's program."""
    user = await add_user(sessions)
    return await clients(authorization=f"Bearer {await add_key(sessions, user, 'admin')}")


ENTRY = {"name": "nightly", "cron": "0 3 * * *", "task": "render"}
KIND = {"code": "bill", "name": "Bill", "task": "render", "schema": {"type": "object"}}


WITH_DIGESTS = pytest.mark.parametrize(
    ("path", "key", "created", "change"),
    [
        ("system/crons", "name", ENTRY, {"priority": 2}),
        ("system/templates", "code", KIND, {"name": "Bills"}),
        ("system/jobs", "id", {"task": "render"}, {"priority": 2}),
        ("users", "id", {"name": "bob", "role": "view"}, {"role": "run"}),
    ],
)


def let_two_read_before_one_writes(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next two reads of what is behind a path end together."""
    kinds: dict[str, Any] = {
        "system/crons": Crons, "system/templates": Templates, "system/jobs": Jobs,
    }  # fmt: skip
    kind = kinds.get(path)
    if kind is None:
        return  # users are locked before they are read
    get, both, waiting = kind.get, asyncio.Barrier(2), [True, True]

    async def read(self: Any, *given: Any) -> Any:
        found = await get(self, *given)
        if waiting and waiting.pop():
            await both.wait()
        return found

    monkeypatch.setattr(kind, "get", read)


@WITH_DIGESTS
@pytest.mark.parametrize("second", ["PATCH", "DELETE"])
async def test_of_two_who_change_it_at_once_one_wins(
    admin: httpx.AsyncClient,
    path: str,
    key: str,
    created: Any,
    change: Any,
    second: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = (await admin.post(f"/api/{path}", json=created)).json()
    where = f"/api/{path}/{made[key]}"
    read = {"If-Match": (await admin.get(where)).headers["etag"]}
    let_two_read_before_one_writes(path, monkeypatch)
    body: dict[str, Any] = {"json": change} if second == "PATCH" else {}
    answers = await asyncio.gather(
        admin.patch(where, json=change, headers=read),
        admin.request(second, where, headers=read, **body),
    )
    (lost,) = (answer.status_code for answer in answers if answer.status_code >= 300)
    assert lost in ({412} if second == "PATCH" else {412, 404})


@WITH_DIGESTS
async def test_who_read_an_older_state_neither_changes_nor_deletes(
    admin: httpx.AsyncClient, path: str, key: str, created: Any, change: Any
) -> None:
    made = (await admin.post(f"/api/{path}", json=created)).json()
    where = f"/api/{path}/{made[key]}"
    old = {"If-Match": (await admin.get(where)).headers["etag"]}
    changed = await admin.patch(where, json=change, headers=old)
    assert changed.status_code == 200, changed.text
    lost = await admin.patch(where, json=change, headers=old)
    assert lost.status_code == 412
    assert lost.json()["given"] == change
    name, value = next(iter(change.items()))
    assert lost.json()["current"][name] == value
    assert (await admin.delete(where, headers=old)).status_code == 412
    new = {"If-Match": changed.headers["etag"]}
    assert (await admin.delete(where, headers=new)).status_code == 204
    assert (await admin.get(where)).status_code == 404


async def test_users_and_keys_come_in_pages(admin: httpx.AsyncClient, sessions: Sessions) -> None:
    bob = await add_user(sessions, "Bob", "view")
    for _ in range(2):
        await add_key(sessions, bob, "view")
    first = (await admin.get("/api/users", params={"limit": 1})).json()
    rest = {"limit": 1, "after": first["next"]}
    second = (await admin.get("/api/users", params=rest)).json()
    assert [user["name"] for page in (first, second) for user in page["items"]] == ["ann", "Bob"]
    assert second["next"] is None
    query = {"user_id": str(bob.id), "limit": "1"}
    first = (await admin.get("/api/keys", params=query)).json()
    second = (await admin.get("/api/keys", params=query | {"after": first["next"]})).json()
    assert len({key["id"] for page in (first, second) for key in page["items"]}) == 2
    assert second["next"] is None


async def test_a_key_makes_no_key_for_more_than_its_areas(
    clients: Clients, sessions: Sessions
) -> None:
    user = await add_user(sessions)
    text = await add_key(sessions, user, "admin", areas=["keys", "runs"])
    client = await clients(authorization=f"Bearer {text}")
    given: dict[str, Any] = {"user_id": str(user.id), "name": "more", "role": "admin"}
    for areas in (None, ["system"], ["runs", "users"]):
        refused = await client.post("/api/keys", json=given | {"areas": areas})
        assert refused.status_code == 422, areas
        assert refused.json()["errors"][0]["field"] == "areas"
    made = await client.post("/api/keys", json=given | {"areas": ["runs"]})
    assert made.status_code == 201


@pytest.mark.parametrize("step", [60, 86_400])
async def test_each_step_of_throughput_is_taken(client: httpx.AsyncClient, step: int) -> None:
    query: dict[str, str | int] = {
        "since": "2026-11-30T00:00:00Z",
        "until": "2026-11-30T01:00:00Z",
        "step": step,
    }
    answer = await client.get("/api/system/throughput", params=query)
    assert answer.status_code == 200, answer.text
    wrong = await client.get("/api/system/throughput", params=query | {"step": step + 1})
    assert wrong.json()["errors"][0]["field"] == "step"


async def test_a_body_that_is_no_json_is_told_so(client: httpx.AsyncClient) -> None:
    kind = {"Content-Type": "application/json"}
    answer = await client.post("/api/environments", content=b"{bad", headers=kind)
    assert answer.json()["errors"] == [{"field": "body", "detail": "JSON decode error"}]


async def test_the_note_of_a_pause_is_in_the_audit(client: httpx.AsyncClient) -> None:
    path = "/api/system/queues/default/pause"
    assert (await client.post(path, json={"note": "the server moves"})).status_code == 200
    entry = (await client.get("/api/audit", params={"kind": "queue"})).json()["items"][0]
    assert entry["after"] == {"node": None, "note": "the server moves"}
