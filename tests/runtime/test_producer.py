"""A queue's producer: what it fetches, how it writes ends, and how it stops."""

import asyncio
import json
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from elihu import Context, DatabaseUnavailable, DataRefused, JobState, RunOutcome, SchemaOutdated
from elihu.engines.protocol import Ack, Exchange
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.engines.protocol.waits import Wait
from elihu.runtime.queue.outbox import BATCH_BYTES, BATCH_ROWS, Outbox
from elihu.runtime.queue.producer import Producer
from elihu.runtime.queue.unknown_tasks import UNKNOWN_TASK_DELAY
from elihu.telemetry.events import (
    AcknowledgementRefused,
    JobStarted,
    JobStopped,
    QueueShutdown,
    TaskUnknown,
)
from tests.engines.raw import Raw
from tests.runtime.harness import NodeHarness

NEVER = 3_600.0


def wait_idle(producer: Producer) -> bool:
    return not producer.held and not producer.running


async def stop(producer: Producer, grace: float = 10) -> None:
    await producer.stop(grace=grace, now=asyncio.Event())


async def gated(harness: NodeHarness) -> tuple[asyncio.Event, asyncio.Semaphore]:
    """A task ``t`` that waits for the event, and tells of its start by the semaphore."""
    gate, began = asyncio.Event(), asyncio.Semaphore(0)

    async def t() -> None:
        began.release()
        await gate.wait()

    harness.task(t, name="t")
    return gate, began


async def test_fetches_no_more_than_its_free_slots(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
):
    exchange, most = harness.engine.exchange, 0
    running = 0

    async def t() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    asked: list[tuple[int, int]] = []

    async def watched(
        node: str, queue: str, free: int, acks: Sequence[Ack], **more: Any
    ) -> Exchange:
        answer = await exchange(node, queue, free, acks, **more)
        asked.append((free, len(answer.claims)))
        assert len(answer.claims) <= free <= 3
        return answer

    harness.task(t, name="t")
    monkeypatch.setattr(harness.engine, "exchange", watched)
    for _ in range(40):
        await harness.put()
    producer = harness.producer(limit=3)
    await producer.start()
    await harness.until(lambda: len(harness.of(JobStopped)) == 40)
    await stop(producer)
    assert most <= 3
    assert sum(claims for _, claims in asked) == 40
    assert await harness.engine.counts() == {"default": {"completed": 40}}


async def test_highest_priority_first(harness: NodeHarness):
    order: list[int] = []

    async def t(number: int) -> None:
        order.append(number)

    harness.task(t, name="t")
    for number, priority in enumerate((5, 0, 9, 0)):
        await harness.put(args=json.dumps({"number": number}), priority=priority)
    producer = harness.producer(limit=1)
    await producer.start()
    await harness.until(lambda: len(order) == 4)
    await stop(producer)
    assert order == [1, 3, 0, 2]


async def test_a_job_put_before_the_position_of_the_last_fetch_is_fetched_when_announced(
    harness: NodeHarness,
):
    gate, began = await gated(harness)
    await harness.put(priority=5)
    await harness.put(priority=5)
    producer = harness.producer(limit=1)
    await producer.start()
    await began.acquire()
    front = await harness.put(priority=0)
    producer.fetch_soon()
    gate.set()
    await harness.until(lambda: len(harness.of(JobStopped)) == 3)
    await stop(producer)
    assert [event.job_id for event in harness.of(JobStarted)][1] == front


async def test_after_a_partial_batch_behind_a_position_it_starts_from_the_front_again(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
):
    exchange = harness.engine.exchange
    positions: list[bool] = []

    async def watched(
        node: str, queue: str, free: int, acks: Sequence[Ack], **more: Any
    ) -> Exchange:
        positions.append(more["after"] is not None)
        if len(positions) == 2:
            await harness.put(priority=0)
        return await exchange(node, queue, free, acks, **more)

    async def t() -> None:
        pass

    harness.task(t, name="t")
    monkeypatch.setattr(harness.engine, "exchange", watched)
    await harness.put(priority=5)
    producer = harness.producer(limit=1)
    await producer.start()
    await harness.until(lambda: len(harness.of(JobStopped)) == 2)
    await stop(producer)
    assert positions[:2] == [False, True]
    assert False in positions[2:]


async def test_a_look_during_an_exchange_is_not_lost(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
):
    exchange = harness.engine.exchange
    answered, go_on = asyncio.Event(), asyncio.Event()
    calls = 0

    async def held_up(*args: Any, **more: Any) -> Exchange:
        nonlocal calls
        calls += 1
        answer = await exchange(*args, **more)
        if calls == 1:
            answered.set()
            await go_on.wait()
        return answer

    async def t() -> None:
        pass

    harness.task(t, name="t")
    monkeypatch.setattr(harness.engine, "exchange", held_up)
    producer = harness.producer()
    await producer.start()
    await answered.wait()
    await harness.put()
    producer.fetch_soon()
    go_on.set()
    await harness.until(lambda: len(harness.of(JobStopped)) == 1)
    await stop(producer)


async def test_the_poll_finds_a_job_of_which_nobody_told(harness: NodeHarness):
    async def t() -> None:
        pass

    harness.task(t, name="t")
    producer = harness.producer(poll=0.05)
    await producer.start()
    await harness.put()
    await harness.until(lambda: len(harness.of(JobStopped)) == 1)
    await stop(producer)


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_an_end_that_meets_a_locked_row_is_sent_again(harness: NodeHarness, raw: Raw):
    gate, began = await gated(harness)
    job_id = await harness.put()
    producer = harness.producer()
    await producer.start()
    await began.acquire()
    await raw.execute("BEGIN")
    await raw.execute("SELECT FROM job WHERE id = %s FOR UPDATE", job_id)
    gate.set()
    await harness.until(
        lambda: sum(getattr(event, "verb", "") == "ack_statuses" for event in harness.events) >= 2
    )
    assert await harness.state(job_id) is JobState.EXECUTING
    assert producer.held
    await raw.execute("COMMIT")
    await harness.until(lambda: not producer.held)
    assert await harness.state(job_id) is JobState.COMPLETED
    assert not harness.of(AcknowledgementRefused)
    await stop(producer)


async def test_a_refused_end_is_an_event_and_changes_nothing(harness: NodeHarness, raw: Raw):
    gate, began = await gated(harness)
    job_id = await harness.put()
    producer = harness.producer()
    await producer.start()
    await began.acquire()
    await raw.execute("UPDATE job SET claim = claim + 1 WHERE id = %s", job_id)
    gate.set()
    await harness.until(lambda: bool(harness.of(AcknowledgementRefused)))
    (refused,) = harness.of(AcknowledgementRefused)
    assert (refused.job_id, refused.claim, refused.node, refused.outcome) == (
        job_id,
        1,
        harness.node,
        RunOutcome.COMPLETED,
    )
    assert await harness.state(job_id) is JobState.EXECUTING
    assert not producer.held
    await stop(producer)


@pytest.mark.parametrize("fails", [False, True])
async def test_an_end_whose_answer_was_lost_is_written_once_and_not_refused(
    harness: NodeHarness,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fails: bool,
):
    exchange = harness.engine.exchange
    lost = 0

    async def lose_the_first_answer(
        node: str, queue: str, free: int, acks: Sequence[Ack], **more: Any
    ) -> Exchange:
        nonlocal lost
        answer = await exchange(node, queue, free, acks, **more)
        if acks and not lost:
            lost += 1
            raise DatabaseUnavailable("the connection broke")
        return answer

    async def t() -> int:
        await harness.engine.attach([job_id])
        if fails:
            raise ValueError("no")
        return 5

    harness.task(t, name="t", max_attempts=1)
    monkeypatch.setattr(harness.engine, "exchange", lose_the_first_answer)
    job_id = await harness.put(max_attempts=1)
    producer = harness.producer()
    await producer.start()
    await harness.until(
        lambda: bool(lost) and not producer.held and len(harness.of(JobStopped)) == 1
    )
    assert lost == 1
    assert not harness.of(AcknowledgementRefused)
    assert await harness.results(job_id) == ["failed" if fails else "completed"]
    assert Signal(SignalKind.ENDED, str(job_id)) in harness.signals, (
        "whoever began to wait meanwhile is told"
    )
    (end,) = await harness.engine.ends([Wait(job_id, 0, False)], 1_000)
    assert end.value == (None if fails else "5")
    await stop(producer)


async def test_a_data_error_halves_the_batch_until_the_bad_row_stands_alone(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    gate, began = await gated(harness)
    ids = [await harness.put() for _ in range(8)]
    bad = ids[5]
    exchange = harness.engine.exchange
    sizes: list[int] = []

    async def refuse_bad(
        node: str, queue: str, free: int, acks: Sequence[Ack], **more: Any
    ) -> Exchange:
        sizes.append(len(acks))
        if any(ack.id == bad and ack.reason is None for ack in acks):
            raise DataRefused("not this one")
        return await exchange(node, queue, free, acks, **more)

    monkeypatch.setattr(harness.engine, "exchange", refuse_bad)
    producer = harness.producer(limit=8)
    await producer.start()
    for _ in ids:
        await began.acquire()
    gate.set()
    await harness.until(lambda: wait_idle(producer))
    await stop(producer)
    assert await harness.engine.counts() == {"default": {"completed": 8}}
    assert (await harness.job(bad)).reason == "its end could not be stored: DataRefused"
    assert [size for size in sizes if size] == [8, 4, 4, 2, 1, 1, 1, 2]
    assert caplog.text.count("the end of its attempt cannot be stored") == 1


async def test_a_failure_while_halving_loses_no_end(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
):
    gate, began = await gated(harness)
    ids = [await harness.put() for _ in range(8)]
    exchange = harness.engine.exchange
    failures = iter(
        [
            DataRefused("no"),
            DataRefused("no"),
            DatabaseUnavailable("gone"),
            DataRefused("no"),
            DatabaseUnavailable("gone"),
        ]
    )

    async def fail(node: str, queue: str, free: int, acks: Sequence[Ack], **more: Any) -> Exchange:
        if acks and (failure := next(failures, None)):
            raise failure
        return await exchange(node, queue, free, acks, **more)

    monkeypatch.setattr(harness.engine, "exchange", fail)
    producer = harness.producer(limit=8)
    await producer.start()
    for _ in ids:
        await began.acquire()
    gate.set()
    await harness.until(lambda: wait_idle(producer))
    await stop(producer)
    assert await harness.engine.counts() == {"default": {"completed": 8}}


async def test_an_end_that_can_never_be_stored_holds_up_nobody(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
):
    async def t() -> None:
        pass

    harness.task(t, name="t")
    ids = [await harness.put() for _ in range(6)]
    exchange = harness.engine.exchange

    async def refuse(
        node: str, queue: str, free: int, acks: Sequence[Ack], **more: Any
    ) -> Exchange:
        if any(ack.id == ids[2] for ack in acks):
            raise DataRefused("never")
        return await exchange(node, queue, free, acks, **more)

    monkeypatch.setattr(harness.engine, "exchange", refuse)
    producer = harness.producer(limit=2)
    await producer.start()
    await harness.until(lambda: len(harness.of(JobStopped)) == 6 and wait_idle(producer))
    await stop(producer)
    assert await harness.engine.counts() == {"default": {"completed": 5, "executing": 1}}
    assert await harness.engine.reconcile(harness.node, [], 0) == [
        (ids[2], "default", JobState.AVAILABLE, False)
    ]


@pytest.mark.parametrize(
    ("error", "levels"),
    [
        (DatabaseUnavailable("gone"), ["WARNING"]),  # its end is told by the heartbeat
        (SchemaOutdated("no tables"), ["WARNING", "INFO"]),
        (RuntimeError("a surprise"), ["WARNING", "INFO"]),
    ],
)
async def test_a_failing_exchange_is_logged_once_and_tried_again(
    harness: NodeHarness,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    levels: list[str],
):
    async def t() -> None:
        pass

    harness.task(t, name="t")
    exchange = harness.engine.exchange
    calls = 0

    async def fail_thrice(*args: Any, **more: Any) -> Exchange:
        nonlocal calls
        calls += 1
        if calls <= 3:
            raise error
        return await exchange(*args, **more)

    monkeypatch.setattr(harness.engine, "exchange", fail_thrice)
    await harness.put()
    producer = harness.producer()
    with caplog.at_level("INFO", "elihu"):
        await producer.start()
        await harness.until(lambda: len(harness.of(JobStopped)) == 1)
        await stop(producer)
    assert [record.levelname for record in caplog.records] == levels


async def test_a_look_ends_the_wait_after_a_failure(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
):
    async def t() -> None:
        pass

    harness.task(t, name="t")
    exchange = harness.engine.exchange
    failed = asyncio.Event()
    away = True

    async def fail_while_away(*args: Any, **more: Any) -> Exchange:
        failed.set()
        if away:
            raise DatabaseUnavailable("gone")
        return await exchange(*args, **more)

    monkeypatch.setattr(harness.engine, "exchange", fail_while_away)
    monkeypatch.setattr("elihu.runtime.queue.producer.backoff_after", lambda failures: NEVER)
    await harness.put()
    producer = harness.producer()
    await producer.start()
    await failed.wait()
    away = False
    await asyncio.sleep(0)
    producer.fetch_soon()
    await harness.until(lambda: len(harness.of(JobStopped)) == 1)
    await stop(producer)


async def test_a_job_of_an_unknown_task_is_given_back_reported_and_its_name_left_out(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async def t() -> None:
        pass

    harness.task(t, name="t")
    exchange = harness.engine.exchange
    excluded: list[tuple[str, ...]] = []

    async def watched(*args: Any, **more: Any) -> Exchange:
        excluded.append(tuple(more.get("exclude", ())))
        return await exchange(*args, **more)

    monkeypatch.setattr(harness.engine, "exchange", watched)
    strange = await harness.put("strange")
    producer = harness.producer()
    await producer.start()
    await harness.until(lambda: bool(harness.of(TaskUnknown)) and wait_idle(producer))
    job = await harness.job(strange)
    assert (job.state, job.attempt, job.started_at) == (JobState.SCHEDULED, 0, None)
    assert 0 < (job.scheduled_at - job.inserted_at).total_seconds() - UNKNOWN_TASK_DELAY < 5
    (run,) = await harness.engine.runs(strange)
    assert run.outcome is RunOutcome.RETURNED
    assert run.reason is not None
    assert "'strange'" in run.reason
    (event,) = harness.of(TaskUnknown)
    assert (event.task, event.queue, event.job_id, event.node) == (
        "strange",
        "default",
        strange,
        harness.node,
    )
    assert "strange" in caplog.text

    again = await harness.put("strange")
    await harness.put()
    producer.fetch_soon()
    await harness.until(lambda: len(harness.of(JobStopped)) == 1)
    assert excluded[-1] == ("strange",)
    assert await harness.state(again) is JobState.AVAILABLE
    harness.clock.time += UNKNOWN_TASK_DELAY
    producer.fetch_soon()
    await harness.until(lambda: len(harness.of(TaskUnknown)) == 2)
    await stop(producer)


async def test_a_batch_holds_a_job_once_and_is_bounded():
    def ack(job_id: int, claim: int = 1, value: str | None = None) -> Ack:
        return Ack(job_id, claim, RunOutcome.COMPLETED, JobState.COMPLETED, value=value)

    outbox = Outbox()
    for each in (ack(1), ack(2), ack(1, 2), ack(3)):
        outbox.put(each)
    assert [(each.id, each.claim) for each in outbox.take()] == [(1, 1), (2, 1), (3, 1)]
    assert [(each.id, each.claim) for each in outbox.take()] == [(1, 2)]
    for number in range(BATCH_ROWS + 1):
        outbox.put(ack(number))
    assert [len(outbox.take()), len(outbox.take()), len(outbox)] == [BATCH_ROWS, 1, 0]
    for number in range(4):
        outbox.put(ack(number, value="x" * (BATCH_BYTES // 2)))
    assert [len(outbox.take()) for _ in range(2)] == [2, 2]


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
    async with asyncio.timeout(5):
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


async def test_a_thread_that_does_not_end_is_given_back_and_its_later_end_unheard(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("elihu.runtime.queue.producer.UNWIND", 0.05)
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
    await asyncio.wait([execution.handle], timeout=5)
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
    async with asyncio.timeout(5):
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
        async with asyncio.timeout(5):
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


async def test_a_buried_node_drops_its_attempts_and_sends_nothing_of_them(
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
    await asyncio.wait([handle for handle in handles if handle], timeout=5)
    assert wait_idle(producer)
    await stop(producer)
    assert sent == []
    assert [await harness.state(id_) for id_ in ids] == ["executing", "executing"]


async def test_a_burial_ends_the_wait_of_a_stop(harness: NodeHarness):
    _, began = await gated(harness)
    await harness.put()
    producer = harness.producer()
    await producer.start()
    await began.acquire()
    stopping = asyncio.create_task(stop(producer, grace=NEVER))
    await asyncio.sleep(0)
    producer.lose_all()
    async with asyncio.timeout(5):
        await stopping


@pytest.mark.parametrize("options", ["[1]", '"text"', '{"backoff": "never"}'])
async def test_options_that_make_no_sense_end_the_attempt_and_not_the_slot(
    harness: NodeHarness, options: str
):
    async def t() -> int:
        raise ValueError("no")

    async def well() -> int:
        return 1

    harness.task(t, name="t")
    harness.task(well, name="well")
    await harness.put(options=options)
    await harness.put("well", options=options)
    producer = harness.producer(limit=1)
    await producer.start()
    await harness.until(lambda: len(harness.of(JobStopped)) == 2 and wait_idle(producer))
    await stop(producer)
    assert [event.outcome for event in harness.of(JobStopped)] == ["failed", "completed"]


@pytest.mark.parametrize(
    "failure",
    [DatabaseUnavailable("gone"), SchemaOutdated("no tables"), RuntimeError("a surprise")],
)
async def test_a_last_report_that_cannot_be_written_ends_the_attempt_and_not_the_slot(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch, failure: Exception
):
    async def t(ctx: Context):
        ctx.progress(1)

    async def refuse(*_: Any) -> None:
        raise failure

    monkeypatch.setattr(harness.engine, "record_progress", refuse)
    harness.task(t, name="t")
    ids = [await harness.put(), await harness.put()]
    producer = harness.producer(limit=1)
    await producer.start()
    await harness.until(lambda: len(harness.of(JobStopped)) == 2 and wait_idle(producer))
    await stop(producer)
    assert [await harness.state(id_) for id_ in ids] == ["completed", "completed"]
