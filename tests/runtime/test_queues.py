"""The queues of a node: producers start, are adjusted and end as people say."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from elihu import DatabaseUnavailable, JobState
from elihu.engines.base import QueueRule
from elihu.runtime.queues import QueueManager, Setting
from elihu.telemetry.events import (
    JobStarted,
    JobStopped,
    QueuePaused,
    QueueResumed,
    QueueScaled,
    QueueShutdown,
    QueueStarted,
    QueueStopping,
)
from tests.runtime.desk import Desk

Managers = Callable[..., QueueManager]


@pytest.fixture
def described() -> list[dict[str, object]]:
    return []


@pytest.fixture
def manager(desk: Desk, described: list[dict[str, object]]) -> QueueManager:
    """One that is configured with the queue ``default`` of two slots, and has not started."""

    async def describe(**facts: object) -> None:
        described.append(facts)

    def make(queue: str, limit: int):
        return desk.producer(limit, queue)

    return QueueManager(desk.scope, {"default": 2}, split=False, make=make, describe=describe)


@pytest.fixture
def began(desk: Desk) -> asyncio.Semaphore:
    return asyncio.Semaphore(0)


@pytest.fixture
def gate(desk: Desk, began: asyncio.Semaphore) -> asyncio.Event:
    """Lets the jobs of the task ``t`` end; each tells of its start by ``began``."""
    gate = asyncio.Event()

    async def t() -> None:
        began.release()
        await gate.wait()

    desk.task(t, name="t")
    return gate


async def said(desk: Desk, manager: QueueManager, *rules: QueueRule) -> None:
    for rule in rules:
        assert await desk.engine.set_queue(rule)
    await manager.tick()


async def several(began: asyncio.Semaphore, number: int) -> None:
    async with asyncio.timeout(10):
        for _ in range(number):
            await began.acquire()


async def test_it_serves_what_is_configured_and_says_nothing_of_it(desk: Desk, manager: QueueManager, described: list[object]):
    job = await desk.put("unknown")
    await manager.start()
    await desk.until(lambda: len(desk.of(QueueStarted)) == 1)
    assert manager.served == {"default": Setting(2)}
    assert described == []
    await manager.stop()
    await manager.stop()
    assert await desk.state(job) is not JobState.COMPLETED


async def test_a_paused_queue_starts_nothing_until_it_is_resumed(
    desk: Desk, manager: QueueManager, described: list[object], gate: asyncio.Event, began: asyncio.Semaphore
):
    gate.set()
    await desk.put()
    await desk.engine.set_queue(QueueRule("default", paused=True))
    await manager.tick()
    (producer,) = manager.producers
    producer.look()
    await producer.settled()
    assert desk.of(JobStarted) == []
    assert described == [{"queues": {"default": 2}, "paused": ["default"]}]
    await said(desk, manager, QueueRule("default", paused=False))
    await desk.until(lambda: len(desk.of(JobStopped)) == 1)
    assert described[-1] == {"queues": {"default": 2}, "paused": []}
    assert [event.queue for event in desk.of(QueueResumed)] == ["default"]
    assert desk.of(QueuePaused) == []


async def test_a_pause_leaves_what_runs_alone(desk: Desk, manager: QueueManager, gate: asyncio.Event, began: asyncio.Semaphore):
    for _ in range(3):
        await desk.put()
    await manager.tick()
    await several(began, 2)
    await said(desk, manager, QueueRule("default", desk.node, paused=True))
    gate.set()
    await manager.producers[0].settled()
    assert [event.result for event in desk.of(JobStopped)] == ["completed"] * 2
    assert await desk.engine.counts() == {"default": {"completed": 2, "available": 1}}
    assert [event.queue for event in desk.of(QueuePaused)] == ["default"]


async def test_scaling_up_fills_the_new_slots_at_once(desk: Desk, manager: QueueManager, gate: asyncio.Event, began: asyncio.Semaphore):
    for _ in range(6):
        await desk.put()
    await manager.tick()
    await several(began, 2)
    await said(desk, manager, QueueRule("default", limit=5))
    await several(began, 3)
    assert len(manager.producers[0].running) == 5
    assert [(event.limit, event.before) for event in desk.of(QueueScaled)] == [(5, 2)]
    gate.set()


async def test_scaling_down_kills_nothing_and_refills_no_slot(
    desk: Desk, manager: QueueManager, gate: asyncio.Event, began: asyncio.Semaphore
):
    await said(desk, manager, QueueRule("default", limit=4))
    for _ in range(8):
        await desk.put()
    manager.producers[0].look()
    await several(began, 4)
    await said(desk, manager, QueueRule("default", limit=1))
    assert len(manager.producers[0].running) == 4
    most = 0

    def watch(_: JobStarted) -> None:
        nonlocal most
        most = max(most, len(manager.producers[0].running))

    desk.bus.on(JobStarted, watch)
    gate.set()
    await desk.until(lambda: len(desk.of(JobStopped)) == 8)
    assert most == 1
    assert {event.result for event in desk.of(JobStopped)} == {"completed"}


async def test_a_stopped_queue_finishes_what_runs_and_ends(
    desk: Desk, manager: QueueManager, described: list[object], gate: asyncio.Event, began: asyncio.Semaphore
):
    for _ in range(3):
        await desk.put()
    await manager.tick()
    await several(began, 2)
    await said(desk, manager, QueueRule("default", served=False))
    assert manager.served == {}
    assert described == [{"queues": {}, "paused": []}]
    assert [len(producer.held) for producer in manager.producers] == [2]
    await manager.tick()
    assert len(desk.of(QueueStopping)) == 1
    gate.set()
    await desk.until(lambda: len(desk.of(QueueShutdown)) == 1)
    assert list(manager.producers) == []
    assert await desk.engine.counts() == {"default": {"completed": 2, "available": 1}}


async def test_a_queue_that_is_served_again_while_it_finishes_keeps_its_slots(
    desk: Desk, manager: QueueManager, gate: asyncio.Event, began: asyncio.Semaphore
):
    for _ in range(3):
        await desk.put()
    await manager.tick()
    await several(began, 2)
    (producer,) = manager.producers
    await said(desk, manager, QueueRule("default", served=False))
    await said(desk, manager, QueueRule("default", served=True))
    assert list(manager.producers) == [producer]
    assert manager.served == {"default": Setting(2)}
    gate.set()
    await desk.until(lambda: len(desk.of(JobStopped)) == 3)
    await producer.settled()
    assert desk.of(QueueShutdown) == []
    assert len(desk.of(QueueStarted)) == 2


async def test_a_new_queue_is_served(desk: Desk, manager: QueueManager, gate: asyncio.Event):
    gate.set()
    await desk.put(queue="new")
    await manager.tick()
    await said(desk, manager, QueueRule("new", desk.node, served=True, limit=1))
    await desk.until(lambda: len(desk.of(JobStopped)) == 1)
    assert manager.served == {"default": Setting(2), "new": Setting(1)}
    await said(desk, manager, QueueRule("new", desk.node, served=False))
    await desk.until(lambda: [event.queue for event in desk.of(QueueShutdown)] == ["new"])


async def test_the_stop_of_a_node_is_not_held_up_by_a_queue_that_finishes(
    desk: Desk, manager: QueueManager, gate: asyncio.Event, began: asyncio.Semaphore
):
    await desk.put()
    await manager.start()
    await several(began, 1)
    await said(desk, manager, QueueRule("default", served=False))
    async with asyncio.timeout(5):
        await manager.stop()
        (producer,) = manager.producers
        await producer.stop(grace=0, now=asyncio.Event())
    assert await desk.engine.counts() == {"default": {"available": 1}}


async def test_what_could_not_be_described_is_described_later(desk: Desk, manager: QueueManager, monkeypatch: pytest.MonkeyPatch):
    told: list[object] = []

    async def describe(**facts: object) -> None:
        told.append(facts)
        if len(told) == 1:
            raise DatabaseUnavailable("away")

    monkeypatch.setattr(manager, "_describe", describe)
    await desk.engine.set_queue(QueueRule("default", limit=3))
    with pytest.raises(DatabaseUnavailable):
        await manager.tick()
    await manager.tick()
    await manager.tick()
    assert told == [{"queues": {"default": 3}, "paused": []}] * 2


async def test_queues_that_cannot_be_looked_up_do_not_start(desk: Desk, manager: QueueManager, monkeypatch: pytest.MonkeyPatch):
    """A paused queue would start unpaused."""

    def away(node: str) -> Awaitable[list[QueueRule]]:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(desk.engine, "queue_rules", away)
    with pytest.raises(DatabaseUnavailable):
        await manager.start()
    assert list(manager.producers) == []
