"""What a running task sees and says, and what is wrapped around it."""

import asyncio
import contextvars
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from elihu import Cancel, Context, Elihu, InvalidOption, JobState, RunOutcome, Snooze, Task
from elihu.telemetry.events import JobStarted, JobStopped, TickFailed
from tests.support import QUICK, EventRecorder


async def test_a_task_sees_its_job_and_attempt(app: Elihu, seen: EventRecorder):
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
            await seen.ended(job.id, 2)
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


async def test_progress_is_stored_and_the_last_report_is_not_lost(app: Elihu, seen: EventRecorder):
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
        await seen.until(lambda: seen.calls("record_progress") >= 1)
        async with asyncio.timeout(20):
            while None in (early := [(await app.jobs.get(job.id)).progress for job in jobs]):
                await seen.more()
        go_on.set()
        thread_goes_on.set()
        for job in jobs:
            await seen.ended(job.id)
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


async def test_progress_is_throttled(app: Elihu, seen: EventRecorder):
    @app.task(name="t")
    async def t(*, ctx: Context = Context()):
        for number in range(1_000):
            ctx.progress(number)
            await asyncio.sleep(0)

    job = await t.aenqueue()
    async with app.running():
        await seen.ended(job.id)
    assert seen.calls("record_progress") <= 4
    assert (await app.jobs.get(job.id)).progress == {"done": 999, "total": None, "message": None}


async def test_a_bad_report_is_the_task_s_own_error_and_nobody_else_s(
    app: Elihu, seen: EventRecorder
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
            await seen.ended(job.id)
    assert len(raised) == len(bad)
    assert all("expected" in text and "got" in text for text in raised)
    progress = (await app.jobs.get(jobs[1].id)).progress
    assert progress is not None
    assert progress["done"] == 3
    assert len(progress["message"]) <= 10_000
    assert seen.of(TickFailed) == []


async def test_log_lines_are_kept_with_the_run(
    app: Elihu,
    seen: EventRecorder,
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
            await seen.ended(job.id)
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


async def test_the_log_is_bounded_and_keeps_both_ends(app: Elihu, seen: EventRecorder):
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
            await seen.ended(job.id)
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


async def test_cancelling_reaches_the_attempt(app: Elihu, seen: EventRecorder):
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
        await seen.count(JobStarted, 2)
        assert await asyncio.to_thread(began.acquire, timeout=20)
        assert await app.jobs.cancel(*(job.id for job in jobs)) == 2
        for job in jobs:
            await seen.ended(job.id)
    assert sorted(told) == [("loop", True), ("thread", True)]
    stored = [await app.jobs.get(job.id) for job in jobs]
    for job in stored:
        assert (job.state, job.reason) == (JobState.CANCELLED, "cancelled")
        assert [run.outcome for run in await app.jobs.runs(job.id)] == [RunOutcome.CANCELLED]


async def test_a_thread_that_does_not_look_completes_in_spite_of_a_wish_to_cancel(
    app: Elihu, seen: EventRecorder
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
        await seen.ended(job.id)
    assert (await app.jobs.get(job.id)).state is JobState.COMPLETED


class State:
    """What a lifespan yields, and the order of what happened to it."""

    def __init__(self) -> None:
        self.events: list[str] = []


async def test_a_lifespan_surrounds_the_jobs_of_each_node(database_url: str):
    states: list[State] = []

    @asynccontextmanager
    async def lifespan(app: Elihu) -> AsyncIterator[State]:
        states.append(state := State())
        state.events.append("enter")
        try:
            yield state
        finally:
            state.events.append("leave")

    app = Elihu(database_url, lifespan=lifespan, **QUICK)
    seen = EventRecorder(app)
    await app.migrate()
    release = asyncio.Event()

    @app.task(name="t")
    async def t(*, ctx: Context = Context()):
        ctx.state.events.append("begin")
        await release.wait()
        ctx.state.events.append("end")

    @app.task(name="thread")
    def thread(*, ctx: Context = Context()):
        ctx.state.events.append("thread")

    assert states == []
    for _ in range(2):
        release.clear()
        job = await t.aenqueue()
        async with app.running():
            await seen.until(lambda: states[-1:] != [] and "begin" in states[-1].events)
            asyncio.get_running_loop().call_later(0.05, release.set)
        assert (await app.jobs.get(job.id)).state is JobState.COMPLETED
    assert [state.events for state in states] == [["enter", "begin", "end", "leave"]] * 2
    job = await thread.aenqueue()
    async with app.running():
        await seen.ended(job.id)
    assert states[2].events == ["enter", "thread", "leave"]
    await app.aclose()


async def test_a_lifespan_that_fails_starts_no_node(database_url: str):
    @asynccontextmanager
    async def lifespan(app: Elihu) -> AsyncIterator[None]:
        if app.config.grace:
            raise ConnectionError("no cache server")
        yield

    app = Elihu(database_url, lifespan=lifespan, **QUICK)
    await app.migrate()

    @app.task(name="t")
    async def t(): ...

    job = await t.aenqueue()
    with pytest.raises(ConnectionError, match="no cache server"):
        async with app.running():
            pass
    assert (await app.jobs.get(job.id)).state is JobState.AVAILABLE
    assert await app.nodes.list() == []
    await app.aclose()


async def test_middleware_wraps_in_the_order_of_registration(app: Elihu, seen: EventRecorder):
    events: list[Any] = []
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    @app.middleware
    async def outer(ctx: Context, call_next: Any) -> Any:
        events.append(("outer", ctx.job.task))
        variable.set("set by outer")
        value = await call_next(ctx)
        events.append(("outer got", value))
        return value * 10

    @app.middleware
    async def inner(ctx: Context, call_next: Any) -> Any:
        events.append("inner")
        try:
            return await call_next(ctx) + 1
        finally:
            events.append("inner ends")

    async def in_loop(number: int, *, ctx: Context = Context()) -> int:
        events.append(variable.get())
        return number

    def in_thread(number: int) -> int:
        events.append(variable.get())
        return number

    for fn in (in_loop, in_thread):
        task: Task[..., Any] = app.task(fn, name=fn.__name__, record=True)
        events.clear()
        job = await task.aenqueue(4)
        async with app.running():
            await seen.ended(job.id)
        assert events == [
            ("outer", fn.__name__),
            "inner",
            "set by outer",
            "inner ends",
            ("outer got", 5),
        ]
        assert (await app.jobs.get(job.id)).result == 50


async def test_middleware_changes_outcomes(app: Elihu, seen: EventRecorder):
    calls: list[str] = []

    @app.middleware
    async def gate(ctx: Context, call_next: Any) -> Any:
        match ctx.job.args["kind"]:
            case "swallow":
                try:
                    await call_next(ctx)
                except ValueError:
                    return None
            case "refuse":
                return Cancel("not allowed")
            case "put off":
                raise Snooze(600)
            case "fail":
                raise PermissionError("no")
            case "turn":
                try:
                    return await call_next(ctx)
                except ValueError as error:
                    raise Cancel("bad value") from error
            case "own":
                outcome = await call_next(ctx)
                calls.append(f"saw {type(outcome).__name__}")
                return outcome
        return await call_next(ctx)

    @app.task(name="t")
    async def t(kind: str):
        calls.append(kind)
        if kind == "own":
            return Snooze(5)
        raise ValueError(kind)

    expected = {
        "swallow": (JobState.COMPLETED, None),
        "refuse": (JobState.CANCELLED, "not allowed"),
        "put off": (JobState.SCHEDULED, None),
        "fail": (JobState.RETRYABLE, "PermissionError: no"),
        "turn": (JobState.CANCELLED, "bad value"),
        "own": (JobState.SCHEDULED, None),
        "plain": (JobState.RETRYABLE, "ValueError: plain"),
    }
    jobs = {kind: await t.aenqueue(kind) for kind in expected}
    async with app.running():
        for job in jobs.values():
            await seen.ended(job.id)
    for kind, (state, reason) in expected.items():
        job = await app.jobs.get(jobs[kind].id)
        assert (job.state, job.reason) == (state, reason), kind
    assert sorted(calls) == ["own", "plain", "saw Snooze", "swallow", "turn"]


async def test_a_middleware_that_is_no_coroutine_function_is_refused(app: Elihu):
    with pytest.raises(InvalidOption, match="async def"):

        @app.middleware
        def plain(ctx: Context, call_next: Any) -> Any:
            return call_next(ctx)


async def test_a_queue_s_limit_holds(app: Elihu, seen: EventRecorder):
    running = most = 0
    lock = threading.Lock()
    barrier = threading.Barrier(3)

    @app.task(name="t")
    def t():
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        barrier.wait(20)
        with lock:
            running -= 1

    for _ in range(9):
        await t.aenqueue()
    async with app.running({"default": 3}):
        await seen.count(JobStopped, 9)
    assert most == 3
    assert (await app.jobs.counts())["default"] == {"completed": 9}
