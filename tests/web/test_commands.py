"""Commands and what belongs to them over the API: edit, run, watch, kill."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi import FastAPI

from elihu import Elihu
from elihu.commands.scheduler import CommandScheduler
from elihu.commands.secrets import new_key

pytestmark = pytest.mark.sqlite_first

SECRET = "hunter2-is-no-password"


@pytest.fixture
async def app(database_url: str, tables: None, schema: str) -> Any:
    """An app with all tables and a key for secrets."""
    async with Elihu(database_url, schema=schema, secret_key=new_key()) as app:
        yield app


async def made(client: httpx.AsyncClient, path: str, **values: Any) -> dict[str, Any]:
    """What a POST stored."""
    answer = await client.post(f"/api/{path}", json=values)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def scheduled(client: httpx.AsyncClient, text: str = "echo hello") -> dict[str, Any]:
    """A command with an environment."""
    environment = await made(client, "environments", name="production")
    command = await made(client, "commands", name="greet", shell_command=text)
    cron = await made(client, "crons", name="yearly", expression="0 0 1 1 *")
    await made(
        client, "schedules", command_id=command["id"], environment_ids=[environment["id"]],
        cron_ids=[cron["id"]],
    )  # fmt: skip
    return command


EDITED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("environments", {"name": "production"}, {"enabled": False}),
    ("commands", {"name": "greet", "shell_command": "echo hi"}, {"timeout": 5.0}),
    ("crons", {"name": "hourly", "expression": "0 * * * *"}, {"timezone": "Europe/Oslo"}),
    ("variables", {"name": "REGION", "value": "eu"}, {"description": "where"}),
    (
        "alerts",
        {"name": "mail", "on": ["failed"], "channel": "email", "target": "a@example.org"},
        {"enabled": False},
    ),
]


@pytest.mark.parametrize(("path", "new", "change"), EDITED)
async def test_what_people_edit_is_stored_shown_changed_and_deleted(
    client: httpx.AsyncClient, path: str, new: dict[str, Any], change: dict[str, Any]
) -> None:
    stored = await made(client, path, **new)
    where = f"/api/{path}/{stored['id']}"
    shown = await client.get(where)
    assert shown.json() == stored
    assert shown.headers["etag"] == '"1"'
    changed = await client.patch(where, json=change, headers={"If-Match": '"1"'})
    assert changed.status_code == 200, changed.text
    assert changed.headers["etag"] == '"2"'
    assert changed.json() == stored | change | {
        "version": 2,
        "updated_at": changed.json()["updated_at"],
    }
    assert [item["id"] for item in (await client.get(f"/api/{path}")).json()["items"]] == [
        stored["id"]
    ]
    assert (await client.delete(where)).status_code == 204
    assert (await client.get(where)).status_code == 404


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_a_lost_update_is_refused_and_tells_both_texts(
    client: httpx.AsyncClient, method: str
) -> None:
    command = await made(client, "commands", name="greet", shell_command="echo 1")
    where = f"/api/commands/{command['id']}"
    await client.patch(where, json={"shell_command": "echo 2"})
    body = {"json": {"shell_command": "echo 3"}} if method == "PATCH" else {}
    lost = await client.request(method, where, headers={"If-Match": '"1"'}, **body)  # type: ignore[arg-type]
    assert lost.status_code == 412
    assert lost.json()["current"]["shell_command"] == "echo 2"
    assert lost.json()["given"] == body.get("json", {})
    assert (await client.get(where)).json()["shell_command"] == "echo 2"
    assert (await client.patch(where, json={}, headers={"If-Match": "x"})).status_code == 412


@pytest.mark.parametrize(
    ("path", "values", "field"),
    [
        ("commands", {"name": "", "shell_command": "x"}, "name"),
        ("commands", {"name": "a", "shell_command": "x", "timeout": -1}, "timeout"),
        ("commands", {"name": "a", "shell_command": "x\0y"}, "shell_command"),
        ("commands", {"name": "a", "shell_command": "x", "surprise": 1}, "surprise"),
        ("crons", {"name": "a", "expression": "61 * * * *"}, "expression"),
        ("crons", {"name": "a", "expression": "0 0 30 2 *"}, "expression"),
        ("variables", {"name": "LD_PRELOAD", "value": "x"}, "name"),
        ("variables", {"name": "A", "value": "1", "secret": "2"}, "value"),
        ("schedules", {"command_id": "nothing"}, "command_id"),
    ],
)
async def test_bad_values_name_their_field_and_store_nothing(
    client: httpx.AsyncClient, path: str, values: dict[str, Any], field: str
) -> None:
    refused = await client.post(f"/api/{path}", json=values)
    assert refused.status_code == 422, refused.text
    assert field in {each["field"] for each in refused.json()["errors"]}
    assert (await client.get(f"/api/{path}")).json()["items"] == []


async def test_a_name_in_use_is_a_conflict(client: httpx.AsyncClient) -> None:
    await made(client, "environments", name="Production")
    again = await client.post("/api/environments", json={"name": "production"})
    assert again.status_code == 409
    assert again.json()["code"] == "NameTaken"


async def test_a_secret_is_in_no_answer_and_no_audit_row(
    web: FastAPI, client: httpx.AsyncClient
) -> None:
    environment = await made(client, "environments", name="production")
    variable = await made(client, "variables", name="TOKEN", secret=SECRET)
    assert variable["value"] is None
    assert variable["is_secret"]
    where = f"/api/variables/{variable['id']}"
    await client.patch(where, json={"secret": SECRET + "2"})
    lost = await client.patch(where, json={"secret": SECRET}, headers={"If-Match": '"1"'})
    alert = await client.post(
        "/api/alerts",
        json={
            "name": "hook", "on": ["failed"], "channel": "webhook",
            "target": "https://example.org/", "secret": SECRET,
        },
    )  # fmt: skip
    assert alert.status_code == 201
    seen = f"/api/environments/{environment['id']}/variables"
    paths = [where, "/api/variables", "/api/alerts", "/api/audit", seen]
    texts = [(await client.get(path)).text for path in paths] + [lost.text, alert.text]
    assert lost.status_code == 412
    assert not [text for text in texts if SECRET in text]
    changes = (await client.get("/api/audit", params={"kind": "variable"})).json()["items"]
    assert [change["after"].get("secret") for change in changes] == ["hidden", "hidden"]
    assert '"TOKEN"' in texts[4]


async def test_a_run_is_started_once_for_each_key(client: httpx.AsyncClient) -> None:
    command = await scheduled(client)
    where = f"/api/commands/{command['id']}/run"
    again = {"Idempotency-Key": "one"}
    first = await client.post(where, json={}, headers=again)
    assert first.status_code == 201
    assert first.json()["status"] == "queued"
    second = await client.post(where, json={}, headers=again)
    assert second.json() == first.json()
    other = await client.post(where, json={"force": True}, headers=again)
    assert other.status_code == 422
    third = await client.post(where, json={}, headers={"Idempotency-Key": "two"})
    assert third.json()["status"] == "skipped"
    assert len((await client.get("/api/runs")).json()["items"]) == 2


async def test_requests_with_one_key_at_once_start_one_run(client: httpx.AsyncClient) -> None:
    command = await scheduled(client)
    answers = await asyncio.gather(
        *(
            client.post(
                f"/api/commands/{command['id']}/run",
                json={"force": True},
                headers={"Idempotency-Key": "same"},
            )
            for _ in range(5)
        )
    )
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len((await client.get("/api/runs")).json()["items"]) == 1


async def test_what_cannot_run_is_a_conflict_or_not_there(client: httpx.AsyncClient) -> None:
    command = await made(client, "commands", name="alone", shell_command="true")
    alone = await client.post(f"/api/commands/{command['id']}/run")
    assert alone.status_code == 409
    assert alone.json()["detail"] == "command has no scheduled environments"
    nothing = str(uuid4())
    for path in (f"commands/{nothing}/run", f"runs/{nothing}/kill", f"events/{nothing}/retry"):
        assert (await client.post(f"/api/{path}")).status_code == 404
    soon = await client.post(f"/api/commands/{command['id']}/run_in", json={"delay_seconds": 0})
    assert soon.status_code == 422


async def test_a_later_run_waits_and_is_killed(client: httpx.AsyncClient) -> None:
    command = await scheduled(client)
    run = (
        await client.post(f"/api/commands/{command['id']}/run_in", json={"delay_seconds": 3_600})
    ).json()
    assert run["source"] == "later"
    killed = await client.post(f"/api/runs/{run['id']}/kill")
    assert killed.json()["status"] == "cancelled"
    found = (await client.get("/api/runs", params={"status": ["cancelled", "failed"]})).json()
    assert [each["id"] for each in found["items"]] == [run["id"]]
    assert (await client.get("/api/runs", params={"since": "2030-01-01"})).status_code == 422
    actions = [row["action"] for row in (await client.get("/api/audit")).json()["items"]]
    assert actions[:2] == ["run.kill", "command.run_in"]


async def test_an_expression_is_explained(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/api/crons/preview",
        json={"expression": "30 2 * * *", "timezone": "Europe/Oslo", "count": 2,
              "after": "2030-03-30T12:00:00Z"},
    )  # fmt: skip
    shown = answer.json()
    assert [tick["shift"] for tick in shown["ticks"]] == ["skipped", None]
    assert shown["description"]
    wrong = await client.post("/api/crons/preview", json={"expression": "* * * *"})
    assert wrong.status_code == 422
    assert wrong.json()["errors"][0]["field"] == "expression"


async def test_the_overview_shows_what_is_next(client: httpx.AsyncClient) -> None:
    command = await scheduled(client)
    await made(client, "crons", name="minutely", expression="* * * * *")
    await client.post(f"/api/commands/{command['id']}/run")
    shown = (await client.get("/api/overview")).json()
    assert shown["counts"]["runs"]["queued"] == 1
    assert [each["command_name"] for each in shown["upcoming"]] == ["greet"]
    ahead = (await client.get("/api/overview/ahead")).json()
    assert len(ahead["starts"]) == 48


def sse(text: str) -> list[tuple[str, str, Any]]:
    """The events in a stream: id, name and data."""
    found = []
    for part in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in part.splitlines() if ": " in line)
        if "event" in fields:
            found.append((fields["id"], fields["event"], json.loads(fields["data"])))
    return found


async def test_a_run_is_watched_to_its_end_and_resumed(
    app: Elihu, client: httpx.AsyncClient
) -> None:
    scheduler = CommandScheduler(app)
    command = await scheduled(client, "echo one; printf 'b\\303\\251\\377' >&2; sleep 0.5; exit 3")
    async with scheduler, app.running(queues=scheduler.queues):
        run = (await client.post(f"/api/commands/{command['id']}/run")).json()
        where = f"/api/runs/{run['id']}"
        async with asyncio.timeout(40):
            text = (await client.get(f"{where}/output/stream", timeout=40)).text
    found = sse(text)
    assert found[-1][1:] == ("end", {"status": "failed", "exit_code": 3})
    chunks = [each for each in found if each[1] == "chunk"]
    texts: dict[str, str] = {}
    for _, _, data in chunks:
        texts[data["stream"]] = texts.get(data["stream"], "") + data["text"]
    assert texts == {"stdout": "one\n", "stderr": "bé\ufffd"}
    assert [data["status"] for _, name, data in found if name == "run"][-1] == "failed"
    rest = sse(
        (await client.get(f"{where}/output/stream", headers={"Last-Event-ID": chunks[-1][0]})).text
    )
    assert [name for _, name, _ in rest] == ["run", "end"]
    page = (await client.get(f"{where}/output")).json()
    assert page["ended"]
    assert "".join(item["text"] for item in page["items"] if item["stream"] == "stdout") == "one\n"
    raw = await client.get(f"{where}/output/raw")
    assert b"one\n" in raw.content
    assert b"\xff" in raw.content
    assert raw.headers["content-disposition"].startswith("attachment")
    event = (await client.get("/api/events", params={"run_id": run["id"]})).json()["items"][0]
    assert (event["status"], event["exit_code"]) == ("failed", 3)
    again = await client.post(f"/api/events/{event['id']}/retry")
    assert (again.status_code, again.json()["source"]) == (201, "retry")
    concerns = (await client.get("/api/overview")).json()["concerns"]
    assert [(each["command_name"], each["runs"]) for each in concerns] == [("greet", 1)]


@pytest.mark.parametrize(
    "place", ["x", "1", "1.2.3", "99999999999.1", "-1.0", "1.x", "1." + "9" * 30]
)
async def test_a_bad_place_is_refused(client: httpx.AsyncClient, place: str) -> None:
    path = f"/api/runs/{uuid4()}/output"
    assert (await client.get(path, params={"after": place})).status_code == 422
    stream = await client.get(f"{path}/stream", headers={"Last-Event-ID": place})
    assert stream.status_code == 422


async def test_what_is_set_up_is_exported_and_imported(client: httpx.AsyncClient) -> None:
    await scheduled(client)
    exported = await client.get("/api/transfer")
    assert exported.headers["content-type"].startswith("application/toml")
    changed = exported.text.replace("echo hello", "echo bye")
    given = {"format": "toml", "text": changed}
    dry = (await client.post("/api/transfer", json=given)).json()
    assert not dry["stored"]
    assert [
        (each["action"], each["kind"], each["after"])
        for each in dry["changes"]
        if each["action"] != "unchanged"
    ] == [("updated", "command", {"shell_command": "echo bye"})]
    commands = (await client.get("/api/commands")).json()["items"]
    assert commands[0]["shell_command"] == "echo hello"
    stored = (await client.post("/api/transfer", json=given | {"dry_run": False})).json()
    assert stored["stored"]
    commands = (await client.get("/api/commands")).json()["items"]
    assert commands[0]["shell_command"] == "echo bye"
    wrong = await client.post("/api/transfer", json=given | {"text": "no = toml = at all"})
    assert wrong.status_code == 422


async def test_a_crontab_is_imported(client: httpx.AsyncClient) -> None:
    text = "API_TOKEN=hunter22\n0 5 * * * backup --all\n61 * * * * wrong\n"
    given = {"format": "crontab", "text": text, "dry_run": False, "timezone": "Europe/Oslo"}
    shown = (await client.post("/api/transfer", json=given)).json()
    assert [each["line"] for each in shown["refusals"]] == [3]
    assert [(each["line"], each["name"]) for each in shown["warnings"]] == [(1, "API_TOKEN")]
    assert {each["kind"] for each in shown["changes"]} >= {"command", "cron", "schedule"}
    assert (await client.get("/api/crons")).json()["items"][0]["timezone"] == "Europe/Oslo"


async def test_a_crontab_of_others_is_imported_only_by_wish(client: httpx.AsyncClient) -> None:
    given = {"format": "system-crontab", "text": "0 5 * * * nobodyatall backup\n"}
    shown = (await client.post("/api/transfer", json=given)).json()
    assert shown["changes"] == []
    assert "runs as nobodyatall" in shown["refusals"][0]["reason"]
    shown = (await client.post("/api/transfer", json=given | {"any_user": True})).json()
    assert shown["refusals"] == []
    assert {each["kind"] for each in shown["changes"]} >= {"command", "schedule"}


async def test_runs_are_counted_over_time(client: httpx.AsyncClient) -> None:
    command = await scheduled(client)
    for _ in range(3):
        await client.post(f"/api/commands/{command['id']}/run")
    now = datetime.now(UTC)
    asked = {
        "since": (now - timedelta(hours=2)).isoformat(),
        "until": (now + timedelta(hours=2)).isoformat(),
    }
    found = (await client.get("/api/runs/histogram", params=asked)).json()["items"]
    counts: dict[str, int] = {}
    for step in found:
        counts[step["status"]] = counts.get(step["status"], 0) + step["runs"]
    assert counts == {"queued": 1, "skipped": 2}
    wrong = await client.get("/api/runs/histogram", params=asked | {"until": asked["since"]})
    assert wrong.status_code == 422
