"""What every program of a contestant shares. It needs the standard library alone.

A program is a module with these coroutines and context managers:

    install(url)             make the tables
    bulk(url, jobs)          store jobs by the fastest documented way; returns the seconds
    sender(url, callers)     yields ``send(sent)``, which stores one job
    pending(url)             yields ``count()``: the jobs that are not finished
    work(request, worker)    run jobs until ``worker.stopped()`` returns
    backlog(url, kind, rows) optional: add rows of the kind ``finished`` or ``scheduled``

Each job calls ``worker.note(sent)`` and nothing else.
"""

import asyncio
import fcntl
import json
import mmap
import os
import sys
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Final

PROCESSES: Final = 63
"""The most processes that execute the jobs of one measurement."""
TALLY_BYTES: Final = 24 * (PROCESSES + 1)
FIRST_JOB_WITHIN: Final = 30.0
"""Seconds in which an idle worker starts a job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a program has to do: ``role`` is one of install, insert, bulk, watch, work,
    latency and backlog. ``tally`` is the file in which workers count, ``pause`` the
    seconds between two jobs of latency, and ``report`` says whether a worker prints a
    line for each job.
    """

    program: str
    role: str
    url: str
    jobs: int = 0
    callers: int = 1
    slots: int = 100
    tally: str = ""
    pause: float = 0.0
    report: bool = False
    kind: str = ""

    def command(self, python: str) -> list[str]:
        """The command line of the program."""
        return [python, "-m", "bench.compare.programs", json.dumps(asdict(self))]


class Tally:
    """How many jobs have started in which process, when the first did and when the last:
    three numbers a process, in a file that all workers and the measuring program share.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = Path(path).open("r+b")  # noqa: SIM115 (kept open as long as the process)
        self._memory = mmap.mmap(self._file.fileno(), TALLY_BYTES)
        self._numbers = memoryview(self._memory).cast("d")
        self._lock = threading.Lock()
        self._place = 0
        os.register_at_fork(after_in_child=self._after_fork)

    def add(self, jobs: int) -> None:
        """Count jobs that start now."""
        now = time.monotonic()
        with self._lock:
            if not self._place:
                self._place = self._new_place()
                self._numbers[self._place + 1] = now
            self._numbers[self._place + 2] = now
            self._numbers[self._place] += jobs

    def started(self) -> int:
        """The jobs that have started in all processes."""
        return int(sum(self._numbers[3::3]))

    def seconds(self) -> float:
        """From the first start to the last."""
        first = min(moment for moment in self._numbers[4::3] if moment)
        return max(self._numbers[5::3]) - first

    def _new_place(self) -> int:
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        self._numbers[0] += 1
        place = int(self._numbers[0]) * 3
        fcntl.lockf(self._file, fcntl.LOCK_UN)
        return place

    def _after_fork(self) -> None:
        self._place = 0
        self._lock = threading.Lock()


@contextmanager
def new_tally() -> Iterator[Tally]:
    """A tally in a temporary file."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(bytes(TALLY_BYTES))
        file.flush()
        yield Tally(file.name)


class Worker:
    """What a program's ``work`` has of the measurement."""

    def __init__(self, request: Request) -> None:
        self._tally = Tally(request.tally) if request.tally else None
        self._report = request.report

    def note(self, sent: float) -> None:
        """Called by each job at its start."""
        if self._tally is not None:
            self._tally.add(1)
        if self._report:
            print(time.monotonic() - sent, flush=True)

    def add(self, jobs: int) -> None:
        """Count jobs that are claimed without being executed."""
        if self._tally is not None:
            self._tally.add(jobs)

    def ready(self) -> None:
        """The worker can take jobs."""
        print("ready", flush=True)

    def wait(self) -> None:
        """Block until the worker has to stop: standard input ends."""
        sys.stdin.read()

    async def stopped(self) -> None:
        """Return when the worker has to stop."""
        done = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wait() -> None:
            self.wait()
            loop.call_soon_threadsafe(done.set)

        threading.Thread(target=wait, daemon=True).start()
        await done.wait()


def serve(request: Request) -> None:
    """Do what the request says, and print one line of JSON with the figures."""
    program = import_module(f"bench.compare.programs.{request.program}")
    if request.role == "work":
        print("loaded", flush=True)
        sys.stdin.readline()
        work = program.work(request, Worker(request))
        if work is not None:
            run(work)
    elif request.role == "watch":
        run(watch(program, request))
    else:
        print(json.dumps(run(ROLES[request.role](program, request))), flush=True)


async def install(program: Any, request: Request) -> dict[str, float]:
    """Make the tables."""
    await program.install(request.url)
    return {}


async def insert(program: Any, request: Request) -> dict[str, float]:
    """Concurrent callers, each of which waits for one job to be stored before the next."""
    async with program.sender(request.url, request.callers) as send:

        async def call(jobs: int) -> None:
            for _ in range(jobs):
                await send(0.0)

        await asyncio.gather(*(call(1) for _ in range(request.callers)))
        began = time.perf_counter()
        await asyncio.gather(
            *(call(request.jobs // request.callers) for _ in range(request.callers))
        )
        seconds = time.perf_counter() - began
    jobs = request.jobs // request.callers * request.callers
    await expect(program, request.url, jobs + request.callers)
    return {"jobs": jobs, "seconds": seconds}


async def bulk(program: Any, request: Request) -> dict[str, float]:
    """Many jobs at once."""
    seconds = await program.bulk(request.url, request.jobs)
    await expect(program, request.url, request.jobs)
    return {"jobs": request.jobs, "seconds": seconds}


async def backlog(program: Any, request: Request) -> dict[str, float]:
    """Rows that are not to be executed in the measured time."""
    await program.backlog(request.url, request.kind, request.jobs)
    return {}


async def watch(program: Any, request: Request) -> None:
    """For each line of standard input, print how many jobs are not finished."""
    async with program.pending(request.url) as count:
        print(await count(), flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            print(await count(), flush=True)


async def latency(program: Any, request: Request) -> dict[str, list[float]]:
    """The seconds from the call that stores a job to its start in an idle worker, one
    job at a time. The first job does not count.
    """
    async with (
        idle_worker(request) as started,
        program.sender(request.url, 1) as send,
    ):

        async def one() -> float:
            await send(time.monotonic())
            return await started()

        return {"latencies": await sample(one, request)}


async def sample(one: Callable[[], Awaitable[float]], request: Request) -> list[float]:
    """The seconds of each job after the first."""
    await one()
    seconds = []
    for _ in range(request.jobs):
        await asyncio.sleep(request.pause)
        seconds.append(await one())
    return seconds


@asynccontextmanager
async def idle_worker(request: Request) -> AsyncIterator[Callable[[], Awaitable[float]]]:
    """A worker in another process; yields what waits for the next start."""
    work = replace(request, role="work", report=True)
    process = await asyncio.create_subprocess_exec(
        *work.command(sys.executable),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    lines = process.stdout

    async def line() -> str:
        async with asyncio.timeout(FIRST_JOB_WITHIN):
            text = (await lines.readline()).decode().strip()
        if not text:
            raise RuntimeError("the worker ended")
        return text

    async def started() -> float:
        return float(await line())

    try:
        assert await line() == "loaded"
        process.stdin.write(b"go\n")
        assert await line() == "ready"
        yield started
        process.stdin.close()
        async with asyncio.timeout(FIRST_JOB_WITHIN):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def expect(program: Any, url: str, jobs: int) -> None:
    """Raise ``RuntimeError`` unless so many jobs are stored and not finished."""
    async with program.pending(url) as count:
        found = await count()
    if found != jobs:
        raise RuntimeError(f"jobs stored: expected {jobs:,}, got {found:,}")


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run it on uvloop where that is installed."""
    try:
        factory = import_module("uvloop").new_event_loop
    except ModuleNotFoundError:
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)


ROLES: Final = {
    "install": install,
    "insert": insert,
    "bulk": bulk,
    "backlog": backlog,
    "latency": latency,
}
