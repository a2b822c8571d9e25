"""The pruner: finished jobs leave when their time is over, and their runs with them."""

import pytest

from elihu import JobState, RunOutcome
from elihu.config import RetentionConfig
from elihu.engines.protocol import Ack, Pruned
from elihu.runtime.leader.election import Leader
from elihu.runtime.leader.pruner import Pruner
from tests.engines.raw import Ago, Raw
from tests.runtime.conftest import HarnessFactory
from tests.runtime.harness import NodeHarness

RETENTION = {
    "completed": 100,
    "cancelled": 1_000,
    "discarded": 1_000,
    "queues": {"mail": {"completed": 10}},
    "tasks": {"keep": {"completed": 5_000}},
}


async def pruner(harness: NodeHarness) -> Pruner:
    leader = Leader(harness.scope)
    await leader.tick()
    return Pruner(harness.scope, leader)


async def finished(
    harness: NodeHarness,
    raw: Raw,
    state: JobState = JobState.COMPLETED,
    *,
    ago: float,
    task: str = "t",
    queue: str = "default",
) -> int:
    """A job that ended ``ago`` seconds ago; its run has a line of log."""
    job_id = await harness.put(task, queue=queue)
    (claim,) = (await harness.engine.exchange(harness.node, queue, 1, [])).claims
    result = {
        JobState.COMPLETED: RunOutcome.COMPLETED,
        JobState.CANCELLED: RunOutcome.CANCELLED,
    }.get(state, RunOutcome.FAILED)
    await harness.engine.exchange(
        harness.node, queue, 0, [Ack(claim.id, claim.claim, result, state, log="a line")]
    )
    await raw.put(job_id, finished_at=Ago(ago), prune_at=None)
    return job_id


async def test_jobs_leave_by_state_queue_and_task_with_their_runs(
    harnesses: HarnessFactory, raw: Raw
):
    harness = await harnesses(retention=RETENTION)
    part = await pruner(harness)
    kept = [
        await finished(harness, raw, ago=90),
        await finished(harness, raw, JobState.CANCELLED, ago=900),
        await finished(harness, raw, JobState.DISCARDED, ago=900),
        await finished(harness, raw, queue="mail", ago=5),
        await finished(harness, raw, JobState.DISCARDED, queue="mail", ago=900),
        await finished(harness, raw, task="keep", ago=4_000),
        await finished(harness, raw, task="keep", queue="mail", ago=4_000),
        await harness.put(delay=60.0),
    ]
    gone = [
        await finished(harness, raw, ago=110),
        await finished(harness, raw, JobState.CANCELLED, ago=1_100),
        await finished(harness, raw, JobState.DISCARDED, ago=1_100),
        await finished(harness, raw, queue="mail", ago=15),
        await finished(harness, raw, task="keep", ago=5_100),
    ]
    tick = await part.tick()
    assert tick == (harness.config.pruner.interval, {"pruned_count": len(gone)})
    assert [await harness.engine.get(id_) for id_ in gone] == [None] * len(gone)
    assert None not in [await harness.engine.get(id_) for id_ in kept]
    assert (
        await raw.number(
            "SELECT count(*) FROM run WHERE NOT EXISTS (SELECT 1 FROM job WHERE job.id = "
            "run.job_id)"
        )
        == 0
    )
    assert await raw.number("SELECT count(*) FROM run") == len(kept) - 1


async def test_never_before_the_rows_keep_until(harnesses: HarnessFactory, raw: Raw):
    harness = await harnesses(retention=RETENTION)
    part = await pruner(harness)
    job_id = await finished(harness, raw, ago=3_600)
    await raw.put(job_id, keep_until=Ago(-60))
    assert (await part.tick()).data == {"pruned_count": 0}
    await raw.put(job_id, keep_until=Ago(1), prune_at=Ago(1))
    assert (await part.tick()).data == {"pruned_count": 1}


async def test_a_follower_prunes_nothing(harnesses: HarnessFactory, raw: Raw):
    harness, other = await harnesses(retention=RETENTION), await harnesses(retention=RETENTION)
    await pruner(harness)
    follower = await pruner(other)
    job_id = await finished(harness, raw, ago=3_600)
    assert (await follower.tick()).data == {"pruned_count": 0}
    assert await harness.engine.get(job_id) is not None


async def test_works_in_batches_until_one_is_not_full(
    harnesses: HarnessFactory, raw: Raw, monkeypatch: pytest.MonkeyPatch
):
    harness = await harnesses(retention=RETENTION, pruner={"interval": 60, "limit": 2})
    part = await pruner(harness)
    for _ in range(5):
        await finished(harness, raw, ago=3_600)
    prune = harness.engine.prune
    batches: list[int] = []

    async def watched(retention: RetentionConfig, limit: int) -> Pruned:
        assert limit == 2
        batch = await prune(retention, limit)
        batches.append(batch.removed)
        return batch

    monkeypatch.setattr(harness.engine, "prune", watched)
    assert (await part.tick()).data == {"pruned_count": 5}
    assert [size for size in batches if size] == [2, 2, 1]


async def test_a_pruner_that_lost_the_lead_stops_between_two_batches(
    harnesses: HarnessFactory, raw: Raw, monkeypatch: pytest.MonkeyPatch
):
    harness = await harnesses(retention=RETENTION, pruner={"interval": 60, "limit": 1})
    part = await pruner(harness)
    for _ in range(3):
        await finished(harness, raw, ago=3_600)
    prune = harness.engine.prune

    async def slow(retention: RetentionConfig, limit: int) -> Pruned:
        harness.clock.time += harness.config.lease
        return await prune(retention, limit)

    monkeypatch.setattr(harness.engine, "prune", slow)
    assert (await part.tick()).data["pruned_count"] <= 1
    assert await raw.number("SELECT count(*) FROM job") >= 2
