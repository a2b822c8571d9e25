"""Killing, timing out and stopping running attempts, and what does not end when it is
told to.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from elihu import Context, JobState, RunOutcome, Snooze
from elihu.engines.protocol import BulkResult
from elihu.job import JobFilter
from elihu.runtime.attempts.execution import Cause
from elihu.runtime.queue.canceller import Canceller
from elihu.runtime.queue.producer import Producer
from elihu.telemetry.events import (
    AbandonedEnded,
    AcknowledgementRefused,
    AttemptAbandoned,
    EngineCalled,
    FetchResumed,
    FetchSuspended,
    JobRaised,
    JobStarted,
    JobStopped,
    QueueShutdown,
)
from tests.runtime.conftest import Desks
from tests.runtime.harness import NodeHarness

SOON = 0.05


class Workbench:
    """A producer and a canceller at work, and gates for the tasks of a test."""

    def __init__(self, harness: NodeHarness, producer: Producer) -> None:
        self.harness = harness
        self.producer = producer
        self.canceller = Canceller(harness.scope, lambda: [producer])

    async def run(self, task: str = "t", **fields: Any) -> int:
        """Store a job and return its id when an attempt has begun."""
        begun = len(self.harness.of(JobStarted))
        job_id = await self.harness.put(task, **fields)
        self.producer.fetch_soon()
        await self.harness.until(lambda: len(self.harness.of(JobStarted)) > begun)
        return job_id

    async def kill(self, job_id: int) -> None:
        touched: BulkResult = await self.harness.engine.kill(JobFilter(ids=(job_id,)))
        assert touched == BulkResult(1, frozenset(), frozenset({self.harness.node}))
        assert (await self.canceller.tick()).data["killed_count"] == 1

    async def ended(self, number: int = 1) -> JobStopped:
        """The ``number``-th end, when it is written."""
        await self.harness.until(
            lambda: len(self.harness.of(JobStopped)) >= number and not self.producer.held
        )
        return self.harness.of(JobStopped)[number - 1]


@asynccontextmanager
async def at_work(harness: NodeHarness, limit: int = 2) -> AsyncIterator[Workbench]:
    producer = harness.producer(limit)
    await producer.start()
    yield Workbench(harness, producer)


class Gate:
    """Holds tasks until it is opened, in a thread or in the loop."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.async_open = asyncio.Event()
        self.cancelled = 0

        def thread() -> None:
            """Does not listen."""
            assert self.open.wait(20)

        async def loop() -> None:
            """Swallows its cancellation."""
            while not self.async_open.is_set():
                try:
                    await self.async_open.wait()
                except asyncio.CancelledError:
                    self.cancelled += 1

        self.thread = thread
        self.loop = loop


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()
    gate.async_open.set()


async def endless() -> None:
    await asyncio.Event().wait()


async def test_a_killed_task_is_cancelled_and_its_job_tried_again(
    harness: NodeHarness, caplog: pytest.LogCaptureFixture
):
    harness.task(endless, name="t", backoff=60, retry_on=(OSError,), discard_on=(BaseException,))
    async with at_work(harness) as bench:
        job_id = await bench.run()
        await bench.kill(job_id)
        ended = await bench.ended()
        assert (ended.outcome, ended.state, type(ended)) == (
            RunOutcome.KILLED,
            JobState.RETRYABLE,
            JobStopped,
        )
    job = await harness.job(job_id)
    (run,) = await harness.engine.runs(job_id)
    assert (job.state, job.reason, job.attempt) == (JobState.RETRYABLE, "killed", 1)
    assert (run.outcome, run.reason, run.error) == ("killed", "killed", None)
    assert 55 < (job.scheduled_at - run.started_at).total_seconds() < 90
    assert "in endless" in (run.traceback or "")
    assert "failed in attempt 1 of 20 and is tried again in 60 s: killed" in caplog.text


async def test_out_of_attempts_a_killed_job_is_discarded(harness: NodeHarness):
    harness.task(endless, name="t")
    async with at_work(harness) as bench:
        job_id = await bench.run(max_attempts=1)
        await bench.kill(job_id)
        await bench.ended()
    job = await harness.job(job_id)
    assert (job.state, job.reason) == (JobState.DISCARDED, "killed")


async def test_what_a_killed_task_raises_is_kept(harness: NodeHarness):
    async def t() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("while it was killed") from None

    harness.task(t, name="t")
    async with at_work(harness) as bench:
        job_id = await bench.run()
        await bench.kill(job_id)
        await bench.ended()
    (run,) = await harness.engine.runs(job_id)
    assert (run.outcome, run.reason, run.error) == (
        "killed",
        "killed",
        "ValueError: while it was killed",
    )


async def test_an_async_task_that_returns_after_it_was_killed_was_killed(harness: NodeHarness):
    async def t() -> str | Snooze:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return Snooze(1)
        return "never"

    harness.task(t, name="t")
    async with at_work(harness) as bench:
        job_id = await bench.run()
        await bench.kill(job_id)
        await bench.ended()
    assert await harness.results(job_id) == ["killed"]
    assert (await harness.job(job_id)).attempt == 1


@pytest.mark.parametrize(("looks", "result"), [(True, "killed"), (False, "completed")])
async def test_a_thread_that_returns_after_it_was_killed_was_killed_if_it_looked(
    harness: NodeHarness, gate: Gate, looks: bool, result: str
):
    def t(ctx: Context) -> None:
        gate.thread()
        if looks:
            assert ctx.cancelled

    harness.task(t, name="t")
    async with at_work(harness) as bench:
        job_id = await bench.run()
        await bench.kill(job_id)
        gate.open.set()
        await bench.ended()
    assert await harness.results(job_id) == [result]
    assert not harness.of(AttemptAbandoned)


async def test_a_wish_to_cancel_that_comes_after_one_to_kill_wins(harness: NodeHarness, gate: Gate):
    def t(ctx: Context) -> None:
        gate.thread()
        if ctx.cancelled:
            raise RuntimeError("gives up")

    harness.task(t, name="t")
    async with at_work(harness) as bench:
        job_id = await bench.run()
        await bench.kill(job_id)
        await harness.engine.cancel(JobFilter(ids=(job_id,)))
        await bench.canceller.tick()
        gate.open.set()
        await bench.ended()
    assert await harness.state(job_id) is JobState.CANCELLED
    assert await harness.results(job_id) == ["cancelled"]


async def test_a_cancel_that_the_node_has_not_heard_of_wins_over_a_timeout(harness: NodeHarness):
    harness.task(endless, name="t", timeout=0.3)
    async with at_work(harness) as bench:
        job_id = await bench.run()
        await harness.engine.cancel(JobFilter(ids=(job_id,)))
        await bench.ended()
    assert await harness.state(job_id) is JobState.CANCELLED
    assert await harness.results(job_id) == ["timed_out"]


# timeouts


async def test_an_attempt_that_runs_too_long_is_ended(
    harness: NodeHarness, caplog: pytest.LogCaptureFixture
):
    harness.task(endless, name="t", timeout=SOON, backoff=60, discard_on=(TimeoutError,))
    async with at_work(harness) as bench:
        job_id = await bench.run()
        ended = await bench.ended()
    job = await harness.job(job_id)
    (run,) = await harness.engine.runs(job_id)
    assert (ended.outcome, job.state, job.attempt) == (RunOutcome.TIMED_OUT, JobState.RETRYABLE, 1)
    assert (job.reason, run.reason, run.outcome) == ("timeout: ran longer than 0.05 s",) * 2 + (
        "timed_out",
    )
    assert "in endless" in (run.traceback or "")
    assert "is tried again in 60 s: timeout: ran longer than 0.05 s" in caplog.text


async def test_the_last_timeout_discards(harness: NodeHarness):
    harness.task(endless, name="t", timeout=SOON)
    async with at_work(harness) as bench:
        job_id = await bench.run(max_attempts=1)
        await bench.ended()
    job = await harness.job(job_id)
    assert (job.state, job.reason) == (JobState.DISCARDED, "timeout: ran longer than 0.05 s")


async def test_a_thread_is_told_of_its_timeout(harness: NodeHarness):
    def t(ctx: Context) -> None:
        while not ctx.cancelled:
            pass

    harness.task(t, name="t", timeout=SOON)
    async with at_work(harness) as bench:
        job_id = await bench.run()
        await bench.ended()
    assert await harness.results(job_id) == ["timed_out"]


async def test_backoff_gets_a_timeout_error(harness: NodeHarness):
    errors: list[BaseException] = []

    def backoff(job: object, error: BaseException) -> float:
        errors.append(error)
        return 60

    harness.task(endless, name="t", timeout=SOON, backoff=backoff)
    async with at_work(harness) as bench:
        await bench.run()
        await bench.ended()
    assert [type(error) for error in errors] == [TimeoutError]


async def test_the_limit_of_the_job_goes_before_that_of_the_task(harness: NodeHarness, gate: Gate):
    harness.task(gate.loop, name="t", timeout=SOON)
    async with at_work(harness) as bench:
        patient = await bench.run(options='{"timeout": 1000}')
        endless_ = await bench.run(options='{"timeout": null}')
        one, two = bench.producer.running.values()
        assert (one.timeout, two.timeout, two.timer) == (1_000.0, None, None)
        gate.async_open.set()
        await bench.ended(2)
    assert {await harness.state(job_id) for job_id in (patient, endless_)} == {JobState.COMPLETED}


async def test_without_a_limit_there_is_no_timer_and_an_end_stops_it(harness: NodeHarness):
    harness.task(endless, name="t")
    harness.task(endless, name="limited", timeout=1_000)
    async with at_work(harness) as bench:
        await bench.run()
        job_id = await bench.run("limited")
        plain, limited = bench.producer.running.values()
        assert plain.timer is None
        assert limited.timer is not None
        assert not limited.timer.cancelled()
        await bench.kill(job_id)
        await harness.until(lambda: bool(harness.of(JobStopped)))
        assert limited.timer.cancelled()


@pytest.mark.parametrize("given", ['"soon"', "-1", "0", "true", "[1]", "1e300"])
async def test_a_limit_that_other_hands_wrote_wrong_fails_the_attempt(
    harness: NodeHarness, given: str
):
    harness.task(endless, name="t")
    async with at_work(harness) as bench:
        job_id = await bench.run(options=f'{{"timeout": {given}}}')
        await bench.ended()
    (run,) = await harness.engine.runs(job_id)
    assert run.outcome == "failed"
    assert (run.error or "").startswith(
        f"InvalidOption: options of job {job_id}: timeout: expected "
    )


# what does not end


async def test_a_thread_that_does_not_end_is_abandoned(
    harnesses: Desks, gate: Gate, caplog: pytest.LogCaptureFixture
):
    harness = await harnesses(kill_grace=SOON)
    harness.task(gate.thread, name="t")
    async with at_work(harness, limit=1) as bench:
        await harness.abandoned.start()
        job_id = await bench.run()
        await bench.kill(job_id)
        ended = await bench.ended()
        assert (ended.outcome, ended.state) == (RunOutcome.KILLED, JobState.RETRYABLE)
        (event,) = harness.of(AttemptAbandoned)
        assert (event.job_id, event.claim, event.run_in, event.abandoned) == (
            job_id,
            1,
            "thread",
            1,
        )
        assert (
            f"job {job_id} (t) did not end within 0.05 s of being told to: attempt 1 is abandoned"
            in caplog.text
        )
        await harness.until(lambda: harness.said == {"abandoned": 1})
        assert await bench.run() != job_id, "its slot is free again"
        gate.open.set()
        await harness.until(
            lambda: harness.said == {"abandoned": 0} and len(harness.of(JobStopped)) == 2
        )
        assert len(harness.of(AbandonedEnded)) == 1
    assert await harness.results(job_id) == ["killed"]


async def test_an_async_task_that_swallows_its_cancellation_is_abandoned(
    harnesses: Desks, gate: Gate
):
    harness = await harnesses(kill_grace=SOON)
    harness.task(gate.loop, name="t", timeout=SOON)
    async with at_work(harness) as bench:
        job_id = await bench.run()
        await bench.ended()
        (event,) = harness.of(AttemptAbandoned)
        assert (event.job_id, event.run_in, gate.cancelled) == (job_id, "loop", 1)
        gate.async_open.set()
        await harness.until(lambda: bool(harness.of(AbandonedEnded)))
    assert await harness.results(job_id) == ["timed_out"]
    assert not harness.of(AcknowledgementRefused)


async def test_an_abandoned_attempt_that_was_cancelled_ends_its_job(harnesses: Desks, gate: Gate):
    harness = await harnesses(kill_grace=SOON)
    harness.task(gate.thread, name="t")
    async with at_work(harness) as bench:
        job_id = await bench.run()
        await harness.engine.cancel(JobFilter(ids=(job_id,)))
        await bench.canceller.tick()
        await bench.ended()
    assert await harness.state(job_id) is JobState.CANCELLED
    assert await harness.results(job_id) == ["cancelled"]


async def test_what_ends_in_time_is_not_abandoned(harnesses: Desks):
    harness = await harnesses(kill_grace=SOON)
    cleaned = asyncio.Event()

    async def t() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await cleaned.wait()

    harness.task(t, name="t")
    async with at_work(harness) as bench:
        job_id = await bench.run()
        await bench.kill(job_id)
        (execution,) = bench.producer.running.values()
        cleaned.set()
        await bench.ended()
        assert execution.timer is not None
        assert execution.timer.cancelled()
    assert not harness.of(AttemptAbandoned)


async def test_an_attempt_that_ended_is_not_abandoned_while_its_progress_is_stored(
    harnesses: Desks, monkeypatch: pytest.MonkeyPatch
):
    harness = await harnesses(kill_grace=SOON)
    storing, go_on = asyncio.Event(), asyncio.Event()

    async def record_progress(*_: object) -> None:
        storing.set()
        await go_on.wait()

    async def t(ctx: Context) -> None:
        ctx.progress(1)
        await asyncio.Event().wait()

    monkeypatch.setattr(harness.engine, "record_progress", record_progress)
    harness.task(t, name="t")
    async with at_work(harness) as bench:
        job_id = await bench.run()
        (execution,) = bench.producer.running.values()
        await bench.kill(job_id)
        await storing.wait()
        assert execution.timer is not None
        assert execution.timer.cancelled()
        go_on.set()
        await bench.ended()
    assert await harness.results(job_id) == ["killed"]


async def test_with_too_many_abandoned_threads_no_more_thread_jobs_are_fetched(
    harnesses: Desks, gate: Gate, caplog: pytest.LogCaptureFixture
):
    harness = await harnesses(kill_grace=SOON, max_abandoned=2)
    ran = asyncio.Event()

    async def other() -> None:
        ran.set()

    harness.task(gate.thread, name="t", aliases=["old"], timeout=SOON)
    harness.task(other, name="other")
    caplog.set_level(logging.INFO)
    async with at_work(harness, limit=4) as bench:
        for _ in range(3):
            await harness.put(max_attempts=1)
        bench.producer.fetch_soon()
        await harness.until(lambda: len(harness.of(AttemptAbandoned)) == 3)
        assert [(event.run_in, event.abandoned) for event in harness.of(FetchSuspended)] == [
            ("thread", 2)
        ]
        assert caplog.text.count("this node fetches no more jobs of that kind until one ends") == 1
        waiting = [await harness.put("t"), await harness.put("old")]
        await bench.run("other")
        await ran.wait()
        fetches = sum(event.verb == "exchange" for event in harness.of(EngineCalled))
        bench.producer.fetch_soon()
        await harness.until(
            lambda: sum(event.verb == "exchange" for event in harness.of(EngineCalled)) > fetches
        )
        assert [await harness.state(job_id) for job_id in waiting] == [JobState.AVAILABLE] * 2
        gate.open.set()
        await harness.until(lambda: len(harness.of(JobStopped)) == 6)
        assert [event.run_in for event in harness.of(FetchResumed)] == ["thread"]
        await bench.ended(6)
        assert [await harness.state(job_id) for job_id in waiting] == [JobState.COMPLETED] * 2


async def test_an_abandoned_attempt_does_not_hold_up_a_stop(harnesses: Desks, gate: Gate):
    harness = await harnesses(kill_grace=SOON)
    harness.task(gate.thread, name="t", timeout=SOON)
    async with at_work(harness) as bench:
        await bench.run()
        await bench.ended()
        async with asyncio.timeout(10):
            await bench.producer.stop(grace=3_600, now=asyncio.Event())
    (shutdown,) = harness.of(QueueShutdown)
    assert shutdown.released == ()


async def test_an_attempt_that_is_being_killed_when_the_node_stops_is_recorded_as_killed(
    harness: NodeHarness, gate: Gate
):
    harness.task(gate.thread, name="t")
    async with at_work(harness) as bench:
        job_id = await bench.run()
        await bench.kill(job_id)
        await bench.producer.stop(grace=0, now=asyncio.Event())
    assert await harness.results(job_id) == ["killed"]
    assert (await harness.job(job_id)).attempt == 1


# stop


async def test_a_stopped_attempt_is_told_goes_on_and_is_refused(harness: NodeHarness):
    began, saw, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()
    begun: list[int] = []

    async def t(ctx: Context) -> None:
        begun.append(ctx.attempt)
        began.set()
        if len(begun) == 1:
            await ctx.wait_cancelled()
            saw.set()
            await go_on.wait()

    harness.task(t, name="t", timeout=1_000)
    async with at_work(harness) as bench:
        job_id = await bench.run()
        await began.wait()
        (old,) = bench.producer.running.values()
        assert (await harness.engine.stop(job_id)).nodes == {harness.node}
        bench.producer.fetch_soon()
        for _ in range(2):
            assert (await bench.canceller.tick()).data["stopped_count"] == 1
        await saw.wait()
        assert old.timer is not None
        assert not old.timer.cancelled(), "its time is still limited"
        await harness.until(lambda: len(harness.of(JobStopped)) == 1)
        assert bench.producer.running == {(job_id, 1): old}, (
            "it overlaps the next one, which has ended"
        )
        go_on.set()
        await harness.until(
            lambda: bool(harness.of(AcknowledgementRefused)) and not bench.producer.held
        )
        await bench.producer.stop(grace=0, now=asyncio.Event())
    (refused,) = harness.of(AcknowledgementRefused)
    assert (refused.job_id, refused.claim) == (job_id, 1)
    assert begun == [1, 1]
    assert not harness.of(JobRaised)
    assert harness.of(QueueShutdown)[0].released == ()
    assert await harness.results(job_id) == ["stopped", "completed"]


async def test_a_stopped_thread_sees_it_and_what_it_raises_is_of_no_account(
    harness: NodeHarness, caplog: pytest.LogCaptureFixture
):
    def t(ctx: Context) -> None:
        while not ctx.cancelled:
            pass
        raise RuntimeError("gives up")

    harness.task(t, name="t")
    async with at_work(harness, limit=1) as bench:
        job_id = await bench.run()
        await harness.engine.stop(job_id)
        await harness.engine.hold(JobFilter(ids=(job_id,)))
        await bench.canceller.tick()
        await harness.until(lambda: bool(harness.of(AcknowledgementRefused)))
    assert "gives up" not in caplog.text
    assert (await harness.job(job_id)).attempt == 0


async def test_what_was_stopped_still_has_its_limit(harnesses: Desks, gate: Gate):
    harness = await harnesses(kill_grace=SOON)
    harness.task(gate.thread, name="t", timeout=0.2)
    async with at_work(harness, limit=1) as bench:
        job_id = await bench.run()
        await harness.engine.stop(job_id)
        await harness.engine.hold(JobFilter(ids=(job_id,)))
        await bench.canceller.tick()
        await harness.until(lambda: bool(harness.of(AcknowledgementRefused)))
        assert len(harness.of(AttemptAbandoned)) == 1
        assert not bench.producer.running
    assert await harness.results(job_id) == ["stopped"]


@pytest.mark.parametrize("take_away", ["delete", "rescue"])
async def test_an_attempt_whose_job_was_taken_away_otherwise_is_told_too(
    harness: NodeHarness, take_away: str
):
    harness.task(endless, name="t")
    async with at_work(harness) as bench:
        job_id = await bench.run()
        (execution,) = bench.producer.running.values()
        await harness.engine.deregister_node(harness.node)
        await harness.engine.rescue(10)
        if take_away == "delete":
            await harness.engine.cancel(JobFilter(ids=(job_id,)))
            await harness.engine.delete(JobFilter(ids=(job_id,)))
        await bench.canceller.tick()
        assert execution.cause is Cause.STOP
        assert execution.context.cancelled


async def test_what_goes_on_after_its_node_was_buried_is_counted(harnesses: Desks, gate: Gate):
    harness = await harnesses(kill_grace=SOON)
    harness.task(gate.thread, name="t")
    async with at_work(harness) as bench:
        job_id = await bench.run()
        bench.producer.lose_all()
        await harness.until(lambda: bool(harness.of(AttemptAbandoned)))
        assert harness.abandoned.count == 1
        gate.open.set()
        await harness.until(lambda: bool(harness.of(AbandonedEnded)))
    assert harness.abandoned.count == 0
    assert await harness.state(job_id) is JobState.EXECUTING


async def test_a_lost_claim_ends_what_was_only_stopped(harness: NodeHarness):
    harness.task(endless, name="t")
    async with at_work(harness) as bench:
        job_id = await bench.run()
        (execution,) = bench.producer.running.values()
        await harness.engine.stop(job_id)
        await bench.canceller.tick()
        bench.producer.lose_all()
        assert execution.handle is not None
        await asyncio.wait([execution.handle])
    assert execution.cause is Cause.LOST
