"""From a call to a row: single, coalesced and in bulk, unique, from everywhere a
program may enqueue.
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from elihu import (
    DataRefused,
    DuplicateTask,
    Elihu,
    InvalidArguments,
    Job,
    JobState,
    NewJob,
    Task,
    TaskError,
    TaskNotBound,
    Tasks,
    Unique,
    WrongLoop,
)
from elihu.options import UniqueStates
from elihu.telemetry.events import EngineCalled, JobStopped
from tests.support import BUSY_MACHINE, QUICK, EventRecorder


@pytest.fixture
def add(app: Elihu) -> Task[[int], Any]:
    @app.task(name="add")
    async def add(number: int): ...

    return add


async def test_what_enqueue_returns_is_what_is_stored(app: Elihu):
    @app.task(
        name="t",
        queue="mail",
        priority=3,
        max_attempts=7,
        tags=[" VIP "],
        meta={"a": 1, "b": [None]},
    )
    async def t(number: int, text: str = "å\u2028\U0001f600"): ...

    for job in [
        await t.aenqueue(1),
        await t.using(
            delay=60, priority=9, queue="other", max_attempts=2, tags=["new"], meta={"b": 2}
        ).aenqueue(2, text="x"),
        await t.using(hold=True).aenqueue(3),
        await t.using(unique=Unique()).aenqueue(4),
        await t.using(unique=Unique(period="1h"), delay=5).aenqueue(4),
    ]:
        assert await app.jobs.get(job.id) == job
    first, second, third, fourth, fifth = reversed((await app.jobs.list()).items)
    assert (first.state, first.queue, first.priority, first.max_attempts, first.attempt) == (
        JobState.AVAILABLE,
        "mail",
        3,
        7,
        0,
    )
    assert (first.args, first.tags, first.meta) == (
        {"number": 1, "text": "å\u2028\U0001f600"},
        ("vip",),
        {"a": 1, "b": [None]},
    )
    assert first.scheduled_at == first.inserted_at
    assert (first.started_at, first.finished_at, first.node, first.unique_key, first.conflict) == (
        None,
        None,
        None,
        None,
        False,
    )
    assert (second.state, second.queue, second.priority, second.max_attempts) == (
        JobState.SCHEDULED,
        "other",
        9,
        2,
    )
    assert (second.tags, second.meta) == (("vip", "new"), {"a": 1, "b": 2})
    assert second.scheduled_at - second.inserted_at == timedelta(seconds=60)
    assert third.state is JobState.SUSPENDED
    assert fourth.unique_key
    assert fifth.unique_key != fourth.unique_key


async def test_when(app: Elihu, add: Task[[int], Any]):
    now = datetime.now(UTC)
    far = now + timedelta(days=30)
    cases: dict[JobState, list[dict[str, Any]]] = {
        JobState.SCHEDULED: [
            {"run_at": far},
            {"delay": timedelta(days=1)},
            {"delay": "1h30m"},
            {"run_at": datetime(9998, 1, 1, tzinfo=UTC)},
        ],
        JobState.AVAILABLE: [
            {"run_at": now - timedelta(days=30)},
            {"delay": 0},
            {"delay": None, "run_at": None},
        ],
        JobState.SUSPENDED: [{"run_at": far, "hold": True}, {"hold": True}],
    }
    cases[JobState.AVAILABLE].append(
        {"run_at": datetime(1971, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30)))}
    )
    for state, options in cases.items():
        for given in options:
            job = await add.using(**given).aenqueue(1)
            assert job.state is state, given
            assert await app.jobs.get(job.id) == job
            if given.get("run_at"):
                assert job.scheduled_at == given["run_at"]


async def test_synchronous_code_enqueues(app: Elihu, add: Task[[int], Any]):
    def work() -> list[Job]:
        return [
            add.enqueue(1),
            add.using(hold=True).enqueue(2),
            app.run(add.aenqueue(3)),
            app.run(app.jobs.get(1)),
        ]

    first, second, third, fourth = await asyncio.to_thread(work)
    assert [job.args["number"] for job in (first, second, third)] == [1, 2, 3]
    assert fourth == first
    assert await app.jobs.count() == 3


async def test_many_threads_enqueue_at_once(app: Elihu, add: Task[[int], Any]):
    def work(first: int) -> list[int]:
        return [add.enqueue(first + number).id for number in range(10)]

    ids = await asyncio.gather(*(asyncio.to_thread(work, 10 * turn) for turn in range(8)))
    assert len({job_id for of_one in ids for job_id in of_one}) == await app.jobs.count() == 80


async def test_the_wrong_verb_names_the_right_one(app: Elihu, add: Task[[int], Any]):
    with pytest.raises(WrongLoop, match="aenqueue"):
        add.enqueue(1)
    with pytest.raises(WrongLoop, match="aenqueue"):
        add.using(priority=1).enqueue(1)
    with pytest.raises(WrongLoop, match="await"):
        app.run(app.jobs.counts())
    assert await app.jobs.count() == 0


async def test_a_running_task_enqueues(app: Elihu, seen: EventRecorder, add: Task[[int], Any]):
    @app.task(name="in thread")
    def in_thread():
        return add.enqueue(1).id

    @app.task(name="in loop")
    async def in_loop():
        await add.aenqueue(2)

    @app.task(name="wrong")
    async def wrong():
        add.enqueue(3)

    jobs = [
        await in_thread.aenqueue(),
        await in_loop.aenqueue(),
        await wrong.using(max_attempts=1).aenqueue(),
    ]
    async with app.running():
        await seen.count(JobStopped, 5)
    assert [(await app.jobs.get(job.id)).state for job in jobs] == [
        JobState.COMPLETED,
        JobState.COMPLETED,
        JobState.DISCARDED,
    ]
    assert {job.args["number"] for job in (await app.jobs.list(task="add")).items} == {1, 2}


async def test_callers_at_the_same_moment_share_statements(
    app: Elihu, seen: EventRecorder, add: Task[[int], Any]
):
    await add.aenqueue(0)
    before = seen.calls("insert")
    jobs = await asyncio.gather(*(add.aenqueue(number) for number in range(2_500)))
    assert seen.calls("insert") - before <= 5
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
    seen = EventRecorder(app)

    @app.task(name="add")
    async def add(number: int): ...

    done = await app.enqueue_many((add.build(number) for number in range(12_000)), ids=True)
    assert (done.inserted, done.conflicts, seen.calls("insert")) == (12_000, 0, 3)
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


async def test_a_large_chunk_is_cut_by_its_bytes(app: Elihu, seen: EventRecorder):
    @app.task(name="t")
    async def t(text: str): ...

    text = "x" * 1_000_000
    assert (await app.enqueue_many(t.build(text) for _ in range(20))).inserted == 20
    assert seen.calls("insert") == 2
    noted = t.using(meta={"note": "x" * 60_000})
    assert (await app.enqueue_many(noted.build("") for _ in range(300))).inserted == 300
    assert seen.calls("insert") == 4


async def test_a_unique_job_meets_the_one_that_is_there(app: Elihu, seen: EventRecorder):
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
        await seen.count(JobStopped, 4)
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


async def test_states_of_uniqueness(app: Elihu, seen: EventRecorder):
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
        await seen.count(JobStopped, 6)
    assert await meets("works") == {"incomplete": False, "successful": True, "all": True}
    assert await meets("fails") == {"incomplete": False, "successful": False, "all": True}


async def test_a_period_ends(app: Elihu, seen: EventRecorder):
    @app.task(name="t")
    async def t(): ...

    each_second = Unique(period=1)
    jobs = [await t.using(unique=each_second).aenqueue()]
    async with asyncio.timeout(5):
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
    app: Elihu, seen: EventRecorder
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


async def test_order_of_fetch(app: Elihu, seen: EventRecorder):
    ran: list[str] = []

    @app.task(name="t")
    async def t(name: str):
        ran.append(name)

    now = datetime.now(UTC)
    await t.using(priority=9).aenqueue("last")
    await t.aenqueue("now 1")
    await t.aenqueue("now 2")
    await t.using(run_at=now - timedelta(hours=1)).aenqueue("an hour ago")
    await t.using(run_at=now - timedelta(hours=2), priority=1).aenqueue("of priority 1")
    await t.using(run_at=now - timedelta(hours=2)).aenqueue("two hours ago")
    await t.using(delay=3600).aenqueue("never")
    async with app.running({"default": 1}):
        await seen.count(JobStopped, 6)
    assert ran == ["two hours ago", "an hour ago", "now 1", "now 2", "of priority 1", "last"]


async def test_aliases_keep_old_names_running(app: Elihu, seen: EventRecorder):
    ran: list[int] = []

    @app.task(name="new", aliases=["old", "older"])
    async def new(number: int):
        ran.append(number)

    for number, name in enumerate(("new", "old", "older")):
        await app.aenqueue(NewJob(task=name, args=f'{{"number": {number}}}'))
    async with app.running():
        await seen.count(JobStopped, 3)
    assert sorted(ran) == [0, 1, 2]
    assert app.task_named("old") is new
    with pytest.raises(DuplicateTask, match="old"):

        @app.task(name="old")
        async def other(): ...


async def test_a_group_of_tasks_is_included(app: Elihu, seen: EventRecorder):
    group = Tasks(prefix="mail.")
    ran: list[str] = []

    @group.task(name="send")
    async def send(to: str):
        ran.append(to)

    with pytest.raises(TaskNotBound, match=r"mail\.send"):
        await send.aenqueue("nobody")
    app.include(group)

    @group.task(name="late")
    def late():
        ran.append("late")

    jobs = [await send.aenqueue("ann"), await late.aenqueue()]
    assert [job.task for job in jobs] == ["mail.send", "mail.late"]
    async with app.running():
        await seen.count(JobStopped, 2)
    assert sorted(ran) == ["ann", "late"]
    with pytest.raises(DuplicateTask):
        app.include(group)
    with pytest.raises(TaskError, match="open"):
        Elihu("sqlite:///other.db").include(group)


async def test_an_app_is_closed_and_used_again(app: Elihu, add: Task[[int], Any]):
    await add.aenqueue(1)
    await asyncio.to_thread(add.enqueue, 2)
    await app.aclose()
    states = [app.closed]
    await app.aclose()
    await add.aenqueue(3)
    await asyncio.to_thread(add.enqueue, 4)
    states.append(app.closed)
    assert await app.jobs.count() == 4
    async with app:
        await add.aenqueue(5)
    assert [*states, app.closed] == [True, False, True]


async def test_loops_that_come_and_go(database_url: str):
    app = Elihu(database_url, **QUICK)

    @app.task(name="t")
    async def t(number: int): ...

    def scripts() -> int:
        async def script(number: int) -> None:
            async with app:
                await app.migrate()
                await t.aenqueue(number)

        for number in range(3):
            asyncio.run(script(number))
        return app.run(app.jobs.count())

    assert await asyncio.to_thread(scripts) == 3
    await app.aclose()


async def test_a_wrong_argument_stores_nothing(
    app: Elihu, seen: EventRecorder, add: Task[[int], Any]
):
    with pytest.raises(
        InvalidArguments, match=r"add: number: expected a valid integer.*'many'"
    ) as caught:
        await add.aenqueue("many")  # type: ignore[arg-type]
    assert caught.value.field == "number"
    with pytest.raises(InvalidArguments, match="number"):
        await app.enqueue_many(add.build(n) for n in (1, "x"))  # type: ignore[arg-type]
    assert seen.of(EngineCalled) == [] or seen.calls("insert") == 0


def in_child(work: Any) -> int:
    """Fork, do the work in the child, and return how it exited."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
        os._exit(0)
    timer = threading.Timer(15, os.kill, (pid, 9))
    timer.start()
    try:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        timer.cancel()


def test_a_forked_child_enqueues_and_its_parent_goes_on(database_url: str):
    app = Elihu(database_url, **QUICK | BUSY_MACHINE)

    @app.task(name="t")
    async def t(number: int): ...

    app.run(app.migrate())
    t.enqueue(1)
    assert in_child(lambda: [t.enqueue(2), t.enqueue(3), app.run(app.aclose())]) == 0
    t.enqueue(4)
    assert in_child(lambda: None) == 0
    assert [job.args["number"] for job in app.run(app.jobs.list()).items] == [4, 3, 2, 1]
    app.run(app.aclose())


async def test_a_unique_job_changes_the_one_that_waits_and_its_queue_is_announced(
    app: Elihu, seen: EventRecorder
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
        await seen.stored(first.id, {JobState.COMPLETED})
    assert ran == [5]
    assert await app.jobs.count() == 1
