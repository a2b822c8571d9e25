"""Tasks that run in processes of their own, for an app that stands under no name of a
module: children find each by its own.
"""

import asyncio
import os
import signal
import threading
import time
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from elihu import Cancel, Context, Discard, Retry, Snooze, Tasks

tasks = Tasks(prefix="p.")
process = tasks.task


def touch(folder: str, name: str) -> None:
    Path(folder, name).touch()


@dataclass
class Line:
    article: str
    price: Decimal


class Boom(Exception):
    pass


class Bang(Boom):
    """Cannot be made from its text, and says more than its arguments do."""

    def __init__(self, code: int, *, why: str) -> None:
        super().__init__(code)
        self.why = why

    def __str__(self) -> str:
        return f"{self.args[0]} {self.why}"


@process(run_in="process", record=True)
def total(
    lines: list[Line], day: date, *more: int, rate: Decimal = Decimal("1.5")
) -> dict[str, Any]:
    sum_of = sum((line.price for line in lines), Decimal(0)) * rate
    return {
        "sum": str(sum_of),
        "next": str(day + timedelta(days=1)),
        "more": more,
        "in": threading.current_thread().name,
    }


@process(run_in="process", record=True)
async def later(day: date) -> date:
    await asyncio.sleep(0)
    return day + timedelta(days=1)


@process(run_in="process", record=True)
def pid() -> int:
    return os.getpid()


@process(run_in="process")
def give(name: str, how: str) -> Any:
    outcome = {
        "snooze": Snooze(600),
        "cancel": Cancel("not needed"),
        "discard": Discard("hopeless"),
        "retry": Retry("later", delay=600),
    }[name]
    if how == "raise":
        raise outcome
    return outcome


@process(run_in="process", max_attempts=1)
def fails(kind: str) -> None:
    errors = {
        "boom": Boom("it broke"),
        "bang": Bang(7, why="since"),
        "exit": SystemExit(3),
        "stop": StopIteration(1),
        "cancelled": asyncio.CancelledError(),
        "key": KeyError("nul \0 lone \ud800"),
    }
    try:
        raise ValueError("first")
    except ValueError as first:
        raise errors[kind] from first


@process(run_in="process", discard_on=Bang, retry_on=Boom)
async def chooses(kind: str) -> None:
    raise {"boom": Boom("x"), "bang": Bang(7, why="since"), "value": ValueError("x")}[kind]


@process(run_in="process", max_attempts=1)
def dies(how: str, *, ctx: Context = Context()) -> None:
    ctx.log.info("last words")
    match how:
        case "abort":
            signal.signal(signal.SIGABRT, signal.SIG_DFL)
            os.abort()
        case "exit":
            os._exit(3)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)


@process(run_in="process", record=True)
def looks(number: int, *, ctx: Context = Context()) -> dict[str, Any]:
    ctx.progress(1, 10, "begun")
    for done in range(2, 11):
        ctx.progress(done, 10, f"nul \0 lone \ud800 {done}")
    ctx.log.debug("fine detail %d", number)
    ctx.log.warning("nul \0 lone \ud800 å")
    ctx.log.info("wrong %d", "number")
    try:
        raise KeyError("inner")
    except KeyError:
        ctx.log.exception("inner")
    job = ctx.job
    return {
        "job": [
            job.id,
            job.task,
            job.args,
            job.tags,
            job.meta,
            job.priority,
            job.queue,
            job.node,
            job.inserted_at.isoformat(),
        ],
        "ctx": [ctx.attempt, ctx.is_last_attempt, ctx.cancelled, ctx.state],
    }


@process(run_in="process")
def sync_until_told(folder: str) -> None:
    try:
        touch(folder, "sync began")
        time.sleep(60)
    finally:
        touch(folder, "sync ended")


@process(run_in="process")
async def async_until_told(folder: str, *, ctx: Context = Context()) -> None:
    try:
        touch(folder, "async began")
        await asyncio.sleep(60)
    finally:
        touch(folder, f"async ended {ctx.cancelled}")


@process(run_in="process", record=True)
async def waits_to_be_told(folder: str, how: str, *, ctx: Context = Context()) -> str:
    touch(folder, f"{how} began")
    if how == "wait":
        await ctx.wait_cancelled()
    while not ctx.cancelled:
        time.sleep(0.01)  # noqa: ASYNC251 - the loop has nothing else to do
    return ctx.cause or "told"


@process(run_in="process")
def deaf(folder: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    touch(folder, f"deaf began {os.getpid()}")
    while True:
        time.sleep(60)


@process(run_in="process", max_attempts=1)
def eats(size: int) -> None:
    held = bytearray(size)
    held[::4096] = b"x" * len(held[::4096])
    time.sleep(60)


@process(run_in="process", record=True)
def grows(size: int) -> int:
    HELD.append(b"x" * size)
    return os.getpid()


HELD: list[bytes] = []


@process(run_in="process", record=True)
async def all_wait(folder: str, *, ctx: Context = Context()) -> str:
    impatient = asyncio.create_task(ctx.wait_cancelled())
    waiting = asyncio.create_task(ctx.wait_cancelled())
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait([impatient])
    touch(folder, "all wait")
    await waiting
    return "told"


@process(run_in="process", record=True)
def leaves_a_thread(*, ctx: Context = Context()) -> int:
    def look() -> None:
        while not ctx.cancelled:
            pass

    threading.Thread(target=look, daemon=True).start()
    return os.getpid()


@process(run_in="process", record=True)
def inherited() -> list[Any]:
    """What is read from standard input, and the kinds of the descriptors beyond the
    standard ones.
    """
    links = [Path("/proc/self/fd", name) for name in os.listdir("/proc/self/fd") if int(name) > 2]  # noqa: PTH208 - Path.iterdir() sorts
    return [
        os.read(0, 10).decode(),
        sorted(str(link.readlink()).partition(":")[0] for link in links if link.exists()),
    ]


@process(run_in="process", max_attempts=1)
def completes(*, ctx: Context = Context()) -> None:
    ctx.complete_sync(conn=None)
