"""Waiting through the database: other processes, lost announcements, costs and the end of
an app.
"""

import asyncio
from typing import Any

import pytest

import elihu
from elihu import (
    Elihu,
    RelayTimeout,
    ResultNotRecorded,
    ResultTooLarge,
    Task,
    Unique,
)
from tests.features.relays import looked
from tests.support import BUSY_MACHINE, QUICK, EventRecorder


async def test_it_works_from_a_process_that_runs_no_node(
    app: Elihu, elsewhere: Elihu, double: Task[..., Any]
):
    relay = await double.asubmit(21)
    attached = elsewhere.relay(relay.ref)
    waiting, events = asyncio.create_task(attached.aresult(20)), EventRecorder(elsewhere)
    await looked(events)
    async with app.running():
        assert await waiting == 42
        assert await elsewhere.relay(relay.ref).aresult() == 42
    assert (attached.job.task, attached.job.args) == ("double", {"n": 21})


async def test_nothing_is_lost_when_an_announcement_is(
    app: Elihu, double: Task[..., Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("elihu.runtime.announcer.Announcer.ended", lambda self, ids: None)
    relay, events = await double.asubmit(21), EventRecorder(app)
    waiting = asyncio.create_task(relay.aresult(20))
    await looked(events)
    async with app.running():
        assert await waiting == 42


async def test_a_submitted_job_keeps_its_result_whatever_its_task_says(
    app: Elihu, elsewhere: Elihu, double: Task[..., Any]
):
    keep_nothing = {
        "retention": {"completed": 0, "discarded": 0, "cancelled": 0},
        "pruner": {"interval": 0.05},
    }
    app.override(**keep_nothing)
    async with app.running():
        relay = await double.using(record=False).asubmit(1)
        events = EventRecorder(app)
        assert await relay.aresult() == 2
        plain = await double.aenqueue(1)
        await until_gone(app, events, plain.id)
        assert await relay.aresult() == 2


async def until_gone(app: Elihu, events: EventRecorder, job_id: int) -> None:
    while await app.jobs.count(ids=job_id):
        pruned = events.calls("prune")
        await events.until(lambda: events.calls("prune") > pruned)  # noqa: B023 (called before the next round)


async def test_who_attaches_while_the_job_runs_gets_its_value(app: Elihu, elsewhere: Elihu):
    began, gate = asyncio.Semaphore(0), asyncio.Event()

    @app.task(name="t")
    async def t(value: Any) -> Any:
        began.release()
        await gate.wait()
        return (
            {"odd": float("nan"), "big": "x" * 200}.get(value, value)
            if isinstance(value, str)
            else value
        )

    events = EventRecorder(elsewhere)
    app.override(**QUICK, max_result=100)
    async with app.running():
        jobs = [await t.aenqueue(value) for value in ([1, "a"], None, "odd", "big")]
        for _ in jobs:
            await began.acquire()
        waiting = asyncio.create_task(elihu.agather([elsewhere.relay(job.id) for job in jobs], 20))
        await looked(events, 4)
        gate.set()
        listed, nothing, odd, big = await waiting
    assert (listed, nothing) == ([1, "a"], None)
    assert type(odd) is ResultNotRecorded
    assert "finite" in odd.reason
    assert type(big) is ResultTooLarge


async def test_a_unique_job_that_was_there_is_attached_to(app: Elihu, events: EventRecorder):
    @app.task(name="t", unique=Unique())
    async def t() -> int:
        return 1

    job = await t.aenqueue()
    relay = await t.asubmit()
    assert relay.job.conflict
    assert relay.ref == job.id
    waiting = asyncio.create_task(relay.aresult(20))
    await looked(events)
    async with app.running():
        assert await waiting == 1


# costs and ends


async def test_thousands_share_one_listener_and_one_query(database_url: str):
    jobs = 1_000
    async with Elihu(database_url, **QUICK | BUSY_MACHINE) as app:
        await app.migrate()
        events = EventRecorder(app)

        @app.task(name="double")
        async def double(n: int) -> int:
            return 2 * n

        relays = await asyncio.gather(*(double.asubmit(n) for n in range(jobs)))
        waiting = asyncio.gather(*(relay.aresult(40) for relay in relays))
        await looked(events, jobs)
        async with app.running({"default": 200}):
            assert await waiting == [2 * n for n in range(jobs)]
    assert events.calls("ends") < jobs / 5
    assert events.calls("attach") == 0


async def test_no_wait_leaves_anything_behind(
    app: Elihu, elsewhere: Elihu, double: Task[..., Any], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("elihu.results.waiters.Waiters.__init__.__kwdefaults__", {"linger": 0.0})
    before = asyncio.all_tasks()
    relay, events = await double.asubmit(1), EventRecorder(elsewhere)
    with pytest.raises(RelayTimeout):
        await elsewhere.relay(relay.ref).aresult(0.01)
    waiting = [asyncio.create_task(elsewhere.relay(relay.ref).aresult(20)) for _ in range(5)]
    await looked(events)
    for task in waiting:
        task.cancel()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError] * 5
    await quiet(before)
    assert len(elsewhere._clients.client().waiters) == 0


async def quiet(before: set[asyncio.Task[Any]]) -> None:
    """Return when no other tasks run than before; fail when they never end."""
    async with asyncio.timeout(10):
        while left := asyncio.all_tasks() - before:
            await asyncio.wait(left, timeout=0.05)


async def test_closing_the_app_wakes_who_waits(
    app: Elihu, elsewhere: Elihu, double: Task[..., Any]
):
    before = asyncio.all_tasks()
    relay, events = await double.asubmit(1), EventRecorder(elsewhere)
    relays = [elsewhere.relay(relay.ref), elsewhere.relay(relay.ref)]
    waiting = asyncio.create_task(relays[0].aresult(None))
    many = asyncio.create_task(elihu.agather(relays, None))
    await looked(events)
    await elsewhere.aclose()
    with pytest.raises(elihu.DatabaseUnavailable, match="the app was closed"):
        await waiting
    assert [type(error) for error in await many] == [elihu.DatabaseUnavailable] * 2
    await quiet(before)
    async with app.running():
        assert await relays[0].aresult(20) == 2
