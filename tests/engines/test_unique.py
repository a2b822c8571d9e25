"""Unique jobs: one index decides, in single, bulk and concurrent inserts."""

import asyncio
from math import floor
from typing import Any

import pytest

from elihu.engines.protocol import Engine, Inserted
from elihu.job import JobFilter, JobState, NewJob
from tests.engines.builders import (
    ANY,
    acknowledge,
    cancelled,
    completed,
    fetch,
    in_state,
    job,
    new,
    node,
    only,
    put,
)
from tests.engines.raw import Raw

DAY = 86_400.0


def unique(key: bytes = b"key", scope: int = 0, **fields: Any) -> NewJob:
    return new(unique_key=key, unique_scope=scope, **fields)


async def one(engine: Engine, job: NewJob) -> Inserted:
    (inserted,) = await engine.insert([job])
    return inserted


async def test_the_second_is_the_first(engine: Engine) -> None:
    first = await one(engine, unique(delay=60))
    second = await one(engine, unique(args='{"other": 1}'))
    assert (first.conflict, second.conflict) == (False, True)
    assert second == first._replace(conflict=True)
    assert await engine.count(ANY) == 1


async def test_different_keys_do_not_meet(engine: Engine) -> None:
    assert not any(
        inserted.conflict
        for inserted in await engine.insert([unique(b"a"), unique(b"b"), new(), new()])
    )


async def test_one_unique_key_twice_in_one_batch(engine: Engine) -> None:
    there = await one(engine, unique(b"there"))
    jobs = [
        new("plain"),
        unique(b"b"),
        unique(b"a"),
        unique(b"there"),
        unique(b"b"),
        new("plain"),
        unique(b"a"),
    ]
    answers = await engine.insert(jobs)
    assert [answer.conflict for answer in answers] == [False, False, False, True, True, False, True]
    assert answers[3].id == there.id
    assert answers[4].id == answers[1].id
    assert answers[6].id == answers[2].id
    stored = [answer.id for answer in answers if not answer.conflict]
    assert stored == sorted(set(stored))
    assert await engine.count(ANY) == 5


async def test_a_large_batch_keeps_its_order(engine: Engine) -> None:
    answers = await engine.insert(
        [
            unique((number % 700).to_bytes(2, "big"), task=f"t{number % 700}")
            for number in range(1_400)
        ]
    )
    assert [answer.conflict for answer in answers] == [False] * 700 + [True] * 700
    assert [answer.id for answer in answers[:700]] == [answer.id for answer in answers[700:]]
    found = {stored.id: stored.task for stored in (await engine.find(ANY, None, 1_000)).items}
    assert [found[answer.id] for answer in answers[:700]] == [f"t{number}" for number in range(700)]


async def test_a_race_has_one_winner(engine: Engine, other: Engine) -> None:
    for round_ in range(5):
        jobs = [unique(f"{round_}.{number}".encode()) for number in range(20)]
        answers = await asyncio.gather(
            *(
                (engine, other)[turn % 2].insert(jobs if turn % 3 else jobs[::-1])
                for turn in range(8)
            )
        )
        for key in {answer.unique_key for answer in answers[1]}:
            same = [
                inserted for answer in answers for inserted in answer if inserted.unique_key == key
            ]
            assert len({inserted.id for inserted in same}) == 1
            assert sorted(inserted.conflict for inserted in same) == [False] + [True] * 7
    assert await engine.count(ANY) == 100


@pytest.mark.parametrize("state", [state for state in JobState if state is not JobState.EXECUTING])
@pytest.mark.parametrize("scope", [0, 1, 2])
async def test_the_states_that_stand_in_the_way(
    engine: Engine, state: JobState, scope: int
) -> None:
    first = await in_state(engine, state, unique_key=b"key", unique_scope=scope)
    assert (await job(engine, first)).state is state
    finished = {JobState.COMPLETED: 1, JobState.DISCARDED: 2, JobState.CANCELLED: 2}
    assert (await one(engine, unique())).conflict is (scope >= finished.get(state, 0))


@pytest.mark.parametrize(
    ("scope", "state"), [(0, JobState.RETRYABLE), (1, JobState.COMPLETED), (2, JobState.CANCELLED)]
)
async def test_the_index_refuses_duplicates_written_by_sql(
    engine: Engine, raw: Raw, scope: int, state: JobState
) -> None:
    first = await in_state(engine, state, unique_key=b"key", unique_scope=scope)
    with pytest.raises(Exception, match=r"(?i)unique"):
        await raw.execute(
            "INSERT INTO job (task, unique_key, unique_scope) SELECT 't', unique_key, 0 FROM job "
            "WHERE id = %s",
            first,
        )


async def test_an_executing_job_holds_its_unique_key(engine: Engine) -> None:
    await put(engine, unique())
    await fetch(engine, await node(engine))
    assert (await one(engine, unique())).conflict


async def test_the_key_is_free_again_when_its_job_goes(engine: Engine) -> None:
    first = await one(engine, unique(scope=2))
    await engine.delete(only(first.id))
    assert not (await one(engine, unique(scope=2))).conflict


async def test_a_period_is_part_of_the_key(engine: Engine) -> None:
    """Both windows are longer than any of us will wait for the next."""
    jobs = [
        unique(unique_period=4e9),
        unique(unique_period=4e9),
        unique(unique_period=1.7e9),
        unique(),
    ]
    answers = await engine.insert(jobs)
    assert [inserted.conflict for inserted in answers] == [False, True, False, False]
    assert len({inserted.unique_key for inserted in answers}) == 3


async def test_windows_are_counted_from_the_epoch_by_the_databases_clock(
    engine: Engine, raw: Raw
) -> None:
    for period in (1.0, 7.5, 3_600.0):
        inserted = await one(engine, unique(unique_period=period, scope=2))
        inserted_at, keep_until = await raw.look(inserted.id, "inserted_at", "keep_until")
        assert _window(inserted) == floor(inserted_at / period)
        assert keep_until == pytest.approx((floor(inserted_at / period) + 1) * period, abs=1e-5)


def _window(inserted: Inserted) -> int:
    assert inserted.unique_key is not None
    digest, window = (
        inserted.unique_key[: len(b"key".hex())],
        inserted.unique_key[len(b"key".hex()) :],
    )
    assert digest == b"key".hex()
    return int(window[1:]) if window.startswith(":") else int(window, 16)


@pytest.mark.parametrize(("scope", "kept"), [(0, None), (1, 30 * DAY), (2, 30 * DAY)])
async def test_a_job_is_kept_as_long_as_its_uniqueness_covers_finished_states(
    engine: Engine, raw: Raw, scope: int, kept: float | None
) -> None:
    inserted = await one(engine, unique(scope=scope))
    inserted_at, keep_until = await raw.look(inserted.id, "inserted_at", "keep_until")
    assert (None if keep_until is None else keep_until - inserted_at) == (
        None if kept is None else pytest.approx(kept, abs=1e-3)
    )


async def test_a_finished_holder_does_not_hide_the_living_one(engine: Engine) -> None:
    """Two rows have the key, of which one stands in the way."""
    here = await node(engine)
    first = await one(engine, unique())
    (claim,) = await fetch(engine, here)
    await acknowledge(engine, here, completed(claim))
    second = await one(engine, unique())
    assert second.id != first.id
    assert (await one(engine, unique())).id == second.id
    (claim,) = await fetch(engine, here)
    await acknowledge(engine, here, cancelled(claim))
    assert await engine.count(JobFilter(state=(JobState.AVAILABLE,))) == 0
    assert not (await one(engine, unique())).conflict
