"""From a call to a row, from everywhere a program may enqueue."""

import asyncio
import os
import threading
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from elihu import (
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
from elihu.telemetry.events import EngineCalled, JobStopped
from tests.support import BUSY_MACHINE, QUICK, EventRecorder


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


async def test_a_running_task_enqueues(app: Elihu, events: EventRecorder, add: Task[[int], Any]):
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
        await events.count(JobStopped, 5)
    assert [(await app.jobs.get(job.id)).state for job in jobs] == [
        JobState.COMPLETED,
        JobState.COMPLETED,
        JobState.DISCARDED,
    ]
    assert {job.args["number"] for job in (await app.jobs.list(task="add")).items} == {1, 2}


async def test_order_of_fetch(app: Elihu, events: EventRecorder):
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
        await events.count(JobStopped, 6)
    assert ran == ["two hours ago", "an hour ago", "now 1", "now 2", "of priority 1", "last"]


async def test_aliases_keep_old_names_running(app: Elihu, events: EventRecorder):
    ran: list[int] = []

    @app.task(name="new", aliases=["old", "older"])
    async def new(number: int):
        ran.append(number)

    for number, name in enumerate(("new", "old", "older")):
        await app.aenqueue(NewJob(task=name, args=f'{{"number": {number}}}'))
    async with app.running():
        await events.count(JobStopped, 3)
    assert sorted(ran) == [0, 1, 2]
    assert app.task_named("old") is new
    with pytest.raises(DuplicateTask, match="old"):

        @app.task(name="old")
        async def other(): ...


async def test_a_group_of_tasks_is_included(app: Elihu, events: EventRecorder):
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
        await events.count(JobStopped, 2)
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
    app: Elihu, events: EventRecorder, add: Task[[int], Any]
):
    with pytest.raises(
        InvalidArguments, match=r"add: number: expected a valid integer.*'many'"
    ) as caught:
        await add.aenqueue("many")  # type: ignore[arg-type]
    assert caught.value.field == "number"
    with pytest.raises(InvalidArguments, match="number"):
        await app.enqueue_many(add.build(n) for n in (1, "x"))  # type: ignore[arg-type]
    assert events.of(EngineCalled) == [] or events.calls("insert") == 0


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


def test_a_forked_child_and_its_parent_enqueue(database_url: str):
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
