"""``app.jobs``: reads, filters, pages, and what the verbs refuse."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from elihu import (
    Elihu,
    InvalidOption,
    JobNotFound,
    JobState,
    Task,
)
from tests.features.job_states import SCHEDULED, SUSPENDED
from tests.support import BUSY_MACHINE, QUICK


async def test_an_unknown_id(app: Elihu, t: Task[..., Any]):
    for job_id in (77, 2**62, 2**63 - 1):
        for verb in (app.jobs.get, app.jobs.runs, app.jobs.position, app.jobs.update):
            with pytest.raises(JobNotFound, match=f"job {job_id} not found") as caught:
                await verb(job_id)
            assert caught.value.job_id == job_id
        with pytest.raises(JobNotFound):
            await app.jobs.update(job_id, args={"number": 1})
        for bulk in bulk_verbs(app):
            assert await bulk(job_id) == 0
    assert (await app.jobs.list(after=2**63 - 1)).items == []


async def test_wrong_ids_and_filters(app: Elihu, t: Task[..., Any]):
    job = await t.aenqueue()
    for wrong in ("1", 1.0, True, None, 0, -1, 2**63, [1], float("nan")):
        for verb in (
            app.jobs.get,
            app.jobs.runs,
            app.jobs.position,
            app.jobs.update,
            *bulk_verbs(app),
        ):
            with pytest.raises(InvalidOption, match="expected"):
                await verb(wrong)  # type: ignore[operator]
    filters: list[tuple[dict[str, Any], str]] = [
        ({}, "expected ids or a filter .*got none: every job would match"),
        ({"queue": None}, "expected ids or a filter"),
        ({"colour": "red"}, "colour: expected a filter among ids, state, queue"),
        ({"state": "done"}, "state: expected one of suspended, .* got 'done'"),
        ({"state": ["available", "done"]}, "state: expected one of"),
        ({"state": 5}, "state: expected one of"),
        ({"queue": 5}, "queue: expected a text"),
        ({"task": [b"t"]}, "task: expected a text"),
        ({"task": 1.5}, "task: expected one value or several"),
        ({"tags": [""]}, "tags: expected a text"),
        ({"ids": ["1"]}, "id: expected a whole number"),
        ({"ids": "1"}, "id: expected a whole number"),
    ]
    for given, expected in filters:
        for bulk in bulk_verbs(app):
            with pytest.raises(InvalidOption, match=expected):
                await bulk(**given)
        if given.get("queue", 1) is not None and given:
            for look in (app.jobs.list, app.jobs.count):
                with pytest.raises(InvalidOption, match=expected):
                    await look(**given)
    with pytest.raises(InvalidOption, match="expected ids as arguments or as ids="):
        await app.jobs.cancel(1, ids=[2])
    for limit in (0, -1, 1_001, "5", True, 1.5):
        with pytest.raises(InvalidOption, match="limit: expected a whole number from 1 to 1,000"):
            await app.jobs.list(limit=limit)  # type: ignore[arg-type]
    with pytest.raises(InvalidOption, match="id: expected"):
        await app.jobs.list(after="5")  # type: ignore[arg-type]
    assert await app.jobs.get(job.id) == job


def bulk_verbs(app: Elihu) -> list[Callable[..., Awaitable[int]]]:
    return [
        app.jobs.cancel,
        app.jobs.kill,
        app.jobs.retry,
        app.jobs.delete,
        app.jobs.hold,
        app.jobs.release,
    ]


async def test_text_that_no_database_holds_matches_nothing_or_is_refused(
    app: Elihu, t: Task[..., Any]
):
    await t.aenqueue()
    for text in ("a\0b", "\ud800", "x" * 100_000, "", "'; DROP TABLE job; --"):
        for name in ("queue", "task", "tags", "node"):
            for verb in (app.jobs.count, app.jobs.cancel):
                with suppress(InvalidOption):
                    assert await verb(**{name: text}) == 0
    assert await app.jobs.counts() == {"default": {"available": 1}}


async def test_no_ids_match_nothing(app: Elihu, t: Task[..., Any]):
    await t.aenqueue()
    for bulk in bulk_verbs(app):
        assert await bulk(ids=[]) == 0
        assert await bulk(ids=(), queue="default") == 0
        assert await bulk(queue=[]) == 0
    assert (await app.jobs.list(ids=[])).items == []
    assert await app.jobs.count(state=[]) == 0
    assert await app.jobs.count() == 1


async def test_filters(app: Elihu, t: Task[..., Any]):
    @app.task(name="u", tags=["red"])
    async def u(): ...

    a = await t.using(queue="mail", tags=["Red", "blue"]).aenqueue()
    b = await t.using(hold=True, tags=["blue"]).aenqueue()
    c = await u.using(queue="mail").aenqueue()
    d = await u.using(delay=60).aenqueue()

    async def found(**filters: Any) -> list[int]:
        page = await app.jobs.list(**filters)
        assert await app.jobs.count(**filters) == len(page.items)
        return [job.id for job in page.items]

    assert await found() == [d.id, c.id, b.id, a.id]
    assert await found(queue="mail") == [c.id, a.id]
    assert await found(queue=["mail", "default"]) == [d.id, c.id, b.id, a.id]
    assert await found(task="t") == [b.id, a.id]
    assert await found(task=("t", "u"), queue="default") == [d.id, b.id]
    assert await found(tags="RED") == [d.id, c.id, a.id]
    assert await found(tags=[" blue", "green"]) == [b.id, a.id]
    assert await found(state="suspended") == [b.id]
    assert await found(state=[SCHEDULED, "available"]) == [d.id, c.id, a.id]
    assert await found(ids=[a.id, 99, b.id, a.id]) == [b.id, a.id]
    assert await app.jobs.count(ids=(n for n in (c.id, 99))) == 1
    assert await found(ids=b.id, state="available") == []
    assert await found(node="nobody") == []
    assert await found(node="d9a2f6b0-0000-0000-0000-000000000000") == []
    assert await app.jobs.counts() == {
        "mail": {"available": 2},
        "default": {"suspended": 1, "scheduled": 1},
    }
    assert await app.jobs.cancel(tags="red", queue="mail") == 2
    assert await app.jobs.delete(a.id, state="available") == 0
    assert await app.jobs.delete(a.id, b.id, state="cancelled") == 1


async def test_pages(app: Elihu, t: Task[..., Any]):
    done = await app.enqueue_many(
        (t.using(tags=["odd"] if n % 2 else ["even"]).build(n) for n in range(25)), ids=True
    )
    assert done.ids is not None
    newest_first = done.ids[::-1]
    for size in (1, 7, 24, 25, 26):
        pages, after = [], None
        while True:
            page = await app.jobs.list(after=after, limit=size)
            pages.append([job.id for job in page.items])
            if (after := page.next) is None:
                break
            await t.aenqueue(-1)
        assert list(itertools.chain(*pages)) == newest_first, size
        assert all(len(ids) == size for ids in pages[:-1])
        await app.jobs.delete(
            ids=[
                job.id
                for job in (await app.jobs.list(limit=1_000)).items
                if job.id > newest_first[0]
            ]
        )
    odd = await app.jobs.list(tags="odd", limit=5)
    assert [job.args["number"] for job in odd.items] == [23, 21, 19, 17, 15]
    assert odd.next == odd.items[-1].id


async def test_verbs_over_thousands(database_url: str):
    app = Elihu(database_url, **QUICK | BUSY_MACHINE)
    await app.migrate()

    @app.task(name="t")
    async def t(number: int): ...

    done = await app.enqueue_many((t.build(number) for number in range(2_700)), ids=True)
    assert done.ids is not None
    other = await t.using(queue="other").aenqueue(0)
    assert await app.jobs.hold(queue="default") == 2_700
    assert await app.jobs.counts() == {"default": {"suspended": 2_700}, "other": {"available": 1}}
    assert await app.jobs.release(ids=done.ids) == 2_700
    assert await app.jobs.cancel(task="t", queue="default") == 2_700
    assert await app.jobs.retry(*done.ids) == 2_700
    assert await app.jobs.position(done.ids[-1]) == 2_700
    assert await app.jobs.position(other.id) == 1
    assert await app.jobs.delete(state=list(JobState), queue="default") == 2_700
    assert [job.id for job in (await app.jobs.list()).items] == [other.id]
    await app.aclose()


async def test_position_follows_the_order_of_fetch(app: Elihu, t: Task[..., Any]):
    now = datetime.now(UTC)
    jobs = [
        await t.using(priority=1).aenqueue(),
        await t.aenqueue(),
        await t.aenqueue(),
        await t.using(run_at=now - timedelta(hours=1)).aenqueue(),
        await t.using(queue="other").aenqueue(),
        await t.using(delay=60).aenqueue(),
    ]
    assert [await app.jobs.position(job.id) for job in jobs] == [4, 2, 3, 1, 1, None]
    await app.jobs.update(jobs[0].id, priority=0, run_at=now - timedelta(hours=2))
    assert [await app.jobs.position(job.id) for job in jobs] == [1, 3, 4, 2, 1, None]


async def test_the_verbs_from_synchronous_code(app: Elihu, t: Task[..., Any]):
    job = await t.aenqueue()

    def work() -> list[Any]:
        return [
            app.run(app.jobs.hold(job.id)),
            app.run(app.jobs.get(job.id)).state,
            app.run(app.jobs.counts()),
            app.run(app.jobs.release(job.id)),
            app.run(app.nodes.list()),
        ]

    assert await asyncio.to_thread(work) == [1, SUSPENDED, {"default": {"suspended": 1}}, 1, []]
