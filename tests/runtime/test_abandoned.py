"""Attempts that do not end when they should."""

import asyncio
import logging

import pytest

from elihu import Context, JobState, RunOutcome
from elihu.job import JobFilter
from elihu.telemetry.events import (
    AbandonedEnded,
    AcknowledgementRefused,
    AttemptAbandoned,
    EngineCalled,
    FetchResumed,
    FetchSuspended,
    JobStopped,
    QueueShutdown,
)
from tests.runtime.conftest import HarnessFactory
from tests.runtime.harness import NodeHarness
from tests.runtime.workbench import SOON, Gate, at_work

pytestmark = pytest.mark.sqlite_first


async def test_a_thread_that_does_not_end_is_abandoned(
    harnesses: HarnessFactory, gate: Gate, caplog: pytest.LogCaptureFixture
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
            f"job {job_id} (t) did not end within 0.05 s of the request: attempt 1 is abandoned"
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
    harnesses: HarnessFactory, gate: Gate
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


async def test_an_abandoned_attempt_that_was_cancelled_ends_its_job(
    harnesses: HarnessFactory, gate: Gate
):
    harness = await harnesses(kill_grace=SOON)
    harness.task(gate.thread, name="t")
    async with at_work(harness) as bench:
        job_id = await bench.run()
        await harness.engine.cancel(JobFilter(ids=(job_id,)))
        await bench.canceller.tick()
        await bench.ended()
    assert await harness.state(job_id) is JobState.CANCELLED
    assert await harness.results(job_id) == ["cancelled"]


async def test_what_ends_in_time_is_not_abandoned(harnesses: HarnessFactory):
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
    harnesses: HarnessFactory, monkeypatch: pytest.MonkeyPatch
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
    harnesses: HarnessFactory, gate: Gate, caplog: pytest.LogCaptureFixture
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
        await bench.producer.fetch_ended()
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


async def test_an_abandoned_attempt_does_not_hold_up_a_stop(harnesses: HarnessFactory, gate: Gate):
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
