"""Prune: finished jobs go by state and age, with their runs, and never too early."""

import pytest

from elihu.engines.protocol import Engine, PruneRule
from elihu.job import FINISHED, INCOMPLETE, JobState
from tests.engines.builders import ANY, in_state, put
from tests.engines.raw import Ago, Raw

HOUR = 3_600.0


async def finished(
    engine: Engine,
    raw: Raw,
    seconds_ago: float,
    state: JobState = JobState.COMPLETED,
    queue: str = "default",
    task: str = "t",
) -> int:
    id_ = await in_state(engine, state, task=task)
    await raw.put(id_, finished_at=Ago(seconds_ago), queue=queue)
    return id_


async def left(engine: Engine) -> set[int]:
    return {job.id for job in await engine.find(ANY, None, 1_000)}


@pytest.mark.parametrize("state", sorted(FINISHED))
async def test_only_the_state_and_only_what_is_old_enough(
    engine: Engine, raw: Raw, state: JobState
) -> None:
    old = {other: await finished(engine, raw, HOUR + 60, other) for other in sorted(FINISHED)}
    young = await finished(engine, raw, HOUR - 60, state)
    assert await engine.prune(PruneRule(state, HOUR), 100) == 1
    assert await left(engine) == {*old.values(), young} - {old[state]}
    assert await engine.prune(PruneRule(state, HOUR), 100) == 0


@pytest.mark.parametrize("state", sorted(INCOMPLETE))
async def test_what_has_not_finished_stays(engine: Engine, raw: Raw, state: JobState) -> None:
    id_ = await in_state(engine, state)
    await raw.put(id_, inserted_at=Ago(10 * HOUR), scheduled_at=Ago(10 * HOUR))
    for rule in FINISHED:
        assert await engine.prune(PruneRule(rule, 0), 100) == 0


async def test_runs_go_with_their_job(engine: Engine, raw: Raw) -> None:
    gone = await finished(engine, raw, 2 * HOUR, JobState.DISCARDED)
    kept = await finished(engine, raw, 0, JobState.DISCARDED)
    assert await engine.prune(PruneRule(JobState.DISCARDED, HOUR), 100) == 1
    assert await engine.runs(gone) == []
    assert len(await engine.runs(kept)) == 1
    assert await raw.number("SELECT count(*) FROM run") == 1


async def test_no_more_than_the_limit_and_oldest_first(engine: Engine, raw: Raw) -> None:
    ages = {await finished(engine, raw, age * HOUR): age for age in (3, 5, 2, 4)}
    assert await engine.prune(PruneRule(JobState.COMPLETED, HOUR), 2) == 2
    assert sorted(ages[id_] for id_ in await left(engine)) == [2, 3]
    assert await engine.prune(PruneRule(JobState.COMPLETED, HOUR), 2) == 2
    assert await left(engine) == set()


async def test_never_before_the_moment_until_which_a_job_is_kept(engine: Engine, raw: Raw) -> None:
    kept, free = await finished(engine, raw, 9 * HOUR), await finished(engine, raw, 9 * HOUR)
    await raw.put(kept, keep_until=Ago(-60))
    await raw.put(free, keep_until=Ago(60))
    assert await engine.prune(PruneRule(JobState.COMPLETED, HOUR), 100) == 1
    assert await left(engine) == {kept}


async def test_kept_jobs_do_not_use_up_the_limit(engine: Engine, raw: Raw) -> None:
    for _ in range(4):
        await raw.put(await finished(engine, raw, 9 * HOUR), keep_until=Ago(-60))
    free = await finished(engine, raw, 2 * HOUR)
    assert await engine.prune(PruneRule(JobState.COMPLETED, HOUR), 2) == 1
    assert free not in await left(engine)


async def test_one_queue_one_task_or_all_but_some(engine: Engine, raw: Raw) -> None:
    ids = {
        (queue, task): await finished(engine, raw, 2 * HOUR, queue=queue, task=task)
        for queue in "ab"
        for task in "xy"
    }
    assert await engine.prune(PruneRule(JobState.COMPLETED, HOUR, queue="a", task="x"), 100) == 1
    assert await left(engine) == {ids["a", "y"], ids["b", "x"], ids["b", "y"]}
    assert (
        await engine.prune(
            PruneRule(JobState.COMPLETED, HOUR, except_queues=("a", "c"), except_tasks=("x",)), 100
        )
        == 1
    )
    assert await left(engine) == {ids["a", "y"], ids["b", "x"]}
    assert (
        await engine.prune(PruneRule(JobState.COMPLETED, HOUR, task="x", except_queues=("a",)), 100)
        == 1
    )
    assert await engine.prune(PruneRule(JobState.COMPLETED, HOUR, queue="a"), 100) == 1
    assert await left(engine) == set()


async def test_a_pruned_id_never_comes_back(engine: Engine, raw: Raw) -> None:
    newest = await finished(engine, raw, 2 * HOUR)
    await engine.prune(PruneRule(JobState.COMPLETED, HOUR), 100)
    assert (await put(engine))[0] > newest
