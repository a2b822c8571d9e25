"""The queues of a node: producers start, are adjusted and end as people say."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from elihu import DatabaseUnavailable, JobState
from elihu.engines.protocol import QueueOverride
from elihu.runtime.queue.manager import QueueManager, Setting
from elihu.telemetry.events import (
    EngineCalled,
    JobStarted,
    JobStopped,
    QueuePaused,
    QueueResumed,
    QueueScaled,
    QueueShutdown,
    QueueStarted,
    QueueStopping,
)
from tests.runtime.harness import NodeHarness

Managers = Callable[..., QueueManager]


@pytest.fixture
def described() -> list[dict[str, object]]:
    return []


@pytest.fixture
def manager(harness: NodeHarness, described: list[dict[str, object]]) -> QueueManager:
    """One that is configured with the queue ``default`` of two slots, and has not
    started.
    """

    async def describe(**facts: object) -> None:
        described.append(facts)

    def make(queue: str, limit: int):
        return harness.producer(limit, queue)

    return QueueManager(harness.scope, {"default": 2}, split=False, make=make, describe=describe)


@pytest.fixture
def began(harness: NodeHarness) -> asyncio.Semaphore:
    return asyncio.Semaphore(0)


@pytest.fixture
def gate(harness: NodeHarness, began: asyncio.Semaphore) -> asyncio.Event:
    """Lets the jobs of the task ``t`` end; each tells of its start by ``began``."""
    gate = asyncio.Event()

    async def t() -> None:
        began.release()
        await gate.wait()

    harness.task(t, name="t")
    return gate


async def said(harness: NodeHarness, manager: QueueManager, *rules: QueueOverride) -> None:
    for rule in rules:
        assert await harness.engine.set_queue(rule)
    await manager.tick()


async def several(began: asyncio.Semaphore, number: int) -> None:
    async with asyncio.timeout(10):
        for _ in range(number):
            await began.acquire()


async def test_it_serves_what_is_configured_and_says_nothing_of_it(
    harness: NodeHarness, manager: QueueManager, described: list[object]
):
    job = await harness.put("unknown")
    await manager.start()
    await harness.until(lambda: len(harness.of(QueueStarted)) == 1)
    assert manager.served == {"default": Setting(2)}
    assert described == []
    await manager.stop()
    await manager.stop()
    assert await harness.state(job) is not JobState.COMPLETED


async def test_a_paused_queue_starts_nothing_until_it_is_resumed(
    harness: NodeHarness,
    manager: QueueManager,
    described: list[object],
    gate: asyncio.Event,
    began: asyncio.Semaphore,
):
    gate.set()
    await harness.put()
    await harness.engine.set_queue(QueueOverride("default", paused=True))
    await manager.tick()
    (producer,) = manager.producers
    producer.fetch_soon()
    await producer.wait_idle()
    assert harness.of(JobStarted) == []
    assert described == [{"queues": {"default": 2}, "paused": ["default"]}]
    await said(harness, manager, QueueOverride("default", paused=False))
    await harness.until(lambda: len(harness.of(JobStopped)) == 1)
    assert described[-1] == {"queues": {"default": 2}, "paused": []}
    assert [event.queue for event in harness.of(QueueResumed)] == ["default"]
    assert harness.of(QueuePaused) == []


async def test_a_pause_leaves_what_runs_alone(
    harness: NodeHarness, manager: QueueManager, gate: asyncio.Event, began: asyncio.Semaphore
):
    for _ in range(3):
        await harness.put()
    await manager.tick()
    await several(began, 2)
    await said(harness, manager, QueueOverride("default", harness.node, paused=True))
    gate.set()
    await manager.producers[0].wait_idle()
    assert [event.outcome for event in harness.of(JobStopped)] == ["completed"] * 2
    assert await harness.engine.counts() == {"default": {"completed": 2, "available": 1}}
    assert [event.queue for event in harness.of(QueuePaused)] == ["default"]


async def test_scaling_up_fills_the_new_slots_at_once(
    harness: NodeHarness, manager: QueueManager, gate: asyncio.Event, began: asyncio.Semaphore
):
    for _ in range(6):
        await harness.put()
    await manager.tick()
    await several(began, 2)
    await said(harness, manager, QueueOverride("default", limit=5))
    await several(began, 3)
    assert len(manager.producers[0].running) == 5
    assert [(event.limit, event.before) for event in harness.of(QueueScaled)] == [(5, 2)]
    gate.set()


async def test_scaling_down_kills_nothing_and_refills_no_slot(
    harness: NodeHarness, manager: QueueManager, gate: asyncio.Event, began: asyncio.Semaphore
):
    await said(harness, manager, QueueOverride("default", limit=4))
    for _ in range(8):
        await harness.put()
    manager.producers[0].fetch_soon()
    await several(began, 4)
    await said(harness, manager, QueueOverride("default", limit=1))
    assert len(manager.producers[0].running) == 4
    most = 0

    def watch(_: JobStarted) -> None:
        nonlocal most
        most = max(most, len(manager.producers[0].running))

    harness.bus.on(JobStarted, watch)
    gate.set()
    await harness.until(lambda: len(harness.of(JobStopped)) == 8)
    assert most == 1
    assert {event.outcome for event in harness.of(JobStopped)} == {"completed"}


async def test_a_stopped_queue_finishes_what_runs_and_ends(
    harness: NodeHarness,
    manager: QueueManager,
    described: list[object],
    gate: asyncio.Event,
    began: asyncio.Semaphore,
):
    for _ in range(3):
        await harness.put()
    await manager.tick()
    await several(began, 2)
    await said(harness, manager, QueueOverride("default", served=False))
    assert manager.served == {}
    assert described == [{"queues": {}, "paused": []}]
    assert [len(producer.held) for producer in manager.producers] == [2]
    await manager.tick()
    assert len(harness.of(QueueStopping)) == 1
    gate.set()
    await harness.until(lambda: len(harness.of(QueueShutdown)) == 1)
    assert list(manager.producers) == []
    assert await harness.engine.counts() == {"default": {"completed": 2, "available": 1}}


async def test_a_queue_that_is_served_again_while_it_finishes_keeps_its_slots(
    harness: NodeHarness, manager: QueueManager, gate: asyncio.Event, began: asyncio.Semaphore
):
    for _ in range(3):
        await harness.put()
    await manager.tick()
    await several(began, 2)
    (producer,) = manager.producers
    await said(harness, manager, QueueOverride("default", served=False))
    await said(harness, manager, QueueOverride("default", served=True))
    assert list(manager.producers) == [producer]
    assert manager.served == {"default": Setting(2)}
    gate.set()
    await harness.until(lambda: len(harness.of(JobStopped)) == 3)
    await producer.wait_idle()
    assert harness.of(QueueShutdown) == []
    assert len(harness.of(QueueStarted)) == 2


async def test_a_new_queue_is_served(
    harness: NodeHarness, manager: QueueManager, gate: asyncio.Event
):
    gate.set()
    await harness.put(queue="new")
    await manager.tick()
    await said(harness, manager, QueueOverride("new", harness.node, served=True, limit=1))
    await harness.until(lambda: len(harness.of(JobStopped)) == 1)
    assert manager.served == {"default": Setting(2), "new": Setting(1)}
    await said(harness, manager, QueueOverride("new", harness.node, served=False))
    await harness.until(lambda: [event.queue for event in harness.of(QueueShutdown)] == ["new"])


async def test_the_stop_of_a_node_is_not_held_up_by_a_queue_that_finishes(
    harness: NodeHarness, manager: QueueManager, gate: asyncio.Event, began: asyncio.Semaphore
):
    await harness.put()
    await manager.start()
    await several(began, 1)
    await said(harness, manager, QueueOverride("default", served=False))
    async with asyncio.timeout(20):
        await manager.stop()
        (producer,) = manager.producers
        await producer.stop(grace=0, now=asyncio.Event())
    assert await harness.engine.counts() == {"default": {"available": 1}}


async def test_what_could_not_be_described_is_described_later(
    harness: NodeHarness, manager: QueueManager, monkeypatch: pytest.MonkeyPatch
):
    told: list[object] = []

    async def describe(**facts: object) -> None:
        told.append(facts)
        if len(told) == 1:
            raise DatabaseUnavailable("away")

    monkeypatch.setattr(manager, "_describe", describe)
    await harness.engine.set_queue(QueueOverride("default", limit=3))
    with pytest.raises(DatabaseUnavailable):
        await manager.tick()
    await manager.tick()
    await manager.tick()
    assert told == [{"queues": {"default": 3}, "paused": []}] * 2


async def test_queues_that_cannot_be_looked_up_do_not_start(
    harness: NodeHarness, manager: QueueManager, monkeypatch: pytest.MonkeyPatch
):
    """A paused queue would start unpaused."""

    def away(node: str) -> Awaitable[list[QueueOverride]]:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(harness.engine, "queue_overrides", away)
    with pytest.raises(DatabaseUnavailable):
        await manager.start()
    assert list(manager.producers) == []


async def test_reads_the_overrides_again_when_a_heartbeat_finds_others(
    harness: NodeHarness, manager: QueueManager
):
    async def reads() -> int:
        """How often a tick reads the overrides."""
        before = override_reads(harness)
        await manager.tick()
        return override_reads(harness) - before

    assert await reads() == 1, "no heartbeat has answered yet"
    manager.digest_is("one")
    assert await reads() == 1, "they may have changed before the heartbeat"
    assert await reads() == 0
    await harness.engine.set_queue(QueueOverride("default", limit=3))
    manager.digest_is("two")
    assert await reads() == 1
    assert manager.served == {"default": Setting(3)}
    assert await reads() == 0
    manager.wake()
    assert await reads() == 1, "a change was announced"
    harness.scope.identity.node = str(uuid4())
    assert await reads() == 1, "another node has other overrides"
    harness.clock.time += 2 * harness.config.heartbeat
    assert await reads() == 1, "the digest is too old"
    assert await reads() == 1, "no heartbeat has answered since"


async def test_a_change_that_is_announced_during_a_read_is_read_too(
    harness: NodeHarness, manager: QueueManager, monkeypatch: pytest.MonkeyPatch
):
    read = harness.engine.queue_overrides

    async def change_behind(node: str | None = None) -> list[QueueOverride]:
        found = await read(node)
        await harness.engine.set_queue(QueueOverride("default", limit=3))
        manager.wake()
        return found

    manager.digest_is("one")
    with monkeypatch.context() as patched:
        patched.setattr(harness.engine, "queue_overrides", change_behind)
        await manager.tick()
    await manager.tick()
    assert manager.served == {"default": Setting(3)}


def override_reads(harness: NodeHarness) -> int:
    return [event.verb for event in harness.of(EngineCalled)].count("queue_overrides")
