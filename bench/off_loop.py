"""Tasks outside the event loop: no-op jobs in threads, or in warm child processes,
drained by one node.

The limit is the bare call, without jobs, a database or arguments: `slots` coroutines
that each call a function in a pool of as many threads; or one caller and one child
process that returns what it gets, as length-prefixed JSON over a socket pair.
"""

import asyncio
import json
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.subject import Case, Figures, Options, Subject, expect, rate, slots_of
from bench.tables import Tables
from elihu import Task, Tasks
from elihu.telemetry.events import EngineCalled, JobStarted, JobStopped

JOBS = 10_000
SLOTS = 10
MOST = 1_000_000

ECHO = """
import json, socket, struct, sys
line = socket.socket(fileno=int(sys.argv[1]))
while data := line.recv(65_536):
    body = json.dumps(json.loads(data[4:])).encode()
    line.sendall(struct.pack(">I", len(body)) + body)
"""

tasks = Tasks(prefix="bench.")


@tasks.task(name="loop")
async def in_loop(number: int) -> None: ...


@tasks.task(name="thread")
def in_thread(number: int) -> None: ...


@tasks.task(name="process", run_in="process")
def in_process(number: int) -> None: ...


def cases(options: Options) -> list[Case]:
    """As many jobs at a time as asked for, ten without."""
    return [
        Case(slots=options.slots or SLOTS, jobs=options.jobs or JOBS, prefetch=options.prefetch)
    ]


def ours(task: Task[[int], Any]) -> Callable[[Tables, Case], Awaitable[Figures]]:
    """One node in this process. The first ``slots`` jobs start its threads or children
    and do not count. Children are not replaced meanwhile.
    """

    async def measure(tables: Tables, case: Case) -> Figures:
        slots = case.slots or 1
        async with tables.app(slots=slots_of(case), max_jobs_per_child=MOST) as app:
            app.include(tasks)
            stopped = 0
            first = last = 0.0
            warm, done = asyncio.Event(), asyncio.Event()

            def began(event: JobStarted) -> None:
                nonlocal first
                first = first or time.perf_counter()

            def ended(event: JobStopped) -> None:
                nonlocal stopped
                stopped += 1
                if stopped == slots:
                    warm.set()
                if stopped == slots + case.jobs:
                    done.set()

            def called(event: EngineCalled) -> None:
                nonlocal last
                if event.verb == "exchange":
                    last = time.perf_counter()

            app.on(JobStopped, ended)
            await app.enqueue_many(task.build(number) for number in range(slots))
            await app.enqueue_many(
                task.using(hold=True).build(number) for number in range(case.jobs)
            )
            async with app.running():
                await warm.wait()
                app.on(JobStarted, began)
                app.on(EngineCalled, called)
                await app.jobs.release(state="suspended")
                await done.wait()
            expect("jobs completed", slots + case.jobs, await app.jobs.count(state="completed"))
        return rate(case.jobs, last - first)

    return measure


async def thread_pool(tables: Tables, case: Case) -> Figures:
    """A thread pool of the standard library."""
    slots = case.slots or 1
    loop = asyncio.get_running_loop()

    async def call(pool: ThreadPoolExecutor, times: int) -> None:
        for number in range(times):
            await loop.run_in_executor(pool, abs, number)

    with ThreadPoolExecutor(slots) as pool:
        began = time.perf_counter()
        await asyncio.gather(*(call(pool, case.jobs // slots) for _ in range(slots)))
        return rate(case.jobs // slots * slots, time.perf_counter() - began)


async def round_trip(tables: Tables, case: Case) -> Figures:
    """One child, one message at a time, without an event loop."""
    return await asyncio.to_thread(exchange, case.jobs)


def exchange(jobs: int) -> Figures:
    """Send so many messages and read the answers."""
    ours, theirs = socket.socketpair()
    with (
        ours,
        theirs,
        subprocess.Popen(
            [sys.executable, "-c", ECHO, str(theirs.fileno())], pass_fds=[theirs.fileno()]
        ),
    ):
        theirs.close()
        send(ours, 0)
        began = time.perf_counter()
        for number in range(jobs):
            send(ours, number)
        seconds = time.perf_counter() - began
        ours.close()
    return rate(jobs, seconds)


def send(line: socket.socket, number: int) -> None:
    body = json.dumps({"task": "bench.process", "args": {"number": number}}).encode()
    line.sendall(struct.pack(">I", len(body)) + body)
    json.loads(line.recv(65_536)[4:])


THREAD = Subject("thread", cases, ours(in_thread), thread_pool)
PROCESS = Subject("process", cases, ours(in_process), round_trip)
