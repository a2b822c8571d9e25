"""What surrounds attempts: lifespans, middleware and a queue's limit."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from elihu import Cancel, Context, Elihu, InvalidOption, JobState, Snooze, Task
from elihu.telemetry.events import JobStopped
from tests.support import QUICK, EventRecorder

pytestmark = pytest.mark.sqlite_first


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
    events = EventRecorder(app)
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
            await events.until(lambda: states[-1:] != [] and "begin" in states[-1].events)
            asyncio.get_running_loop().call_later(0.05, release.set)
        assert (await app.jobs.get(job.id)).state is JobState.COMPLETED
    assert [state.events for state in states] == [["enter", "begin", "end", "leave"]] * 2
    job = await thread.aenqueue()
    async with app.running():
        await events.ended(job.id)
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


async def test_middleware_wraps_in_the_order_of_registration(app: Elihu, events: EventRecorder):
    order: list[Any] = []
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    @app.middleware
    async def outer(ctx: Context, call_next: Any) -> Any:
        order.append(("outer", ctx.job.task))
        variable.set("set by outer")
        value = await call_next(ctx)
        order.append(("outer got", value))
        return value * 10

    @app.middleware
    async def inner(ctx: Context, call_next: Any) -> Any:
        order.append("inner")
        try:
            return await call_next(ctx) + 1
        finally:
            order.append("inner ends")

    async def in_loop(number: int, *, ctx: Context = Context()) -> int:
        order.append(variable.get())
        return number

    def in_thread(number: int) -> int:
        order.append(variable.get())
        return number

    for fn in (in_loop, in_thread):
        task: Task[..., Any] = app.task(fn, name=fn.__name__, record=True)
        order.clear()
        job = await task.aenqueue(4)
        async with app.running():
            await events.ended(job.id)
        assert order == [
            ("outer", fn.__name__),
            "inner",
            "set by outer",
            "inner ends",
            ("outer got", 5),
        ]
        assert (await app.jobs.get(job.id)).result == 50


async def test_middleware_changes_outcomes(app: Elihu, events: EventRecorder):
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
            await events.ended(job.id)
    for kind, (state, reason) in expected.items():
        job = await app.jobs.get(jobs[kind].id)
        assert (job.state, job.reason) == (state, reason), kind
    assert sorted(calls) == ["own", "plain", "saw Snooze", "swallow", "turn"]


async def test_a_middleware_that_is_no_coroutine_function_is_refused(app: Elihu):
    with pytest.raises(InvalidOption, match="async def"):

        @app.middleware
        def plain(ctx: Context, call_next: Any) -> Any:
            return call_next(ctx)


async def test_a_queue_s_limit_holds(app: Elihu, events: EventRecorder):
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
        await events.count(JobStopped, 9)
    assert most == 3
    assert (await app.jobs.counts())["default"] == {"completed": 9}
