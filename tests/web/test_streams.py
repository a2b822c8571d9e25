"""Streams of topics: what they send, how they resume, and their bounds."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from elihu import Elihu, NewJob
from elihu.orm.sessions import Sessions
from elihu.web import streams
from tests.web.conftest import Clients, add_key, add_user

pytestmark = pytest.mark.sqlite_first


class Opened:
    """The events of an open stream."""

    def __init__(self) -> None:
        self.parts: asyncio.Queue[str] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None
        self.status = 0

    async def __call__(self) -> dict[str, Any]:
        """The next event."""
        async with asyncio.timeout(20):
            while True:
                part = await self.parts.get()
                fields = dict(line.split(": ", 1) for line in part.splitlines() if ": " in line)
                if "event" in fields:
                    return {"id": fields["id"], "event": fields["event"]} | json.loads(
                        fields["data"]
                    )

    async def ended(self) -> bool:
        """Whether the server ends the stream."""
        assert self.task is not None
        done, _ = await asyncio.wait([self.task], timeout=20)
        return bool(done)


@asynccontextmanager
async def opened(
    web: FastAPI,
    path: str,
    *,
    address: str = "127.0.0.1",
    status: int | None = 200,
    **headers: str,
) -> AsyncIterator[Opened]:
    """A stream of the application as a server would hold it open. ``status`` None lets it
    be refused.
    """
    stream, gone = Opened(), asyncio.Event()
    answered = asyncio.Event()
    where, _, query = path.partition("?")
    shown = {"host": "localhost"} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "scheme": "http", "path": where, "raw_path": where.encode(), "query_string": query.encode(),
        "root_path": "", "client": (address, 1), "server": ("localhost", 80),
        "headers": [(name.encode(), value.encode()) for name, value in shown.items()],
    }  # fmt: skip
    asked = False

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            stream.status = message["status"]
            answered.set()
        for part in message.get("body", b"").decode().split("\n\n"):
            if part:
                stream.parts.put_nowait(part)

    stream.task = asyncio.create_task(web(scope, receive, send))
    async with asyncio.timeout(20):
        await answered.wait()
    assert status in {None, stream.status}
    try:
        yield stream
    finally:
        gone.set()
        async with asyncio.timeout(20):
            await stream.task


async def test_a_topic_is_sent_when_it_changes_and_only_then(app: Elihu, web: FastAPI) -> None:
    async with opened(web, "/api/stream?topic=overview&topic=queues") as get:
        first = [await get(), await get()]
        assert {each["topic"] for each in first} == {"overview", "queues"}
        await app.aenqueue(NewJob(task="t"))
        changed = await get()
        if changed["topic"] != "overview":
            changed = await get()
        assert changed["data"]["jobs"]["available"] == {"number": 1, "more": False}


async def test_a_stream_resumes_where_it_was(app: Elihu, web: FastAPI) -> None:
    path = "/api/stream?topic=overview"
    async with opened(web, path) as get:
        last = (await get())["id"]
    await app.aenqueue(NewJob(task="t"))
    async with opened(web, path, last_event_id=last) as get:
        changed = await get()
        assert changed["data"]["jobs"]["available"]["number"] == 1
    async with opened(web, path, last_event_id=changed["id"]) as get:
        await app.aenqueue(NewJob(task="t"))
        assert (await get())["data"]["jobs"]["available"]["number"] == 2


async def test_polling_answers_the_same(
    app: Elihu, web: FastAPI, client: httpx.AsyncClient
) -> None:
    job = await app.aenqueue(NewJob(task="t"))
    topic = f"job:{job.id}"
    async with opened(web, f"/api/stream?topic={topic}") as get:
        sent = await get()
    polled = (await client.get("/api/stream/poll", params={"topic": topic})).json()
    assert polled["id"] == sent["id"]
    assert polled["events"] == [{"event": "job", "topic": topic, "data": sent["data"]}]
    asked = {"topic": topic, "last": polled["id"]}
    assert (await client.get("/api/stream/poll", params=asked)).json()["events"] == []
    await app.jobs.cancel(job.id)
    again: list[dict[str, Any]] = []
    for _ in range(200):
        again = (await client.get("/api/stream/poll", params=asked)).json()["events"]
        if again:
            break
        await asyncio.sleep(0.05)
    assert again[0]["data"]["state"] == "cancelled"


async def test_a_stream_of_another_process_notices_a_change(
    app: Elihu, web: FastAPI, database_url: str, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "INTERVAL", 60.0)
    async with (
        Elihu(database_url, schema=schema) as other,
        opened(web, "/api/stream?topic=overview") as get,
    ):
        await get()
        await other.aenqueue(NewJob(task="t"))
        assert (await get())["data"]["jobs"]["available"]["number"] == 1


@pytest.mark.parametrize("topic", ["nothing", "job:x", "job:0", "run:1", "overview:1", ""])
async def test_an_unknown_topic_is_refused(client: httpx.AsyncClient, topic: str) -> None:
    answer = await client.get("/api/stream", params={"topic": topic})
    assert answer.status_code == 422


async def test_a_topic_of_what_there_is_not_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get("/api/stream", params={"topic": "job:5"})).status_code == 404
    many = [f"job:{number}" for number in range(1, 12)]
    assert (await client.get("/api/stream", params={"topic": many})).status_code == 422


async def test_a_stream_needs_a_sign_in(clients: Clients, sessions: Sessions) -> None:
    await add_user(sessions)
    client = await clients()
    assert (await client.get("/api/stream", params={"topic": "overview"})).status_code == 401


async def test_a_stream_ends_when_its_user_may_read_no_more(
    web: FastAPI, sessions: Sessions, clients: Clients, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "COMMENT", 0.0)
    ann = await add_user(sessions)
    eve = await add_user(sessions, "eve", "view")
    key = await add_key(sessions, eve, "view")
    admin = await clients(authorization=f"Bearer {await add_key(sessions, ann, 'admin')}")
    headers: dict[str, Any] = {"authorization": f"Bearer {key}"}
    async with opened(web, "/api/stream?topic=overview", **headers) as get:
        await get()
        await admin.patch(f"/api/users/{eve.id}", json={"enabled": False})
        assert await get.ended()


async def test_the_streams_of_a_user_and_of_all_are_bounded(
    web: FastAPI, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "PER_USER", 2)
    path = "/api/stream?topic=overview"
    async with opened(web, path) as one, opened(web, path) as two:
        await one()
        await two()
        assert (await client.get(path)).status_code == 429
        monkeypatch.setattr(streams, "MOST", 2)
        assert (await client.get(path)).status_code == 503
    assert web.state.elihu.streams.open == 0


async def test_streams_end_when_a_uvicorn_around_stops(
    web: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends the lifespan only when no request is open."""
    monkeypatch.setattr(streams, "INTERVAL", 0.05)
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(web, lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve([listening]))
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    async with (
        httpx.AsyncClient(base_url=address, timeout=20) as client,
        client.stream("GET", "/api/stream?topic=queues") as answer,
    ):
        lines = answer.aiter_lines()
        await anext(lines)
        server.should_exit = True
        async with asyncio.timeout(20):
            await serving
        assert [line async for line in lines]


async def test_streams_share_their_reads(web: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PER_USER", 1_000)
    monkeypatch.setattr(streams, "FIGURES", 5.0)
    reads = 0
    counts = web.state.elihu.app.stats.counts

    async def counted() -> Any:
        nonlocal reads
        reads += 1
        return await counts()

    monkeypatch.setattr(web.state.elihu.app.stats, "counts", counted)
    opening = [opened(web, "/api/stream?topic=overview") for _ in range(30)]
    gets = [await each.__aenter__() for each in opening]
    for get in gets:
        await get()
    assert reads <= 2
    for each in opening:
        await each.__aexit__(None, None, None)
