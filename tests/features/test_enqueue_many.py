"""Jobs that are stored together: concurrent calls and ``enqueue_many``."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from elihu import (
    DataRefused,
    Elihu,
    NewJob,
    Task,
)
from tests.support import BUSY_MACHINE, QUICK, EventRecorder


async def test_callers_at_the_same_moment_share_statements(
    app: Elihu, events: EventRecorder, add: Task[[int], Any]
):
    await add.aenqueue(0)
    before = events.calls("insert")
    jobs = await asyncio.gather(*(add.aenqueue(number) for number in range(2_500)))
    assert events.calls("insert") - before <= 5
    assert len({job.id for job in jobs}) == 2_500
    assert [job.args["number"] for job in jobs] == list(range(2_500))
    stored = {job.id: job for job in (await app.jobs.list(limit=1_000)).items}
    for job in jobs:
        assert stored.get(job.id, job) == job


def refused(number: int) -> NewJob:
    """What passes every check of ours but not the database's own."""
    return NewJob(task="add", args=f'{{"number": {number}}}', priority=99)


async def test_a_bad_row_fails_alone(app: Elihu, add: Task[[int], Any]):
    news = [add.build(number) for number in range(40)]
    news[7], news[8], news[31] = refused(7), refused(8), refused(31)
    answers = await asyncio.gather(*(app.aenqueue(new) for new in news), return_exceptions=True)
    failed = {number for number, answer in enumerate(answers) if isinstance(answer, BaseException)}
    assert failed == {7, 8, 31}
    assert all(isinstance(answers[number], DataRefused) for number in failed)
    assert sorted(job.args["number"] for job in (await app.jobs.list()).items) == sorted(
        set(range(40)) - failed
    )


async def test_a_caller_that_is_cancelled_before_its_batch_is_sent_stores_nothing(
    app: Elihu, add: Task[[int], Any]
):
    await app.jobs.count()
    first = asyncio.create_task(add.aenqueue(1))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    late = [asyncio.create_task(add.aenqueue(number)) for number in (2, 3, 4)]
    await asyncio.sleep(0)
    late[1].cancel()
    await asyncio.wait([first, *late])
    assert late[1].cancelled()
    assert sorted(job.args["number"] for job in (await app.jobs.list()).items) == [1, 2, 4]


async def test_enqueue_many_takes_any_iterable(app: Elihu, add: Task[[int], Any]):
    def numbers() -> Iterator[NewJob]:
        for number in range(3):
            yield add.build(number)

    async def slow() -> AsyncIterator[NewJob]:
        for number in range(4):
            await asyncio.sleep(0)
            yield add.using(delay=60).build(number)

    lists = await app.enqueue_many([add.build(1), add.build(2)], ids=True)
    assert (lists.inserted, lists.conflicts, lists.ids) == (2, 0, [1, 2])
    assert (await app.enqueue_many(numbers())).inserted == 3
    assert (await app.enqueue_many(slow())).inserted == 4
    nothing = await app.enqueue_many([], ids=True)
    assert (nothing.inserted, nothing.conflicts, nothing.ids) == (0, 0, [])
    assert (await app.enqueue_many([])).ids is None
    assert await app.jobs.counts() == {"default": {"available": 5, "scheduled": 4}}


async def test_enqueue_many_streams_in_chunks(database_url: str):
    app = Elihu(database_url, **QUICK | BUSY_MACHINE)
    await app.migrate()
    events = EventRecorder(app)

    @app.task(name="add")
    async def add(number: int): ...

    done = await app.enqueue_many((add.build(number) for number in range(12_000)), ids=True)
    assert (done.inserted, done.conflicts, events.calls("insert")) == (12_000, 0, 3)
    assert done.ids is not None
    assert done.ids == sorted(set(done.ids))
    for place in (0, 4_999, 5_000, 11_999):
        assert (await app.jobs.get(done.ids[place])).args == {"number": place}

    def broken() -> Iterator[NewJob]:
        yield from (add.build(number) for number in range(5_001))
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        await app.enqueue_many(broken())
    assert await app.jobs.count() == 17_000
    with pytest.raises(DataRefused):
        await app.enqueue_many([add.build(1), refused(2), add.build(3)])
    assert await app.jobs.count() == 17_000
    await app.aclose()


@pytest.mark.usefixtures("unhurried")
async def test_a_large_chunk_is_cut_by_its_bytes(app: Elihu, events: EventRecorder):
    @app.task(name="t")
    async def t(text: str): ...

    text = "x" * 1_000_000
    assert (await app.enqueue_many(t.build(text) for _ in range(20))).inserted == 20
    assert events.calls("insert_bulk") == 2
    noted = t.using(meta={"note": "x" * 60_000})
    assert (await app.enqueue_many(noted.build("") for _ in range(300))).inserted == 300
    assert events.calls("insert_bulk") == 4
