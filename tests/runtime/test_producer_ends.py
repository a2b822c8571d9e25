"""How a producer writes the ends of attempts."""

from collections.abc import Sequence
from typing import Any

import pytest

from elihu import Context, DatabaseUnavailable, DataRefused, JobState, RunOutcome, SchemaOutdated
from elihu.engines.protocol import Ack, Exchange
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.engines.protocol.waits import Wait
from elihu.telemetry.events import (
    AcknowledgementRefused,
    JobStopped,
)
from tests.engines.raw import Raw
from tests.runtime.harness import NodeHarness
from tests.runtime.producers import gated, stop, wait_idle


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


async def test_a_data_error_halves_the_batch_until_the_bad_row_is_alone(
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
