"""Attempts that run longer than their time limit."""

import pytest

from elihu import Context, JobState, RunOutcome
from elihu.telemetry.events import (
    JobStopped,
)
from tests.runtime.harness import NodeHarness
from tests.runtime.workbench import SOON, Gate, at_work, endless

pytestmark = pytest.mark.sqlite_first


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
    assert "is tried again in 1 min: timeout: ran longer than 0.05 s" in caplog.text


async def test_the_last_timeout_discards(harness: NodeHarness):
    harness.task(endless, name="t", timeout=SOON)
    async with at_work(harness) as bench:
        job_id = await bench.run(max_attempts=1)
        await bench.ended()
    job = await harness.job(job_id)
    assert (job.state, job.reason) == (JobState.DISCARDED, "timeout: ran longer than 0.05 s")


async def test_a_thread_sees_its_timeout(harness: NodeHarness):
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
async def test_an_invalid_limit_written_by_sql_fails_the_attempt(harness: NodeHarness, given: str):
    harness.task(endless, name="t")
    async with at_work(harness) as bench:
        job_id = await bench.run(options=f'{{"timeout": {given}}}')
        await bench.ended()
    (run,) = await harness.engine.runs(job_id)
    assert run.outcome == "failed"
    assert (run.error or "").startswith(
        f"InvalidOption: options of job {job_id}: timeout: expected "
    )
