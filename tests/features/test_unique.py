"""Unique jobs: keys, states, periods and concurrent inserts."""

import asyncio
from dataclasses import replace

from elihu import (
    Elihu,
    Job,
    JobState,
    Unique,
)
from elihu.clients.client import Client
from elihu.job import NewJob
from elihu.options import UniqueStates
from elihu.runtime.announcer import Hub
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import JobStopped
from tests.support import EventRecorder


async def test_a_unique_job_meets_the_one_that_is_there(app: Elihu, events: EventRecorder):
    @app.task(name="t", unique=Unique())
    async def t(number: int, note: str = ""): ...

    first = await t.aenqueue(1)
    again = await t.aenqueue(number=1, note="")
    other = await t.aenqueue(2)
    assert (first.conflict, again.conflict, other.conflict) == (False, True, False)
    assert again.id == first.id != other.id
    assert again.unique_key == first.unique_key
    assert (await app.jobs.get(first.id)) == first

    done = await app.enqueue_many(
        [t.build(1), t.build(3), t.build(3), t.build(2), t.build(4)], ids=True
    )
    assert (done.inserted, done.conflicts) == (2, 3)
    assert done.ids is not None
    assert done.ids[0] == first.id
    assert done.ids[1] == done.ids[2] > other.id
    assert done.ids[3] == other.id
    assert done.ids[4] > done.ids[1]

    async with app.running():
        await events.count(JobStopped, 4)
    assert (await t.aenqueue(1)).conflict is False


async def test_keys_and_fields_of_uniqueness(app: Elihu):
    @app.task(name="t")
    async def t(a: int, b: int = 0): ...

    @app.task(name="u")
    async def u(a: int, b: int = 0): ...

    by_key = Unique(keys=("a",))
    assert not (await t.using(unique=by_key).aenqueue(1, 1)).conflict
    assert (await t.using(unique=by_key).aenqueue(1, 2)).conflict
    assert not (await t.using(unique=by_key).aenqueue(2, 2)).conflict
    assert not (await u.using(unique=by_key).aenqueue(1, 1)).conflict
    by_task = Unique(by=("task",))
    assert not (await t.using(unique=by_task).aenqueue(8)).conflict
    assert (await t.using(unique=by_task).aenqueue(9)).conflict
    by_args = Unique(by=("args",))
    assert not (await t.using(unique=by_args).aenqueue(7)).conflict
    assert (await u.using(unique=by_args).aenqueue(7)).conflict
    by_queue = Unique(by=("queue", "task"))
    assert not (await t.using(unique=by_queue, queue="a").aenqueue(1)).conflict
    assert not (await t.using(unique=by_queue, queue="b").aenqueue(1)).conflict
    assert (await t.using(unique=by_queue, queue="a").aenqueue(2)).conflict
    by_meta = Unique(by=("meta",))
    assert not (await t.using(unique=by_meta, meta={"x": 1, "y": 2}).aenqueue(1)).conflict
    assert (await t.using(unique=by_meta, meta={"y": 2, "x": 1}).aenqueue(2)).conflict
    assert not (await t.using(unique=by_meta, meta={"x": 1}).aenqueue(1)).conflict


async def test_states_of_uniqueness(app: Elihu, events: EventRecorder):
    @app.task(name="t")
    async def t(kind: str, scope: str):
        if kind == "fails":
            raise ValueError("x")

    scopes: tuple[UniqueStates, ...] = ("incomplete", "successful", "all")

    async def meets(kind: str) -> dict[str, bool]:
        return {
            scope: (
                await t.using(unique=Unique(states=scope), max_attempts=1, hold=True).aenqueue(
                    kind, scope
                )
            ).conflict
            for scope in scopes
        }

    for kind in ("works", "fails"):
        for scope in scopes:
            await t.using(unique=Unique(states=scope), max_attempts=1, hold=True).aenqueue(
                kind, scope
            )
    assert await meets("works") == {"incomplete": True, "successful": True, "all": True}
    await app.jobs.release(state="suspended")
    async with app.running():
        await events.count(JobStopped, 6)
    assert await meets("works") == {"incomplete": False, "successful": True, "all": True}
    assert await meets("fails") == {"incomplete": False, "successful": False, "all": True}


async def test_a_period_ends(app: Elihu, events: EventRecorder):
    @app.task(name="t")
    async def t(): ...

    each_second = Unique(period=1)
    jobs = [await t.using(unique=each_second).aenqueue()]
    async with asyncio.timeout(20):
        for met in (False, True):
            while jobs[-1].conflict is met:
                jobs.append(await t.using(unique=each_second).aenqueue())
    assert jobs[-1].id != jobs[-2].id
    assert jobs[-1].unique_key != jobs[-2].unique_key
    assert jobs[-1].inserted_at.second != jobs[-2].inserted_at.second
    day = t.using(unique=Unique(period="1d"))
    assert [(await day.aenqueue()).conflict for _ in range(3)] == [False, True, True]


async def test_unique_inserts_from_two_loops_make_one_job(app: Elihu, database_url: str):
    @app.task(name="t", unique=Unique())
    async def t(number: int): ...

    def elsewhere() -> list[Job]:
        async def work() -> list[Job]:
            try:
                return await asyncio.gather(*(t.aenqueue(number) for number in range(10)))
            finally:
                await close_here(app)

        return asyncio.run(work())

    here = asyncio.gather(*(t.aenqueue(number) for number in reversed(range(10))))
    both = [*(await asyncio.gather(asyncio.to_thread(elsewhere), here))]
    assert await app.jobs.count() == 10
    answers = [job for jobs in both for job in jobs]
    assert sum(not job.conflict for job in answers) == 10
    for number in range(10):
        assert len({job.id for job in answers if job.args["number"] == number}) == 1


async def close_here(app: Elihu) -> None:
    """Close what the running loop opened, and no other loop's."""
    loop = asyncio.get_running_loop()
    clients = app._clients._open.clients
    if client := clients.pop(loop, None):
        await client.close()


async def test_bulk_unique_inserts_in_opposite_orders_do_not_deadlock(
    app: Elihu, events: EventRecorder
):
    @app.task(name="t", unique=Unique())
    async def t(number: int): ...

    done = await asyncio.gather(
        *(
            app.enqueue_many(
                [t.build(n) for n in (range(300) if turn % 2 else reversed(range(300)))], ids=True
            )
            for turn in range(4)
        )
    )
    assert await app.jobs.count() == 300
    assert sum(each.inserted for each in done) == 300
    assert sum(each.conflicts for each in done) == 900


async def test_unique_jobs_are_counted_where_nobody_asks_for_ids(app: Elihu, events: EventRecorder):
    @app.task(name="t", unique=Unique())
    async def t(number: int): ...

    first = await app.enqueue_many(t.build(number) for number in (1, 2, 2, 3))
    assert (first.inserted, first.conflicts, first.ids) == (3, 1, None)
    again = await app.enqueue_many(t.build(number) for number in range(2, 6))
    assert (again.inserted, again.conflicts) == (2, 2)
    assert (events.calls("insert_bulk"), events.calls("insert")) == (2, 0)
    mixed = await app.enqueue_many([t.build(1), t.using(priority=1).build(6)])
    assert (mixed.inserted, mixed.conflicts, events.calls("insert")) == (1, 1, 1)
    assert await app.jobs.count() == 6


async def test_a_queue_is_announced_where_a_counted_job_was_stored(app: Elihu):
    hub, announced = Hub(), []
    hub.join(lambda signal: announced.append(signal.payload))
    client = Client(app.config, Bus(), hub)
    jobs = [NewJob(task="t", queue="mail", unique_key=b"k", unique_scope=0)]
    assert await client.insert_bulk(jobs) == (1, 0)
    assert await client.insert_bulk(jobs) == (0, 1)
    assert await client.insert_bulk([replace(jobs[0], unique_key=b"l", notify=False)]) == (1, 0)
    assert announced == ["mail"]
    await client.close()


async def test_a_unique_job_changes_the_one_that_waits_and_its_queue_is_announced(
    app: Elihu, events: EventRecorder
) -> None:
    ran: list[int] = []

    @app.task(
        name="latest",
        unique=Unique(by=("task",), on_conflict={"replace": ["args", "scheduled_at", "tags"]}),
    )
    async def latest(number: int) -> None:
        ran.append(number)

    async with app.running(queues={"default": 1}):
        first = await latest.using(delay="1h").aenqueue(1)
        second = await latest.using(delay="2h", tags=["late"]).aenqueue(2)
        assert (second.id, second.conflict, second.state) == (first.id, True, "scheduled")
        assert (second.args, second.tags) == ({"number": 2}, ("late",))
        done = await app.enqueue_many(
            [latest.using(delay="3h").build(3), latest.using(delay="3h").build(4)]
        )
        assert (done.inserted, done.conflicts) == (0, 2)
        last = await latest.aenqueue(5)
        assert (last.id, last.conflict, last.args) == (first.id, True, {"number": 5})
        await events.stored(first.id, {JobState.COMPLETED})
    assert ran == [5]
    assert await app.jobs.count() == 1
