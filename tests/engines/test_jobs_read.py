"""Reading jobs: one, pages, filters, counts, runs and positions."""

import pytest

from elihu.engines.protocol import Engine
from elihu.errors import JobNotFound
from elihu.job import JobChanges, JobFilter, JobState
from tests.engines.builders import (
    ANY,
    acknowledge,
    completed,
    failed,
    fetch,
    job,
    new,
    node,
    only,
    put,
    released,
)
from tests.engines.raw import Ago, Raw

HUGE = 2**80


# reads


async def test_an_unknown_id(engine: Engine) -> None:
    for id_ in (1, 0, -1, HUGE):
        assert await engine.get(id_) is None
        assert await engine.runs(id_) == []
        with pytest.raises(JobNotFound, match=str(id_)):
            await engine.position(id_)
        with pytest.raises(JobNotFound, match=str(id_)):
            await engine.update(id_, JobChanges(priority=1))
        assert (await engine.cancel(only(id_))).changed == 0


async def test_pages_are_newest_first(engine: Engine) -> None:
    ids = await put(engine, *(new() for _ in range(7)))
    first = (await engine.find(ANY, None, 3)).items
    second = (await engine.find(ANY, first[-1].id, 3)).items
    third = (await engine.find(ANY, second[-1].id, 3)).items
    assert [found.id for found in (*first, *second, *third)] == ids[::-1]
    assert (await engine.find(ANY, ids[0], 3)).items == []
    assert [found.id for found in (await engine.find(ANY, HUGE, 1)).items] == [ids[-1]]


async def test_filters(engine: Engine) -> None:
    here, elsewhere = await node(engine), await node(engine)
    a, b, c, d, e = await put(
        engine,
        new("x", tags=("red", "big")),
        new("y", queue="mail", tags=("blue",)),
        new("x", queue="mail"),
        new("z", delay=60),
        new("z", hold=True),
    )
    await fetch(engine, here, queue="mail", free=1)
    await fetch(engine, elsewhere, queue="mail", free=1)
    cases = {
        JobFilter(): {a, b, c, d, e},
        JobFilter(ids=(a, e, 10**6, HUGE)): {a, e},
        JobFilter(ids=()): set(),
        JobFilter(state=(JobState.SCHEDULED, JobState.SUSPENDED)): {d, e},
        JobFilter(state=()): set(),
        JobFilter(queue=("mail",)): {b, c},
        JobFilter(queue=()): set(),
        JobFilter(task=("x", "y")): {a, b, c},
        JobFilter(task=()): set(),
        JobFilter(tags=("red", "blue")): {a, b},
        JobFilter(tags=("big",)): {a},
        JobFilter(tags=("re",)): set(),
        JobFilter(tags=()): set(),
        JobFilter(node=(here,)): {b},
        JobFilter(node=(here, elsewhere)): {b, c},
        JobFilter(node=("nonsense",)): set(),
        JobFilter(node=()): set(),
        JobFilter(
            task=("x",), queue=("mail",), state=(JobState.EXECUTING,), node=(elsewhere,), ids=(b, c)
        ): {c},
        JobFilter(task=("x",), queue=("mail",), state=(JobState.AVAILABLE,)): set(),
        JobFilter(task=("'; DROP TABLE job; --",)): set(),
    }
    for where, expected in cases.items():
        assert {found.id for found in (await engine.find(where, None, 100)).items} == expected, (
            where
        )
        assert await engine.count(where) == len(expected), where


async def test_counts(engine: Engine) -> None:
    assert await engine.counts() == {}
    await put(engine, new(), new(), new(delay=60), new(queue="mail"))
    await fetch(engine, await node(engine), 1)
    assert await engine.counts() == {
        "default": {"available": 1, "executing": 1, "scheduled": 1},
        "mail": {"available": 1},
    }


async def test_a_running_attempt_is_listed_without_a_result(engine: Engine) -> None:
    (id_,) = await put(engine)
    assert await engine.runs(id_) == []
    here = await node(engine)
    (claim,) = await fetch(engine, here)
    (run,) = await engine.runs(id_)
    assert (run.id, run.job_id, run.claim, run.attempt, run.node) == (f"{id_}.1", id_, 1, 1, here)
    assert (run.started_at, run.ended_at, run.outcome, run.error) == (
        claim.started_at,
        None,
        None,
        None,
    )
    await acknowledge(engine, here, completed(claim))
    (run,) = await engine.runs(id_)
    assert (run.outcome, run.ended_at) == ("completed", (await job(engine, id_)).finished_at)


async def test_all_attempts_are_listed(engine: Engine) -> None:
    here = await node(engine)
    (id_,) = await put(engine)
    for ack in (released, lambda claim: failed(claim, delay=-1.0), completed):
        await engine.stage(10)
        (claim,) = await fetch(engine, here)
        await acknowledge(engine, here, ack(claim))
    assert [(run.claim, run.attempt, run.outcome) for run in await engine.runs(id_)] == [
        (1, 1, "returned"),
        (2, 1, "failed"),
        (3, 2, "completed"),
    ]


async def test_position_follows_the_order_of_fetch(engine: Engine, raw: Raw) -> None:
    last, second, third, first = await put(
        engine, new(priority=9), new(priority=1), new(priority=1), new()
    )
    await put(engine, new(queue="other"), new(hold=True), new(delay=60))
    assert [await engine.position(id_) for id_ in (first, second, third, last)] == [1, 2, 3, 4]
    await raw.put(third, scheduled_at=Ago(60))
    assert [await engine.position(id_) for id_ in (first, third, second, last)] == [1, 2, 3, 4]
    (claim,) = await fetch(engine, await node(engine), 1)
    assert claim.id == first
    assert await engine.position(first) is None
    assert await engine.position(last) == 3


async def test_a_page_ends_early_where_its_rows_are_large(engine: Engine) -> None:
    """25 jobs of 1.2 million characters each: 16 million fill a page."""
    large = '{"text": "' + "x" * 1_200_000 + '"}'
    ids = await put(engine, *(new(args=large) for _ in range(25)))
    first = await engine.find(ANY, None, 1_000)
    assert [found.id for found in first.items] == ids[:-15:-1]
    assert first.next == first.items[-1].id
    second = await engine.find(ANY, first.next, 1_000)
    assert [found.id for found in first.items + second.items] == ids[::-1]
    assert second.next is None


@pytest.mark.parametrize("limit", [1, 50, 51, 52, 103, 104, 200])
async def test_a_page_says_where_the_next_begins(engine: Engine, limit: int) -> None:
    ids = await put(engine, *(new() for _ in range(104)))
    page = await engine.find(ANY, None, limit)
    assert [found.id for found in page.items] == ids[::-1][:limit]
    assert page.next == (page.items[-1].id if limit < len(ids) else None)
