"""Killing, timing out and stopping running attempts, and what does not end when it is told to."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from elihu import Context, JobState, RunResult, Snooze
from elihu.engines.base import Touched
from elihu.job import JobFilter
from elihu.runtime.canceller import Canceller
from elihu.runtime.execution import Cause
from elihu.runtime.producer import Producer
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
from tests.runtime.desk import Desk

SOON = 0.05


class Bench:
    """A producer and a canceller at work, and gates for the tasks of a test."""

    def __init__(self, desk: Desk, producer: Producer) -> None:
        self.desk = desk
        self.producer = producer
        self.canceller = Canceller(desk.scope, lambda: [producer])

    async def run(self, task: str = "t", **fields: Any) -> int:
        """Store a job and return its id when an attempt has begun."""
        begun = len(self.desk.of(JobStarted))
        job_id = await self.desk.put(task, **fields)
        self.producer.look()
        await self.desk.until(lambda: len(self.desk.of(JobStarted)) > begun)
        return job_id

    async def kill(self, job_id: int) -> None:
        touched: Touched = await self.desk.engine.kill(JobFilter(ids=(job_id,)))
        assert touched == Touched(1, frozenset(), frozenset({self.desk.node}))
        assert (await self.canceller.tick()).data["killed_count"] == 1

    async def ended(self, number: int = 1) -> JobStopped:
        """The ``number``-th end, when it is written."""
        await self.desk.until(lambda: len(self.desk.of(JobStopped)) >= number and not self.producer.held)
        return self.desk.of(JobStopped)[number - 1]


@asynccontextmanager
async def at_work(desk: Desk, limit: int = 2) -> AsyncIterator[Bench]:
    producer = desk.producer(limit)
    await producer.start()
    yield Bench(desk, producer)


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


async def test_a_killed_task_is_cancelled_and_its_job_tried_again(desk: Desk, caplog: pytest.LogCaptureFixture):
    desk.task(endless, name="t", backoff=60, retry_on=(OSError,), discard_on=(BaseException,))
    async with at_work(desk) as bench:
        job_id = await bench.run()
        await bench.kill(job_id)
        ended = await bench.ended()
        assert (ended.result, ended.state, type(ended)) == (RunResult.KILLED, JobState.RETRYABLE, JobStopped)
    job = await desk.job(job_id)
    (run,) = await desk.engine.runs(job_id)
    assert (job.state, job.reason, job.attempt) == (JobState.RETRYABLE, "killed", 1)
    assert (run.result, run.reason, run.error) == ("killed", "killed", None)
    assert 55 < (job.scheduled_at - run.started_at).total_seconds() < 90
    assert "in endless" in (run.traceback or "")
    assert "failed in attempt 1 of 20 and is tried again in 60 s: killed" in caplog.text


async def test_out_of_attempts_a_killed_job_is_discarded(desk: Desk):
    desk.task(endless, name="t")
    async with at_work(desk) as bench:
        job_id = await bench.run(max_attempts=1)
        await bench.kill(job_id)
        await bench.ended()
    job = await desk.job(job_id)
    assert (job.state, job.reason) == (JobState.DISCARDED, "killed")


async def test_what_a_killed_task_raises_is_kept(desk: Desk):
    async def t() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("while it was killed") from None

    desk.task(t, name="t")
    async with at_work(desk) as bench:
        job_id = await bench.run()
        await bench.kill(job_id)
        await bench.ended()
    (run,) = await desk.engine.runs(job_id)
    assert (run.result, run.reason, run.error) == ("killed", "killed", "ValueError: while it was killed")


async def test_an_async_task_that_returns_after_it_was_killed_was_killed(desk: Desk):
    async def t() -> str | Snooze:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return Snooze(1)
        return "never"

    desk.task(t, name="t")
    async with at_work(desk) as bench:
        job_id = await bench.run()
        await bench.kill(job_id)
        await bench.ended()
    assert await desk.results(job_id) == ["killed"]
    assert (await desk.job(job_id)).attempt == 1


@pytest.mark.parametrize(("looks", "result"), [(True, "killed"), (False, "completed")])
async def test_a_thread_that_returns_after_it_was_killed_was_killed_if_it_looked(desk: Desk, gate: Gate, looks: bool, result: str):
    def t(ctx: Context) -> None:
        gate.thread()
        if looks:
            assert ctx.cancelled

    desk.task(t, name="t")
    async with at_work(desk) as bench:
        job_id = await bench.run()
        await bench.kill(job_id)
        gate.open.set()
        await bench.ended()
    assert await desk.results(job_id) == [result]
    assert not desk.of(AttemptAbandoned)


async def test_a_wish_to_cancel_that_comes_after_one_to_kill_wins(desk: Desk, gate: Gate):
    def t(ctx: Context) -> None:
        gate.thread()
        if ctx.cancelled:
            raise RuntimeError("gives up")

    desk.task(t, name="t")
    async with at_work(desk) as bench:
        job_id = await bench.run()
        await bench.kill(job_id)
        await desk.engine.cancel(JobFilter(ids=(job_id,)))
        await bench.canceller.tick()
        gate.open.set()
        await bench.ended()
    assert await desk.state(job_id) is JobState.CANCELLED
    assert await desk.results(job_id) == ["cancelled"]


async def test_a_cancel_that_the_node_has_not_heard_of_wins_over_a_timeout(desk: Desk):
    desk.task(endless, name="t", timeout=0.3)
    async with at_work(desk) as bench:
        job_id = await bench.run()
        await desk.engine.cancel(JobFilter(ids=(job_id,)))
        await bench.ended()
    assert await desk.state(job_id) is JobState.CANCELLED
    assert await desk.results(job_id) == ["timeout"]


# timeouts


async def test_an_attempt_that_runs_too_long_is_ended(desk: Desk, caplog: pytest.LogCaptureFixture):
    desk.task(endless, name="t", timeout=SOON, backoff=60, discard_on=(TimeoutError,))
    async with at_work(desk) as bench:
        job_id = await bench.run()
        ended = await bench.ended()
    job = await desk.job(job_id)
    (run,) = await desk.engine.runs(job_id)
    assert (ended.result, job.state, job.attempt) == (RunResult.TIMEOUT, JobState.RETRYABLE, 1)
    assert (job.reason, run.reason, run.result) == ("timeout: ran longer than 0.05 s",) * 2 + ("timeout",)
    assert "in endless" in (run.traceback or "")
    assert "is tried again in 60 s: timeout: ran longer than 0.05 s" in caplog.text


async def test_the_last_timeout_discards(desk: Desk):
    desk.task(endless, name="t", timeout=SOON)
    async with at_work(desk) as bench:
        job_id = await bench.run(max_attempts=1)
        await bench.ended()
    job = await desk.job(job_id)
    assert (job.state, job.reason) == (JobState.DISCARDED, "timeout: ran longer than 0.05 s")


async def test_a_thread_is_told_of_its_timeout(desk: Desk):
    def t(ctx: Context) -> None:
        while not ctx.cancelled:
            pass

    desk.task(t, name="t", timeout=SOON)
    async with at_work(desk) as bench:
        job_id = await bench.run()
        await bench.ended()
    assert await desk.results(job_id) == ["timeout"]


async def test_backoff_gets_a_timeout_error(desk: Desk):
    errors: list[BaseException] = []

    def backoff(job: object, error: BaseException) -> float:
        errors.append(error)
        return 60

    desk.task(endless, name="t", timeout=SOON, backoff=backoff)
    async with at_work(desk) as bench:
        await bench.run()
        await bench.ended()
    assert [type(error) for error in errors] == [TimeoutError]


async def test_the_limit_of_the_job_goes_before_that_of_the_task(desk: Desk, gate: Gate):
    desk.task(gate.loop, name="t", timeout=SOON)
    async with at_work(desk) as bench:
        patient = await bench.run(options='{"timeout": 1000}')
        endless_ = await bench.run(options='{"timeout": null}')
        one, two = bench.producer.running.values()
        assert (one.timeout, two.timeout, two.timer) == (1_000.0, None, None)
        gate.async_open.set()
        await bench.ended(2)
    assert {await desk.state(job_id) for job_id in (patient, endless_)} == {JobState.COMPLETED}


async def test_without_a_limit_there_is_no_timer_and_an_end_stops_it(desk: Desk):
    desk.task(endless, name="t")
    desk.task(endless, name="limited", timeout=1_000)
    async with at_work(desk) as bench:
        await bench.run()
        job_id = await bench.run("limited")
        plain, limited = bench.producer.running.values()
        assert plain.timer is None
        assert limited.timer is not None
        assert not limited.timer.cancelled()
        await bench.kill(job_id)
        await desk.until(lambda: bool(desk.of(JobStopped)))
        assert limited.timer.cancelled()


@pytest.mark.parametrize("given", ['"soon"', "-1", "0", "true", "[1]", "1e300"])
async def test_a_limit_that_other_hands_wrote_wrong_fails_the_attempt(desk: Desk, given: str):
    desk.task(endless, name="t")
    async with at_work(desk) as bench:
        job_id = await bench.run(options=f'{{"timeout": {given}}}')
        await bench.ended()
    (run,) = await desk.engine.runs(job_id)
    assert run.result == "failed"
    assert (run.error or "").startswith(f"InvalidOption: options of job {job_id}: timeout: expected ")


# what does not end


async def test_a_thread_that_does_not_end_is_abandoned(desks: Desks, gate: Gate, caplog: pytest.LogCaptureFixture):
    desk = await desks(kill_grace=SOON)
    desk.task(gate.thread, name="t")
    async with at_work(desk, limit=1) as bench:
        await desk.abandoned.start()
        job_id = await bench.run()
        await bench.kill(job_id)
        ended = await bench.ended()
        assert (ended.result, ended.state) == (RunResult.KILLED, JobState.RETRYABLE)
        (event,) = desk.of(AttemptAbandoned)
        assert (event.job_id, event.claim, event.run_in, event.abandoned) == (job_id, 1, "thread", 1)
        assert f"job {job_id} (t) did not end within 0.05 s of being told to: attempt 1 is abandoned" in caplog.text
        await desk.until(lambda: desk.said == {"abandoned": 1})
        assert await bench.run() != job_id, "its slot is free again"
        gate.open.set()
        await desk.until(lambda: desk.said == {"abandoned": 0} and len(desk.of(JobStopped)) == 2)
        assert len(desk.of(AbandonedEnded)) == 1
    assert await desk.results(job_id) == ["killed"]


async def test_an_async_task_that_swallows_its_cancellation_is_abandoned(desks: Desks, gate: Gate):
    desk = await desks(kill_grace=SOON)
    desk.task(gate.loop, name="t", timeout=SOON)
    async with at_work(desk) as bench:
        job_id = await bench.run()
        await bench.ended()
        (event,) = desk.of(AttemptAbandoned)
        assert (event.job_id, event.run_in, gate.cancelled) == (job_id, "loop", 1)
        gate.async_open.set()
        await desk.until(lambda: bool(desk.of(AbandonedEnded)))
    assert await desk.results(job_id) == ["timeout"]
    assert not desk.of(AcknowledgementRefused)


async def test_an_abandoned_attempt_that_was_cancelled_ends_its_job(desks: Desks, gate: Gate):
    desk = await desks(kill_grace=SOON)
    desk.task(gate.thread, name="t")
    async with at_work(desk) as bench:
        job_id = await bench.run()
        await desk.engine.cancel(JobFilter(ids=(job_id,)))
        await bench.canceller.tick()
        await bench.ended()
    assert await desk.state(job_id) is JobState.CANCELLED
    assert await desk.results(job_id) == ["cancelled"]


async def test_what_ends_in_time_is_not_abandoned(desks: Desks):
    desk = await desks(kill_grace=SOON)
    cleaned = asyncio.Event()

    async def t() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await cleaned.wait()

    desk.task(t, name="t")
    async with at_work(desk) as bench:
        job_id = await bench.run()
        await bench.kill(job_id)
        (execution,) = bench.producer.running.values()
        cleaned.set()
        await bench.ended()
        assert execution.timer is not None
        assert execution.timer.cancelled()
    assert not desk.of(AttemptAbandoned)


async def test_an_attempt_that_ended_is_not_abandoned_while_its_progress_is_stored(desks: Desks, monkeypatch: pytest.MonkeyPatch):
    desk = await desks(kill_grace=SOON)
    storing, go_on = asyncio.Event(), asyncio.Event()

    async def record_progress(*_: object) -> None:
        storing.set()
        await go_on.wait()

    async def t(ctx: Context) -> None:
        ctx.progress(1)
        await asyncio.Event().wait()

    monkeypatch.setattr(desk.engine, "record_progress", record_progress)
    desk.task(t, name="t")
    async with at_work(desk) as bench:
        job_id = await bench.run()
        (execution,) = bench.producer.running.values()
        await bench.kill(job_id)
        await storing.wait()
        assert execution.timer is not None
        assert execution.timer.cancelled()
        go_on.set()
        await bench.ended()
    assert await desk.results(job_id) == ["killed"]


async def test_with_too_many_abandoned_threads_no_more_thread_jobs_are_fetched(desks: Desks, gate: Gate, caplog: pytest.LogCaptureFixture):
    desk = await desks(kill_grace=SOON, max_abandoned=2)
    ran = asyncio.Event()

    async def other() -> None:
        ran.set()

    desk.task(gate.thread, name="t", aliases=["old"], timeout=SOON)
    desk.task(other, name="other")
    caplog.set_level(logging.INFO)
    async with at_work(desk, limit=4) as bench:
        for _ in range(3):
            await desk.put(max_attempts=1)
        bench.producer.look()
        await desk.until(lambda: len(desk.of(AttemptAbandoned)) == 3)
        assert [(event.run_in, event.abandoned) for event in desk.of(FetchSuspended)] == [("thread", 2)]
        assert caplog.text.count("this node fetches no more jobs of that kind until one ends") == 1
        waiting = [await desk.put("t"), await desk.put("old")]
        await bench.run("other")
        await ran.wait()
        fetches = sum(event.verb == "exchange" for event in desk.of(EngineCalled))
        bench.producer.look()
        await desk.until(lambda: sum(event.verb == "exchange" for event in desk.of(EngineCalled)) > fetches)
        assert [await desk.state(job_id) for job_id in waiting] == [JobState.AVAILABLE] * 2
        gate.open.set()
        await desk.until(lambda: len(desk.of(JobStopped)) == 6)
        assert [event.run_in for event in desk.of(FetchResumed)] == ["thread"]
        await bench.ended(6)
        assert [await desk.state(job_id) for job_id in waiting] == [JobState.COMPLETED] * 2


async def test_an_abandoned_attempt_does_not_hold_up_a_stop(desks: Desks, gate: Gate):
    desk = await desks(kill_grace=SOON)
    desk.task(gate.thread, name="t", timeout=SOON)
    async with at_work(desk) as bench:
        await bench.run()
        await bench.ended()
        async with asyncio.timeout(10):
            await bench.producer.stop(grace=3_600, now=asyncio.Event())
    (shutdown,) = desk.of(QueueShutdown)
    assert shutdown.released == ()


async def test_an_attempt_that_is_being_killed_when_the_node_stops_is_recorded_as_killed(desk: Desk, gate: Gate):
    desk.task(gate.thread, name="t")
    async with at_work(desk) as bench:
        job_id = await bench.run()
        await bench.kill(job_id)
        await bench.producer.stop(grace=0, now=asyncio.Event())
    assert await desk.results(job_id) == ["killed"]
    assert (await desk.job(job_id)).attempt == 1


# stop


async def test_a_stopped_attempt_is_told_goes_on_and_is_refused(desk: Desk):
    began, saw, go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()
    begun: list[int] = []

    async def t(ctx: Context) -> None:
        begun.append(ctx.attempt)
        began.set()
        if len(begun) == 1:
            await ctx.wait_cancelled()
            saw.set()
            await go_on.wait()

    desk.task(t, name="t", timeout=1_000)
    async with at_work(desk) as bench:
        job_id = await bench.run()
        await began.wait()
        (old,) = bench.producer.running.values()
        assert (await desk.engine.stop(job_id)).nodes == {desk.node}
        bench.producer.look()
        for _ in range(2):
            assert (await bench.canceller.tick()).data["stopped_count"] == 1
        await saw.wait()
        assert old.timer is not None
        assert not old.timer.cancelled(), "its time is still limited"
        await desk.until(lambda: len(desk.of(JobStopped)) == 1)
        assert bench.producer.running == {(job_id, 1): old}, "it overlaps the next one, which has ended"
        go_on.set()
        await desk.until(lambda: bool(desk.of(AcknowledgementRefused)) and not bench.producer.held)
        await bench.producer.stop(grace=0, now=asyncio.Event())
    (refused,) = desk.of(AcknowledgementRefused)
    assert (refused.job_id, refused.claim) == (job_id, 1)
    assert begun == [1, 1]
    assert not desk.of(JobRaised)
    assert desk.of(QueueShutdown)[0].released == ()
    assert await desk.results(job_id) == ["stopped", "completed"]


async def test_a_stopped_thread_sees_it_and_what_it_raises_is_of_no_account(desk: Desk, caplog: pytest.LogCaptureFixture):
    def t(ctx: Context) -> None:
        while not ctx.cancelled:
            pass
        raise RuntimeError("gives up")

    desk.task(t, name="t")
    async with at_work(desk, limit=1) as bench:
        job_id = await bench.run()
        await desk.engine.stop(job_id)
        await desk.engine.hold(JobFilter(ids=(job_id,)))
        await bench.canceller.tick()
        await desk.until(lambda: bool(desk.of(AcknowledgementRefused)))
    assert "gives up" not in caplog.text
    assert (await desk.job(job_id)).attempt == 0


async def test_what_was_stopped_still_has_its_limit(desks: Desks, gate: Gate):
    desk = await desks(kill_grace=SOON)
    desk.task(gate.thread, name="t", timeout=0.2)
    async with at_work(desk, limit=1) as bench:
        job_id = await bench.run()
        await desk.engine.stop(job_id)
        await desk.engine.hold(JobFilter(ids=(job_id,)))
        await bench.canceller.tick()
        await desk.until(lambda: bool(desk.of(AcknowledgementRefused)))
        assert len(desk.of(AttemptAbandoned)) == 1
        assert not bench.producer.running
    assert await desk.results(job_id) == ["stopped"]


@pytest.mark.parametrize("take_away", ["delete", "rescue"])
async def test_an_attempt_whose_job_was_taken_away_otherwise_is_told_too(desk: Desk, take_away: str):
    desk.task(endless, name="t")
    async with at_work(desk) as bench:
        job_id = await bench.run()
        (execution,) = bench.producer.running.values()
        await desk.engine.retire(desk.node)
        await desk.engine.rescue(10)
        if take_away == "delete":
            await desk.engine.cancel(JobFilter(ids=(job_id,)))
            await desk.engine.delete(JobFilter(ids=(job_id,)))
        await bench.canceller.tick()
        assert execution.cause is Cause.STOP
        assert execution.context.cancelled


async def test_what_goes_on_after_its_node_was_buried_is_counted(desks: Desks, gate: Gate):
    desk = await desks(kill_grace=SOON)
    desk.task(gate.thread, name="t")
    async with at_work(desk) as bench:
        job_id = await bench.run()
        bench.producer.lose_all()
        await desk.until(lambda: bool(desk.of(AttemptAbandoned)))
        assert desk.abandoned.count == 1
        gate.open.set()
        await desk.until(lambda: bool(desk.of(AbandonedEnded)))
    assert desk.abandoned.count == 0
    assert await desk.state(job_id) is JobState.EXECUTING


async def test_a_lost_claim_ends_what_was_only_stopped(desk: Desk):
    desk.task(endless, name="t")
    async with at_work(desk) as bench:
        job_id = await bench.run()
        (execution,) = bench.producer.running.values()
        await desk.engine.stop(job_id)
        await bench.canceller.tick()
        bench.producer.lose_all()
        assert execution.handle is not None
        await asyncio.wait([execution.handle])
    assert execution.cause is Cause.LOST
