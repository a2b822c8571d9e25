"""An app with context managers around its tasks, and tasks that change what lives in the
context of their process. Child processes import it.
"""

import asyncio
import contextvars
import decimal
import locale
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from elihu import Context, Elihu, Snooze

tenant = contextvars.ContextVar("tenant", default="none")
spans: list[str] = []


@asynccontextmanager
async def lifespan(app: Elihu) -> AsyncIterator[None]:
    tenant.set("of the lifespan")
    decimal.getcontext().prec = 20
    yield


app = Elihu("sqlite:////nowhere/elihu.db", lifespan=lifespan)


@app.around
@contextmanager
def outer(ctx: Context) -> Iterator[None]:
    spans.append(f"outer {ctx.job.task} {ctx.attempt}")
    try:
        yield
    except ValueError as error:
        spans.append(f"saw {error}")
        raise
    finally:
        spans.append("left")


@app.around
@contextmanager
def inner(ctx: Context) -> Iterator[None]:
    local.entered = (os.getpid(), threading.get_ident())
    yield
    del local.entered


local = threading.local()


def place() -> list[Any]:
    """Whether the function runs where the context managers were entered, and what they
    noted.
    """
    seen = [local.entered == (os.getpid(), threading.get_ident()), [*spans]]
    spans.clear()
    return seen


def change() -> list[Any]:
    """What a job finds, before it changes all of it for the next one."""
    found = [tenant.get(), decimal.getcontext().prec, locale.setlocale(locale.LC_NUMERIC)]
    tenant.set("of a job")
    decimal.getcontext().prec = 3
    locale.setlocale(locale.LC_ALL, "C.UTF-8" if found[2] == "C" else "C")
    return found


@app.task(name="s.thread", record=True)
def in_thread() -> list[Any]:
    return place()


@app.task(name="s.loop", record=True)
async def in_loop() -> list[Any]:
    await asyncio.sleep(0)
    return place()


@app.task(name="s.process", record=True, run_in="process")
def in_process() -> list[Any]:
    return place()


@app.task(name="s.aprocess", record=True, run_in="process")
async def in_aprocess() -> list[Any]:
    await asyncio.sleep(0)
    return place()


@app.task(name="s.fails", max_attempts=1)
async def fails() -> None:
    raise ValueError("a reason")


@app.task(name="s.changes", record=True, run_in="process")
def changes() -> list[Any]:
    return change()


@app.task(name="s.achanges", record=True, run_in="process")
async def achanges() -> list[Any]:
    return change()


@app.task(name="s.precise", record=True)
def precise() -> int:
    found = decimal.getcontext().prec
    decimal.getcontext().prec = 3
    return found


@app.task(name="s.aprecise", record=True)
async def aprecise() -> int:
    found = decimal.getcontext().prec
    decimal.getcontext().prec = 3
    return found


@app.task(name="s.occurrence", run_in="process", record=True)
def occurrence(*, ctx: Context = Context()) -> str:
    return ctx.occurrence.isoformat() if ctx.occurrence else ""


@app.task(name="s.group", run_in="process", max_attempts=3)
async def group() -> None:
    async with asyncio.TaskGroup() as steps:
        steps.create_task(step(Snooze("1h")))
        steps.create_task(step(Snooze("2h")))


@app.task(name="s.mixed", run_in="process", max_attempts=3, retry_on=ConnectionError, backoff=3600)
async def mixed(bad: bool) -> None:
    errors = [ConnectionError("busy"), ConnectionResetError("gone")]
    raise ExceptionGroup("steps", [*errors, *([KeyError("x")] if bad else [])])


async def step(error: Exception) -> None:
    raise error
