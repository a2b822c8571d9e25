"""Attempts whose job was stopped or taken away."""

import asyncio

import pytest

from elihu import Context, JobState
from elihu.job import JobFilter
from elihu.runtime.attempts.execution import Cause
from elihu.telemetry.events import (
    AbandonedEnded,
    AcknowledgementRefused,
    AttemptAbandoned,
    JobRaised,
    JobStopped,
    QueueShutdown,
)
from tests.runtime.conftest import HarnessFactory
from tests.runtime.harness import NodeHarness
from tests.runtime.workbench import SOON, Gate, at_work, endless

pytestmark = pytest.mark.sqlite_first


async def test_a_stopped_attempt_sees_it_keeps_running_and_is_refused(harness: NodeHarness):
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


async def test_a_stopped_thread_sees_it_and_its_error_is_ignored(
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


async def test_what_was_stopped_still_has_its_limit(harnesses: HarnessFactory, gate: Gate):
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
async def test_an_attempt_whose_job_was_taken_away_sees_it(harness: NodeHarness, take_away: str):
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


async def test_threads_that_outlive_the_removal_of_their_node_are_counted(
    harnesses: HarnessFactory, gate: Gate
):
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
