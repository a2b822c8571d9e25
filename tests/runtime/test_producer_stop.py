"""How a producer stops, and what it does when its node was removed."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from elihu import Context, DatabaseUnavailable, JobState
from elihu.engines.protocol import Ack, Exchange
from elihu.telemetry.events import (
    JobStarted,
    QueueShutdown,
)
from tests.runtime.harness import NodeHarness
from tests.runtime.producers import NEVER, gated, stop, wait_idle


async def test_a_graceful_stop_waits_and_gives_back_what_still_runs_uncounted(harness: NodeHarness):
    gate, began = await gated(harness)
    ended: list[str] = []

    async def endless() -> None:
        began.release()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("endless")

    harness.task(endless, name="endless")
    quick, slow = await harness.put(), await harness.put("endless")
    producer = harness.producer()
    await producer.start()
    await began.acquire()
    await began.acquire()
    waiting = await harness.put()
    asyncio.get_running_loop().call_later(0.05, gate.set)
    await stop(producer, grace=0.3)
    assert ended == ["endless"]
    assert await harness.state(quick) is JobState.COMPLETED
    assert await harness.state(waiting) is JobState.AVAILABLE
    given_back = await harness.job(slow)
    assert (given_back.state, given_back.attempt) == (JobState.AVAILABLE, 0)
    assert await harness.results(slow) == ["returned"]
    (shutdown,) = harness.of(QueueShutdown)
    assert (shutdown.queue, shutdown.released) == ("default", (slow,))
    assert "default" in harness.announced()


async def test_hurry_ends_the_wait(harness: NodeHarness):
    _, began = await gated(harness)
    job_id = await harness.put()
    producer = harness.producer()
    await producer.start()
    await began.acquire()
    now = asyncio.Event()
    stopping = asyncio.create_task(producer.stop(grace=NEVER, now=now))
    await asyncio.sleep(0)
    assert not stopping.done()
    now.set()
    async with asyncio.timeout(20):
        await stopping
    assert await harness.results(job_id) == ["returned"]


async def test_an_immediate_stop_gives_everything_back(harness: NodeHarness):
    _, began = await gated(harness)
    ids = [await harness.put(), await harness.put()]
    producer = harness.producer()
    await producer.start()
    for _ in ids:
        await began.acquire()
    await stop(producer, grace=0)
    assert [await harness.state(id_) for id_ in ids] == ["available", "available"]
    assert [(await harness.job(id_)).attempt for id_ in ids] == [0, 0]


async def test_a_task_that_raises_while_it_is_stopped_is_given_back_uncounted(harness: NodeHarness):
    began = asyncio.Event()

    async def t() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("the driver made something else of it") from None

    harness.task(t, name="t")
    job_id = await harness.put()
    producer = harness.producer()
    await producer.start()
    await began.wait()
    await stop(producer, grace=0)
    assert await harness.results(job_id) == ["returned"]
    assert (await harness.job(job_id)).attempt == 0


async def test_a_thread_that_does_not_end_is_returned_and_its_outcome_ignored(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("elihu.runtime.queue.attempt_runner.UNWIND", 0.05)
    began, gate = threading.Event(), threading.Event()

    def t() -> None:
        began.set()
        gate.wait()

    harness.task(t, name="t")
    job_id = await harness.put()
    producer = harness.producer()
    await producer.start()
    await asyncio.to_thread(began.wait)
    (execution,) = producer.running.values()
    await stop(producer, grace=0)
    assert await harness.results(job_id) == ["returned"]
    gate.set()
    assert execution.handle is not None
    await asyncio.wait([execution.handle], timeout=20)
    assert await harness.results(job_id) == ["returned"]
    assert await harness.state(job_id) is JobState.AVAILABLE


@pytest.mark.parametrize("how", ["raises", "returns"])
async def test_a_thread_sees_that_it_should_end(harness: NodeHarness, how: str):
    began = threading.Event()
    saw: list[bool] = []

    def t(*, ctx: Context) -> None:
        began.set()
        while not ctx.cancelled:
            pass
        saw.append(True)
        if how == "raises":
            raise RuntimeError("stopped half-way")

    harness.task(t, name="t")
    job_id = await harness.put()
    producer = harness.producer()
    await producer.start()
    await asyncio.to_thread(began.wait)
    await stop(producer, grace=0)
    assert saw == [True]
    assert await harness.results(job_id) == ["returned"]


async def test_ends_are_written_by_the_stop(harness: NodeHarness, monkeypatch: pytest.MonkeyPatch):
    gate, began = await gated(harness)
    ids = [await harness.put() for _ in range(5)]
    exchange = harness.engine.exchange
    fails = False

    async def flaky(node: str, queue: str, free: int, acks: Sequence[Ack], **more: Any) -> Exchange:
        nonlocal fails
        if acks and fails:
            fails = False
            raise DatabaseUnavailable("just now")
        return await exchange(node, queue, free, acks, **more)

    monkeypatch.setattr(harness.engine, "exchange", flaky)
    producer = harness.producer(limit=5)
    await producer.start()
    for _ in ids:
        await began.acquire()
    fails = True
    gate.set()
    await stop(producer)
    assert await harness.engine.counts() == {"default": {"completed": 5}}
    assert not producer.held


async def test_claims_that_arrive_while_it_stops_are_given_back(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
):
    exchange = harness.engine.exchange
    claimed, go_on = asyncio.Event(), asyncio.Event()

    async def held_up(*args: Any, **more: Any) -> Exchange:
        answer = await exchange(*args, **more)
        if answer.claims:
            claimed.set()
            await go_on.wait()
        return answer

    await gated(harness)
    job_id = await harness.put()
    monkeypatch.setattr(harness.engine, "exchange", held_up)
    producer = harness.producer()
    await producer.start()
    await claimed.wait()
    stopping = asyncio.create_task(stop(producer, grace=NEVER))
    await asyncio.sleep(0)
    go_on.set()
    async with asyncio.timeout(20):
        await stopping
    assert not harness.of(JobStarted)
    assert await harness.results(job_id) == ["returned"]
    assert harness.of(QueueShutdown)[0].released == (job_id,)


async def test_a_stop_whose_ends_cannot_be_written_ends_all_the_same(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    gate, began = await gated(harness)
    await harness.put()
    producer = harness.producer()
    await producer.start()
    await began.acquire()

    async def away(*args: Any, **more: Any) -> Exchange:
        raise DatabaseUnavailable("gone")

    with monkeypatch.context() as patched:
        patched.setattr(harness.engine, "exchange", away)
        gate.set()
        async with asyncio.timeout(20):
            await stop(producer)
    assert "the ends of 1 attempts were not written in time" in caplog.text


async def test_start_and_stop_are_safe_twice_and_stop_before_start(harness: NodeHarness):
    producer = harness.producer()
    await stop(producer)
    await producer.start()
    await producer.start()
    await stop(producer)
    await stop(producer)
    assert len(harness.of(QueueShutdown)) == 1


async def test_a_removed_node_drops_its_attempts_and_sends_none(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
):
    _, began = await gated(harness)
    ids = [await harness.put(), await harness.put()]
    producer = harness.producer()
    await producer.start()
    for _ in ids:
        await began.acquire()
    exchange = harness.engine.exchange
    sent: list[Ack] = []

    async def watched(
        node: str, queue: str, free: int, acks: Sequence[Ack], **more: Any
    ) -> Exchange:
        sent.extend(acks)
        return await exchange(node, queue, free, acks, **more)

    monkeypatch.setattr(harness.engine, "exchange", watched)
    handles = [execution.handle for execution in producer.running.values()]
    producer.lose_all()
    await asyncio.wait([handle for handle in handles if handle], timeout=20)
    assert wait_idle(producer)
    await stop(producer)
    assert sent == []
    assert [await harness.state(id_) for id_ in ids] == ["executing", "executing"]


async def test_a_removal_ends_the_wait_of_a_stop(harness: NodeHarness):
    _, began = await gated(harness)
    await harness.put()
    producer = harness.producer()
    await producer.start()
    await began.acquire()
    stopping = asyncio.create_task(stop(producer, grace=NEVER))
    await asyncio.sleep(0)
    producer.lose_all()
    async with asyncio.timeout(20):
        await stopping
