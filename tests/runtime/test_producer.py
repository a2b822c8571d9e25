"""What a queue's producer fetches, and what it does after a failure."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from elihu import DatabaseUnavailable, JobState, RunOutcome, SchemaOutdated
from elihu.engines.protocol import Ack, Exchange
from elihu.runtime.queue.outbox import BATCH_BYTES, BATCH_ROWS, Outbox
from elihu.runtime.queue.unknown_tasks import UNKNOWN_TASK_DELAY
from elihu.telemetry.events import (
    JobStarted,
    JobStopped,
    TaskUnknown,
)
from tests.runtime.harness import NodeHarness
from tests.runtime.producers import NEVER, gated, stop, wait_idle


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


async def test_a_job_of_an_idle_node_begins_before_the_producer_takes_note_of_the_answer(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
):
    order: list[str] = []

    async def t() -> None:
        order.append("job")

    def noted(*_: Any, **more: Any) -> None:
        if more["claimed"]:
            order.append("note")

    harness.task(t, name="t")
    await harness.put()
    producer = harness.producer()
    monkeypatch.setattr(producer._wakes, "fetched", noted)
    await producer.start()
    await harness.until(lambda: len(order) == 2)
    await stop(producer)
    assert order == ["job", "note"]


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


async def test_claimed_jobs_start_before_an_exchange_that_was_asked_for_meanwhile(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
):
    exchange = harness.engine.exchange
    began: list[bool] = []
    began_at_exchange: list[bool] = []

    async def announced_meanwhile(*args: Any, **more: Any) -> Exchange:
        began_at_exchange.append(bool(began))
        answer = await exchange(*args, **more)
        if len(began_at_exchange) == 1:
            producer.fetch_soon()
        return answer

    async def t() -> None:
        began.append(True)

    harness.task(t, name="t")
    await harness.put()
    monkeypatch.setattr(harness.engine, "exchange", announced_meanwhile)
    producer = harness.producer()
    await producer.start()
    await harness.until(lambda: len(harness.of(JobStopped)) == 1)
    await harness.until(lambda: len(began_at_exchange) >= 2)
    await stop(producer)
    assert began_at_exchange[:2] == [False, True]


async def test_the_poll_finds_a_job_that_was_not_announced(harness: NodeHarness):
    async def t() -> None:
        pass

    harness.task(t, name="t")
    producer = harness.producer(poll=0.05)
    await producer.start()
    await harness.put()
    await harness.until(lambda: len(harness.of(JobStopped)) == 1)
    await stop(producer)


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
    harness.clock.time += 100 * UNKNOWN_TASK_DELAY
    await harness.put()
    producer.fetch_soon()
    await harness.until(lambda: len(harness.of(JobStopped)) == 2)
    assert excluded[-1] == ("strange",), "the name is left alone while the node runs"
    assert len(harness.of(TaskUnknown)) == 1
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
