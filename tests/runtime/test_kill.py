"""Killing running attempts."""

import asyncio

import pytest

from elihu import Context, JobState, RunOutcome, Snooze
from elihu.job import JobFilter
from elihu.telemetry.events import (
    AttemptAbandoned,
    JobStopped,
)
from tests.runtime.harness import NodeHarness
from tests.runtime.workbench import Gate, at_work, endless

pytestmark = pytest.mark.sqlite_first


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
    assert "failed in attempt 1 of 20 and is tried again in 1 min: killed" in caplog.text


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


async def test_an_intent_to_cancel_after_one_to_kill_wins(harness: NodeHarness, gate: Gate):
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


async def test_a_cancel_that_has_not_reached_the_node_wins_over_a_timeout(harness: NodeHarness):
    harness.task(endless, name="t", timeout=0.3)
    async with at_work(harness) as bench:
        job_id = await bench.run()
        await harness.engine.cancel(JobFilter(ids=(job_id,)))
        await bench.ended()
    assert await harness.state(job_id) is JobState.CANCELLED
    assert await harness.results(job_id) == ["timed_out"]
