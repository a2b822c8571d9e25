"""What a task sees and reports through its context."""

import asyncio
import logging
import threading
from typing import Any

import pytest

from elihu import Context, Elihu, InvalidOption, JobState, RunOutcome, Task
from elihu.telemetry.events import JobStarted, TickFailed
from tests.support import EventRecorder

pytestmark = pytest.mark.sqlite_first


async def test_a_task_sees_its_job_and_attempt(app: Elihu, events: EventRecorder):
    views: list[Any] = []

    @app.task(name="loop", max_attempts=2, backoff=0)
    async def in_loop(number: int, *, ctx: Context):
        views.append((ctx.attempt, ctx.is_last_attempt, ctx.cancelled, ctx.job))
        raise ValueError(number)

    @app.task(name="thread", max_attempts=2, backoff=0, tags=["a"], meta={"m": 1})
    def in_thread(ctx: Context, number: int):
        views.append((ctx.attempt, ctx.is_last_attempt, ctx.cancelled, ctx.job))
        raise ValueError(number)

    tasks: tuple[Task[..., Any], ...] = (in_loop, in_thread)
    for task in tasks:
        views.clear()
        job = await task.using(priority=2, queue="default").aenqueue(number=7)
        async with app.running() as node:
            await events.ended(job.id, 2)
            node_id = node.id
        assert [view[:3] for view in views] == [(1, False, False), (2, True, False)]
        for attempt, _, _, seen_job in views:
            assert (seen_job.id, seen_job.state, seen_job.attempt, seen_job.node) == (
                job.id,
                JobState.EXECUTING,
                attempt,
                node_id,
            )
            assert (seen_job.args, seen_job.tags, seen_job.meta) == (job.args, job.tags, job.meta)
            assert (seen_job.priority, seen_job.max_attempts, seen_job.queue, seen_job.task) == (
                2,
                2,
                "default",
                task.name,
            )
            assert seen_job.inserted_at == job.inserted_at
            assert seen_job.started_at is not None
            assert seen_job.unique_key is None


async def test_a_direct_call_needs_no_database(sqlite_url: str):
    app = Elihu(sqlite_url)
    said: list[Any] = []

    @app.task(name="loop")
    async def in_loop(number: int, *, ctx: Context) -> int:
        ctx.progress(1, 2, "half")
        ctx.log.info("here")
        said.append((ctx.attempt, ctx.is_last_attempt, ctx.cancelled, ctx.state))
        with pytest.raises(LookupError, match="direct call"):
            _ = ctx.job
        return number * 2

    @app.task(name="thread")
    def in_thread(number: int, ctx: Context | None = None) -> int:
        return number * 3

    assert await in_loop(4) == 8  # type: ignore[call-arg]
    assert in_thread(4) == 12
    assert said == [(1, True, False, None)]


async def test_progress_is_stored_and_the_last_report_is_not_lost(
    app: Elihu, events: EventRecorder
):
    go_on = asyncio.Event()
    thread_goes_on = threading.Event()

    @app.task(name="loop")
    async def in_loop(*, ctx: Context = Context()):
        ctx.progress(1, 10, "begun")
        await go_on.wait()
        for number in range(2, 11):
            ctx.progress(number, 10)

    @app.task(name="thread", max_attempts=1)
    def in_thread(*, ctx: Context = Context()):
        ctx.progress(0.5)
        thread_goes_on.wait(20)
        for number in range(500):
            ctx.progress(number, None, f"nul \0 lone \ud800 {number}")
        raise ValueError("after all")

    jobs = await in_loop.aenqueue(), await in_thread.aenqueue()
    async with app.running():
        await events.until(lambda: events.calls("record_progress") >= 1)
        async with asyncio.timeout(20):
            while None in (early := [(await app.jobs.get(job.id)).progress for job in jobs]):
                await events.more()
        go_on.set()
        thread_goes_on.set()
        for job in jobs:
            await events.ended(job.id)
    assert early == [
        {"done": 1, "total": 10, "message": "begun"},
        {"done": 0.5, "total": None, "message": None},
    ]
    late = [(await app.jobs.get(job.id)).progress for job in jobs]
    assert late[0] == {"done": 10, "total": 10, "message": None}
    assert late[1] is not None
    assert late[1]["done"] == 499
    assert late[1]["message"].startswith("nul ")
    assert late[1]["message"].endswith(" 499")


async def test_progress_is_throttled(app: Elihu, events: EventRecorder):
    @app.task(name="t")
    async def t(*, ctx: Context = Context()):
        for number in range(1_000):
            ctx.progress(number)
            await asyncio.sleep(0)

    job = await t.aenqueue()
    async with app.running():
        await events.ended(job.id)
    assert events.calls("record_progress") <= 4
    assert (await app.jobs.get(job.id)).progress == {"done": 999, "total": None, "message": None}


async def test_a_bad_report_is_the_task_s_own_error_and_nobody_else_s(
    app: Elihu, events: EventRecorder
):
    bad: list[tuple[Any, ...]] = [
        (float("nan"),),
        (1, float("inf")),
        ("half",),
        (True,),
        (None,),
        (1, 2, 3),
        (1, 2, b"x"),
        ([1],),
        (1, "2"),
    ]
    raised: list[str] = []

    @app.task(name="bad")
    async def reports_badly(*, ctx: Context = Context()):
        for report in bad:
            with pytest.raises(InvalidOption, match="progress") as caught:
                ctx.progress(*report)
            raised.append(str(caught.value))

    @app.task(name="good")
    async def good(*, ctx: Context = Context()):
        ctx.progress(3, 3, "x" * 5_000_000)

    jobs = await reports_badly.aenqueue(), await good.aenqueue()
    async with app.running():
        for job in jobs:
            await events.ended(job.id)
    assert len(raised) == len(bad)
    assert all("expected" in text and "got" in text for text in raised)
    progress = (await app.jobs.get(jobs[1].id)).progress
    assert progress is not None
    assert progress["done"] == 3
    assert len(progress["message"]) <= 10_000
    assert events.of(TickFailed) == []


async def test_log_lines_are_kept_with_the_run(
    app: Elihu,
    events: EventRecorder,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    caplog.set_level(logging.INFO)

    @app.task(name="loop")
    async def in_loop(*, ctx: Context = Context()):
        ctx.log.debug("fine detail %d", 1)
        ctx.log.debug("nul \0 lone \ud800 å")

    @app.task(name="thread", max_attempts=1)
    def in_thread(*, ctx: Context = Context()):
        ctx.log.info("before")
        try:
            raise KeyError("inner")
        except KeyError:
            ctx.log.exception("caught")
        raise ValueError("x")

    @app.task(name="wrong")
    async def wrong(*, ctx: Context = Context()):
        ctx.log.info("%d things", "many")
        ctx.log.info("after")

    @app.task(name="quiet")
    async def quiet(*, ctx: Context = Context()): ...

    monkeypatch.setattr(logging, "raiseExceptions", False)
    jobs = [await task.aenqueue() for task in (in_loop, in_thread, wrong, quiet)]
    async with app.running():
        for job in jobs:
            await events.ended(job.id)
    runs = [(await app.jobs.runs(job.id))[0] for job in jobs]
    completed, failed = RunOutcome.COMPLETED, RunOutcome.FAILED
    assert [run.outcome for run in runs] == [completed, failed, completed, completed]
    first, second, third, fourth = (run.log for run in runs)
    assert first is not None
    assert [line.partition(" ")[2].partition(" ")[2] for line in first.splitlines()] == [
        "DEBUG fine detail 1",
        "DEBUG nul ␀ lone ? å",
    ]
    assert second is not None
    assert "INFO before" in second
    assert "KeyError: 'inner'" in second
    assert third is not None
    assert third.endswith("INFO after")
    assert fourth is None
    assert "before" in [record.msg for record in caplog.records]


async def test_the_log_is_bounded_and_keeps_both_ends(app: Elihu, events: EventRecorder):
    @app.task(name="t")
    async def t(*, ctx: Context = Context()):
        for number in range(5_000):
            ctx.log.info("line %d %s", number, "x" * 100)

    @app.task(name="long")
    async def long(*, ctx: Context = Context()):
        ctx.log.info("y" * 3_000_000)
        ctx.log.info("the end")

    jobs = await t.aenqueue(), await long.aenqueue()
    async with app.running():
        for job in jobs:
            await events.ended(job.id)
    (run,), (of_long,) = await app.jobs.runs(jobs[0].id), await app.jobs.runs(jobs[1].id)
    assert run.log is not None
    lines = run.log.splitlines()
    assert 60_000 < len(run.log) <= 65_636
    assert "line 0 " in lines[0]
    assert "line 4999 " in lines[-1]
    (mark,) = [line for line in lines if "dropped" in line]
    assert f" {5_000 - len(lines) + 1} lines" in mark
    assert of_long.log is not None
    assert len(of_long.log) <= 65_636
    assert of_long.log.endswith("the end")


async def test_cancelling_reaches_the_attempt(app: Elihu, events: EventRecorder):
    told: list[Any] = []
    began = threading.Semaphore(0)

    @app.task(name="loop")
    async def in_loop(*, ctx: Context = Context()):
        watcher = asyncio.create_task(ctx.wait_cancelled())
        try:
            await asyncio.sleep(60)
        finally:
            await watcher
            told.append(("loop", ctx.cancelled))

    @app.task(name="thread")
    def in_thread(*, ctx: Context = Context()):
        began.release()
        while not ctx.cancelled:
            threading.Event().wait(0.01)
        told.append(("thread", ctx.cancelled))
        return "an end in good order"

    jobs = await in_loop.aenqueue(), await in_thread.aenqueue()
    async with app.running():
        await events.count(JobStarted, 2)
        assert await asyncio.to_thread(began.acquire, timeout=20)
        assert await app.jobs.cancel(*(job.id for job in jobs)) == 2
        for job in jobs:
            await events.ended(job.id)
    assert sorted(told) == [("loop", True), ("thread", True)]
    stored = [await app.jobs.get(job.id) for job in jobs]
    for job in stored:
        assert (job.state, job.reason) == (JobState.CANCELLED, "cancelled")
        assert [run.outcome for run in await app.jobs.runs(job.id)] == [RunOutcome.CANCELLED]


async def test_a_thread_that_does_not_check_completes_despite_a_cancel(
    app: Elihu, events: EventRecorder
):
    began, told = threading.Semaphore(0), threading.Event()
    contexts: list[Context] = []

    @app.task(name="thread")
    def in_thread(*, ctx: Context = Context()):
        contexts.append(ctx)
        began.release()
        told.wait(20)

    job = await in_thread.aenqueue()
    async with app.running():
        assert await asyncio.to_thread(began.acquire, timeout=20)
        assert await app.jobs.cancel(job.id) == 1
        await contexts[0].wait_cancelled()
        contexts[0].noticed = False
        told.set()
        await events.ended(job.id)
    assert (await app.jobs.get(job.id)).state is JobState.COMPLETED
