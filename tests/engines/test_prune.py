"""Prune: finished jobs go by state and age, with their runs, and never too early."""

from typing import Any

import pytest

from elihu.config import RetentionConfig
from elihu.engines.protocol import Ack, Engine, Pruned
from elihu.job import FINISHED, INCOMPLETE, JobState, RunOutcome
from tests.engines.builders import ANY, fetch, in_state, new, node, put
from tests.engines.conftest import Opener
from tests.engines.raw import Ago, Raw

HOUR = 3_600.0
HOURLY = RetentionConfig(states={state.value: HOUR for state in FINISHED})
NOW = RetentionConfig(states={state.value: 0.0 for state in FINISHED})


async def finished(
    engine: Engine,
    raw: Raw,
    seconds_ago: float,
    state: JobState = JobState.COMPLETED,
    queue: str = "default",
    task: str = "t",
) -> int:
    """A job that ended so long ago, and whose end gave it no ``prune_at``."""
    id_ = await in_state(engine, state, task=task)
    await raw.put(id_, finished_at=Ago(seconds_ago), queue=queue, prune_at=None)
    return id_


async def left(engine: Engine) -> set[int]:
    return {job.id for job in (await engine.find(ANY, None, 1_000)).items}


async def prune_at(engine: Engine, raw: Raw, id_: int) -> float | None:
    """Seconds from the end of a job until it may be pruned."""
    rows = await raw.execute(
        f"SELECT {raw.time('prune_at')}, {raw.time('finished_at')} FROM job WHERE id = %s", id_
    )
    ((at, ended),) = rows
    return None if at is None else float(at) - float(ended)


@pytest.mark.parametrize("state", sorted(FINISHED))
async def test_only_the_state_and_only_what_is_old_enough(
    engine: Engine, raw: Raw, state: JobState
) -> None:
    old = {other: await finished(engine, raw, HOUR + 60, other) for other in sorted(FINISHED)}
    young = await finished(engine, raw, HOUR - 60, state)
    only = RetentionConfig(states={state.value: HOUR})
    assert await engine.prune(only, 100) == (1, 0)
    assert await left(engine) == {*old.values(), young} - {old[state]}
    assert await engine.prune(only, 100) == (0, 0)


@pytest.mark.parametrize("state", sorted(INCOMPLETE))
async def test_what_has_not_finished_stays(engine: Engine, raw: Raw, state: JobState) -> None:
    id_ = await in_state(engine, state)
    await raw.put(
        id_, inserted_at=Ago(10 * HOUR), scheduled_at=Ago(10 * HOUR), prune_at=Ago(10 * HOUR)
    )
    assert await engine.prune(NOW, 100) == (0, 0)


async def test_runs_go_with_their_job(engine: Engine, raw: Raw) -> None:
    gone = await finished(engine, raw, 2 * HOUR, JobState.DISCARDED)
    kept = await finished(engine, raw, 0, JobState.DISCARDED)
    assert await engine.prune(HOURLY, 100) == (1, 0)
    assert await engine.runs(gone) == []
    assert len(await engine.runs(kept)) == 1
    assert await raw.number("SELECT count(*) FROM run") == 1


async def test_runs_go_with_a_job_that_is_deleted_by_sql(engine: Engine, raw: Raw) -> None:
    gone = await finished(engine, raw, 0, JobState.DISCARDED)
    kept = await finished(engine, raw, 0, JobState.DISCARDED)
    await raw.execute("DELETE FROM job WHERE id = %s", gone)
    assert await raw.execute("SELECT DISTINCT job_id FROM run") == [(kept,)]
    await raw.execute("TRUNCATE job" if engine.name == "postgres" else "DELETE FROM job")
    assert await raw.number("SELECT count(*) FROM run") == 0


async def test_no_more_than_the_limit_and_oldest_first(engine: Engine, raw: Raw) -> None:
    ages = {await finished(engine, raw, age * HOUR): age for age in (3, 5, 2, 4)}
    assert await engine.prune(HOURLY, 2) == (2, 0)
    assert sorted(ages[id_] for id_ in await left(engine)) == [2, 3]
    assert await engine.prune(HOURLY, 2) == (2, 0)
    assert await left(engine) == set()


async def test_never_before_the_moment_until_which_a_job_is_kept(engine: Engine, raw: Raw) -> None:
    kept, free = await finished(engine, raw, 9 * HOUR), await finished(engine, raw, 9 * HOUR)
    await raw.put(kept, keep_until=Ago(-60))
    await raw.put(free, keep_until=Ago(60))
    assert await engine.prune(HOURLY, 100) == (1, 1)
    assert await left(engine) == {kept}
    assert await engine.prune(HOURLY, 100) == (0, 0)
    await raw.put(kept, keep_until=Ago(1), prune_at=Ago(1))
    assert await engine.prune(HOURLY, 100) == (1, 0)


async def test_a_job_that_is_kept_is_read_once(engine: Engine, raw: Raw) -> None:
    for _ in range(4):
        await raw.put(await finished(engine, raw, 9 * HOUR), keep_until=Ago(-60))
    free = await finished(engine, raw, 2 * HOUR)
    rounds = [await engine.prune(HOURLY, 2) for _ in range(3)]
    assert rounds == [Pruned(0, 2), Pruned(0, 2), Pruned(1, 0)]
    assert free not in await left(engine)


async def test_one_queue_and_one_task(engine: Engine, raw: Raw) -> None:
    ids = {
        (queue, task): await finished(engine, raw, 2 * HOUR, queue=queue, task=task)
        for queue in "ab"
        for task in "xy"
    }
    retention = RetentionConfig(
        states={"completed": 3 * HOUR},
        queues={"a": {"completed": HOUR}},
        tasks={"x": {"completed": 9 * HOUR}},
    )
    assert await engine.prune(retention, 100) == (1, 3)
    assert await left(engine) == {ids["a", "x"], ids["b", "x"], ids["b", "y"]}
    assert await prune_at(engine, raw, ids["b", "y"]) == pytest.approx(3 * HOUR, abs=60)
    assert await prune_at(engine, raw, ids["a", "x"]) == pytest.approx(9 * HOUR, abs=60)


async def test_a_pruned_id_never_comes_back(engine: Engine, raw: Raw) -> None:
    newest = await finished(engine, raw, 2 * HOUR)
    await engine.prune(HOURLY, 100)
    assert (await put(engine))[0] > newest


# prune_at, given at the end of a job

SETTINGS: dict[str, Any] = {
    "states": {"completed": 100.0, "cancelled": 200.0, "discarded": 300.0},
    "queues": {"mail": {"completed": 10.0}},
    "tasks": {"keep": {"completed": 50_000.0, "discarded": 60_000.0}},
}
ENDS = {
    JobState.COMPLETED: RunOutcome.COMPLETED,
    JobState.CANCELLED: RunOutcome.CANCELLED,
    JobState.DISCARDED: RunOutcome.FAILED,
}


@pytest.mark.parametrize("log", [None, "a line"], ids=["plain", "with a run"])
@pytest.mark.parametrize(
    ("state", "queue", "task", "age"),
    [
        (JobState.COMPLETED, "default", "t", 100.0),
        (JobState.CANCELLED, "default", "t", 200.0),
        (JobState.DISCARDED, "default", "t", 300.0),
        (JobState.COMPLETED, "mail", "t", 10.0),
        (JobState.DISCARDED, "mail", "t", 300.0),
        (JobState.COMPLETED, "mail", "keep", 50_000.0),
        (JobState.DISCARDED, "mail", "keep", 60_000.0),
    ],
)
async def test_an_end_says_when_the_job_goes(
    raw: Raw, opened: Opener, state: JobState, queue: str, task: str, age: float, log: str | None
) -> None:
    engine = await opened(retention=RetentionConfig(**SETTINGS))
    here = await node(engine)
    (id_,) = await put(engine, new(task=task, queue=queue))
    (claim,) = await fetch(engine, here, queue=queue)
    ack = Ack(claim.id, claim.claim, ENDS[state], state, log=log)
    await engine.exchange(here, queue, 0, [ack])
    assert await prune_at(engine, raw, id_) == pytest.approx(age, abs=0.01)


async def test_an_awaited_job_goes_after_an_hour_at_the_earliest(engine: Engine, raw: Raw) -> None:
    here = await node(engine)
    (id_,) = await put(engine, new(awaited=True))
    (claim,) = await fetch(engine, here)
    ack = Ack(claim.id, claim.claim, RunOutcome.COMPLETED, JobState.COMPLETED)
    await engine.exchange(here, "default", 0, [ack])
    at = await prune_at(engine, raw, id_)
    assert at is not None
    assert at >= HOUR - 0.01


async def test_the_end_of_a_retry_counts(engine: Engine, raw: Raw) -> None:
    id_ = await in_state(engine, JobState.COMPLETED)
    await engine.retry(ANY)
    assert await raw.execute("SELECT prune_at FROM job WHERE id = %s", id_) == [(None,)]


async def test_a_shorter_retention_reviews_what_has_ended(engine: Engine, raw: Raw) -> None:
    assert await engine.review_retention(HOURLY, 2) is False
    ids = [await finished(engine, raw, 60) for _ in range(5)]
    for id_ in ids:
        await raw.put(id_, prune_at=Ago(-HOUR))
    await raw.put(ids[0], keep_until=Ago(-HOUR))
    assert await engine.review_retention(HOURLY, 2) is False
    assert await engine.prune(NOW, 100) == (0, 0)
    assert [await engine.review_retention(NOW, 2) for _ in range(5)] == [
        True, True, True, False, False,
    ]  # fmt: skip
    assert await engine.prune(NOW, 100) == (4, 0)
    assert await left(engine) == {ids[0]}
