"""The lifeline: what becomes of the attempts of nodes that are no more."""

import pytest

from elihu import JobState
from elihu.engines.base import Rescued
from elihu.engines.signals import SignalKind
from elihu.job import JobFilter
from elihu.runtime.leader import Leader
from elihu.runtime.lifeline import Lifeline, rescue_all
from elihu.telemetry.events import JobExpired, JobRescued
from tests.engines.raw import Raw
from tests.runtime.conftest import Desks
from tests.runtime.desk import Desk

GONE = "00000000-0000-0000-0000-00000000000"


async def lifeline(desk: Desk) -> Lifeline:
    leader = Leader(desk.scope)
    await leader.tick()
    return Lifeline(desk.scope, leader)


async def orphan(desk: Desk, raw: Raw, job_id: int) -> None:
    """Let a node that is no more hold the job."""
    await raw.put(job_id, state="available")
    (claim,) = (await desk.engine.exchange(desk.node, "default", 1, [])).claims
    assert claim.id == job_id
    await raw.execute(f"UPDATE job SET node = '{GONE}1' WHERE id = {job_id}")


async def test_the_first_orphaning_gives_back_at_once_the_second_later_the_third_discards(desk: Desk, raw: Raw):
    part = await lifeline(desk)
    job_id = await desk.put()
    states = []
    for _ in range(3):
        await orphan(desk, raw, job_id)
        assert (await part.tick()).data == {"rescued_count": 1, "expired_count": 0}
        job = await desk.job(job_id)
        states.append(job.state)
        if job.state is JobState.RETRYABLE:
            due, started = await raw.look(job_id, "scheduled_at", "started_at")
            assert 16 < due - started < 40
    assert states == [JobState.AVAILABLE, JobState.RETRYABLE, JobState.DISCARDED]
    job = await desk.job(job_id)
    assert (job.reason, job.attempt, job.finished_at is not None) == ("orphaned", 3, True)
    assert await desk.results(job_id) == ["orphaned"] * 3
    assert [event.state for event in desk.of(JobRescued)] == states


async def test_an_orphaning_counts_as_an_attempt_so_one_attempt_means_at_most_once(desk: Desk, raw: Raw):
    part = await lifeline(desk)
    job_id = await desk.put(max_attempts=1)
    await orphan(desk, raw, job_id)
    await part.tick()
    job = await desk.job(job_id)
    assert (job.state, job.reason, job.attempt) == (JobState.DISCARDED, "orphaned", 1)
    assert desk.announced() == []


@pytest.mark.parametrize(("most", "orphanings"), [(1, 1), (2, 2), (5, 5)])
async def test_max_orphans_of_the_task_holds(desk: Desk, raw: Raw, most: int, orphanings: int):
    part = await lifeline(desk)
    job_id = await desk.put(options=f'{{"max_orphans": {most}}}')
    for _ in range(orphanings):
        assert await desk.state(job_id) is not JobState.DISCARDED
        await orphan(desk, raw, job_id)
        await part.tick()
    assert await desk.state(job_id) is JobState.DISCARDED


async def test_a_wish_to_cancel_outlives_the_node(desk: Desk, raw: Raw):
    part = await lifeline(desk)
    job_id = await desk.put()
    await orphan(desk, raw, job_id)
    await desk.engine.cancel(JobFilter(ids=(job_id,)))
    await part.tick()
    job = await desk.job(job_id)
    assert (job.state, job.reason) == (JobState.CANCELLED, "cancelled")
    assert await desk.results(job_id) == ["orphaned"]


async def test_jobs_of_a_living_node_are_left_alone_however_old(desk: Desk, raw: Raw):
    part = await lifeline(desk)
    job_id = await desk.put()
    await desk.engine.exchange(desk.node, "default", 1, [])
    await raw.execute(f"UPDATE job SET started_at = {raw.moment(86_400 * 30)} WHERE id = {job_id}")
    assert (await part.tick()).data == {"rescued_count": 0, "expired_count": 0}
    assert await desk.state(job_id) is JobState.EXECUTING


async def test_a_follower_rescues_nobody(desk: Desk, desks: Desks, raw: Raw):
    other = await desks()
    await lifeline(desk)
    follower = await lifeline(other)
    job_id = await desk.put()
    await orphan(desk, raw, job_id)
    tick = await follower.tick()
    assert tick == (other.config.lifeline.interval, {"rescued_count": 0, "expired_count": 0})
    assert await desk.state(job_id) is JobState.EXECUTING


async def test_all_batches_are_rescued_and_their_queues_announced_once(desks: Desks, raw: Raw, caplog: pytest.LogCaptureFixture):
    desk = await desks(lifeline={"interval": 30, "limit": 2})
    part = await lifeline(desk)
    ids = [await desk.put(queue=queue) for queue in ("a", "b", "a", "b", "a")]
    for queue in ("a", "b"):
        await desk.engine.exchange(desk.node, queue, 9, [])
    await raw.execute(f"UPDATE job SET node = '{GONE}2'")
    assert (await part.tick()).data == {"rescued_count": 5, "expired_count": 0}
    assert {await desk.state(id_) for id_ in ids} == {JobState.AVAILABLE}
    assert desk.announced() == ["a", "b"]
    assert caplog.text.count("rescued jobs of dead nodes: 5") == 1


async def test_rescue_stops_with_a_batch_that_is_not_full(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    batches = [[Rescued(1, "q", JobState.AVAILABLE, False)] * 2, [Rescued(2, "q", JobState.DISCARDED, False)]]

    async def rescue(limit: int) -> list[Rescued]:
        return batches.pop(0)

    monkeypatch.setattr(desk.engine, "rescue", rescue)
    assert len(await rescue_all(desk.engine, 2, bus=desk.bus, node=desk.node)) == 3
    assert batches == []


async def test_what_did_not_start_in_time_expires_in_batches_on_the_leader_alone(desks: Desks, raw: Raw):
    desk = await desks(lifeline={"interval": 30, "limit": 2})
    part = await lifeline(desk)
    other = Lifeline(desk.scope, Leader(desk.scope))
    ids = [await desk.put(expires=60, awaited=number == 3) for number in range(5)]
    await raw.execute(f"UPDATE job SET expires_at = {raw.moment(1)}")
    assert (await other.tick()).data == {"rescued_count": 0, "expired_count": 0}
    assert (await part.tick()).data == {"rescued_count": 0, "expired_count": 5}
    assert [signal.payload for signal in desk.signals if signal.kind is SignalKind.ENDED] == [str(ids[3])]
    assert [(event.job_id, event.queue) for event in desk.of(JobExpired)] == [(job_id, "default") for job_id in ids]
    assert {(await desk.job(job_id)).reason for job_id in ids} == {"expired"}
