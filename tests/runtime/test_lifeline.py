"""The lifeline: what becomes of the attempts of nodes that are no more."""

import pytest

from elihu import DataRefused, JobState
from elihu.engines.protocol import Rescued
from elihu.engines.protocol.signals import SignalKind
from elihu.job import JobFilter
from elihu.runtime.leader.election import Leader
from elihu.runtime.leader.lifeline import Lifeline, rescue_all
from elihu.telemetry.events import JobExpired, JobRescued
from tests.engines.raw import Ago, Raw
from tests.runtime.conftest import HarnessFactory
from tests.runtime.harness import NodeHarness

GONE = "00000000-0000-0000-0000-00000000000"


async def lifeline(harness: NodeHarness) -> Lifeline:
    leader = Leader(harness.scope)
    await leader.tick()
    return Lifeline(harness.scope, leader)


async def orphan(harness: NodeHarness, raw: Raw, job_id: int) -> None:
    """Let a node that is no more hold the job."""
    await raw.put(job_id, state="available")
    (claim,) = (await harness.engine.exchange(harness.node, "default", 1, [])).claims
    assert claim.id == job_id
    await raw.execute(f"UPDATE job SET node = '{GONE}1' WHERE id = {job_id}")


async def test_the_first_orphaning_gives_back_at_once_the_second_later_the_third_discards(
    harness: NodeHarness, raw: Raw
):
    part = await lifeline(harness)
    job_id = await harness.put()
    states = []
    for _ in range(3):
        await orphan(harness, raw, job_id)
        assert (await part.tick()).data == {"rescued_count": 1, "expired_count": 0}
        job = await harness.job(job_id)
        states.append(job.state)
        if job.state is JobState.RETRYABLE:
            due, started = await raw.look(job_id, "scheduled_at", "started_at")
            assert 16 < due - started < 40
    assert states == [JobState.AVAILABLE, JobState.RETRYABLE, JobState.DISCARDED]
    job = await harness.job(job_id)
    assert (job.reason, job.attempt, job.finished_at is not None) == ("orphaned", 3, True)
    assert await harness.results(job_id) == ["orphaned"] * 3
    assert [event.state for event in harness.of(JobRescued)] == states


async def test_an_orphaning_counts_as_an_attempt_so_one_attempt_means_at_most_once(
    harness: NodeHarness, raw: Raw
):
    part = await lifeline(harness)
    job_id = await harness.put(max_attempts=1)
    await orphan(harness, raw, job_id)
    await part.tick()
    job = await harness.job(job_id)
    assert (job.state, job.reason, job.attempt) == (JobState.DISCARDED, "orphaned", 1)
    assert harness.announced() == []


@pytest.mark.parametrize(("most", "orphanings"), [(1, 1), (2, 2), (5, 5)])
async def test_max_orphans_of_the_task_holds(
    harness: NodeHarness, raw: Raw, most: int, orphanings: int
):
    part = await lifeline(harness)
    job_id = await harness.put(options=f'{{"max_orphans": {most}}}')
    for _ in range(orphanings):
        assert await harness.state(job_id) is not JobState.DISCARDED
        await orphan(harness, raw, job_id)
        await part.tick()
    assert await harness.state(job_id) is JobState.DISCARDED


async def test_an_intent_to_cancel_outlives_the_node(harness: NodeHarness, raw: Raw):
    part = await lifeline(harness)
    job_id = await harness.put()
    await orphan(harness, raw, job_id)
    await harness.engine.cancel(JobFilter(ids=(job_id,)))
    await part.tick()
    job = await harness.job(job_id)
    assert (job.state, job.reason) == (JobState.CANCELLED, "cancelled")
    assert await harness.results(job_id) == ["orphaned"]


async def test_jobs_of_a_living_node_are_left_alone_however_old(harness: NodeHarness, raw: Raw):
    part = await lifeline(harness)
    job_id = await harness.put()
    await harness.engine.exchange(harness.node, "default", 1, [])
    await raw.execute(f"UPDATE job SET started_at = {raw.moment(86_400 * 30)} WHERE id = {job_id}")
    assert (await part.tick()).data == {"rescued_count": 0, "expired_count": 0}
    assert await harness.state(job_id) is JobState.EXECUTING


async def test_a_follower_rescues_nobody(harness: NodeHarness, harnesses: HarnessFactory, raw: Raw):
    other = await harnesses()
    await lifeline(harness)
    follower = await lifeline(other)
    job_id = await harness.put()
    await orphan(harness, raw, job_id)
    tick = await follower.tick()
    assert tick == (other.config.lifeline.interval, {"rescued_count": 0, "expired_count": 0})
    assert await harness.state(job_id) is JobState.EXECUTING


async def test_all_batches_are_rescued_and_their_queues_announced_once(
    harnesses: HarnessFactory, raw: Raw, caplog: pytest.LogCaptureFixture
):
    harness = await harnesses(lifeline={"interval": 30, "limit": 2})
    part = await lifeline(harness)
    ids = [await harness.put(queue=queue) for queue in ("a", "b", "a", "b", "a")]
    for queue in ("a", "b"):
        await harness.engine.exchange(harness.node, queue, 9, [])
    await raw.execute(f"UPDATE job SET node = '{GONE}2'")
    assert (await part.tick()).data == {"rescued_count": 5, "expired_count": 0}
    assert {await harness.state(id_) for id_ in ids} == {JobState.AVAILABLE}
    assert harness.announced() == ["a", "b"]
    assert caplog.text.count("rescued jobs of dead nodes: 5") == 1


async def test_rescue_stops_with_a_batch_that_is_not_full(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
):
    batches = [
        [Rescued(1, "q", JobState.AVAILABLE, False)] * 2,
        [Rescued(2, "q", JobState.DISCARDED, False)],
    ]

    async def rescue(limit: int) -> list[Rescued]:
        return batches.pop(0)

    monkeypatch.setattr(harness.engine, "rescue", rescue)
    assert len(await rescue_all(harness.engine, 2, bus=harness.bus, node=harness.node)) == 3
    assert batches == []


async def test_what_did_not_start_in_time_expires_in_batches_on_the_leader_alone(
    harnesses: HarnessFactory, raw: Raw
):
    harness = await harnesses(lifeline={"interval": 30, "limit": 2})
    part = await lifeline(harness)
    other = Lifeline(harness.scope, Leader(harness.scope))
    ids = [await harness.put(expires=60, awaited=number == 3) for number in range(5)]
    await raw.execute(f"UPDATE job SET expires_at = {raw.moment(1)}")
    assert (await other.tick()).data == {"rescued_count": 0, "expired_count": 0}
    assert (await part.tick()).data == {"rescued_count": 0, "expired_count": 5}
    assert [signal.payload for signal in harness.signals if signal.kind is SignalKind.ENDED] == [
        str(ids[3])
    ]
    assert [(event.job_id, event.queue) for event in harness.of(JobExpired)] == [
        (job_id, "default") for job_id in ids
    ]
    assert {(await harness.job(job_id)).reason for job_id in ids} == {"expired"}


async def test_a_rescue_that_fails_does_not_stop_expiry(
    harness: NodeHarness, raw: Raw, monkeypatch: pytest.MonkeyPatch
):
    async def refuse(limit: int) -> list[Rescued]:
        raise DataRefused("this row stays as it is")

    part = await lifeline(harness)
    monkeypatch.setattr(harness.engine, "rescue", refuse)
    job_id = await harness.put()
    await raw.put(job_id, expires_at=Ago(1))
    with pytest.raises(DataRefused, match="stays as it is"):
        await part.tick()
    assert await harness.state(job_id) is JobState.CANCELLED
    assert len(harness.of(JobExpired)) == 1
