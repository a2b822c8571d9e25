"""``app.queues.pause`` returns when the nodes have stopped fetching."""

import asyncio
from uuid import uuid4

import pytest

from elihu import Elihu
from elihu.api import queues
from elihu.engines.select import engine_for
from elihu.runtime.queue.producer import Producer
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import JobStarted
from tests.support import EventRecorder


async def test_nothing_starts_after_it(app: Elihu, events: EventRecorder):
    @app.task(name="t")
    async def t() -> None: ...

    async with app.running() as one, app.running() as two:
        for _ in range(5):
            assert await app.queues.pause("default") == []
            assert [node.queues.served["default"].paused for node in (one, two)] == [True, True]
            await t.aenqueue()
            for node in (one, two):
                await asyncio.gather(*(each.wait_idle() for each in node.producers))
            assert events.of(JobStarted) == []
            await app.jobs.delete(task="t")
            await app.queues.resume("default")
            await events.until(
                lambda: not any(node.queues.served["default"].paused for node in (one, two))
            )


async def test_it_waits_for_a_fetch_under_way(
    app: Elihu, events: EventRecorder, monkeypatch: pytest.MonkeyPatch
):
    asked, answer, ask = asyncio.Event(), asyncio.Event(), Producer._ask

    async def slow(self, node, free, acks, after, ahead):
        found = await ask(self, node, free, acks, after, ahead)
        if free:
            asked.set()
            await answer.wait()
        return found

    monkeypatch.setattr(Producer, "_ask", slow)

    @app.task(name="t")
    async def t() -> None: ...

    async with app.running():
        async with asyncio.timeout(20):
            await asked.wait()
        pausing = asyncio.create_task(app.queues.pause("default"))
        done, _ = await asyncio.wait([pausing], timeout=0.3)
        assert not done
        answer.set()
        assert await pausing == []


async def test_it_names_the_nodes_that_do_not_answer(app: Elihu, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(queues, "PAUSE_TIMEOUT", 0.5)
    engine, ghost = engine_for(app.config, Bus()), str(uuid4())
    await engine.open()
    await engine.register_node(ghost, "ghost", {"queues": {"default": 1}})
    async with app.running() as node:
        assert await app.queues.pause("default") == [ghost]
        assert await app.queues.pause("default", node=node.id) == []
    await engine.close()
