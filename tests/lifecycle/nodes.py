"""Whole processes that run nodes, and a way to wait for what they print."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from elihu.job import NewJob
from tests.fixtures.warm import Started, Warm

PROGRAMS = Path(__file__).parent / "programs"
BOUND = 30.0
"""Seconds after which a process that has not done what it should is given up."""

SETTINGS = {
    "POLL": "2",
    "POLL_FALLBACK": "0.5",
    "HEARTBEAT": "0.3",
    "DEAD_AFTER": "2.5",
    "CALL_TIMEOUT": "2",
    "LEASE": "2",
    "GRACE": "5",
    "STAGER__INTERVAL": "0.1",
    "LIFELINE__INTERVAL": "1",
}


class Process:
    """One process; ``lines`` is what it has printed, and ``errors`` what it has logged."""

    def __init__(
        self, process: "asyncio.subprocess.Process | Fork", printed: Callable[[], None]
    ) -> None:
        self.lines: list[str] = []
        self.errors: list[str] = []
        self._process = process
        self._printed = printed
        self._readers = [
            asyncio.create_task(self._read(stream, kept))
            for stream, kept in ((process.stdout, self.lines), (process.stderr, self.errors))
            if stream
        ]

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def node(self) -> str:
        """The node's first identity."""
        return next(line.split()[3] for line in self.lines if " node  " in line)

    def count(self, text: str, after: int = 0) -> int:
        """How many lines hold ``text``."""
        return sum(text in line for line in self.lines[after:])

    def send(self, number: signal.Signals) -> None:
        """Send a signal; none to a process that has ended."""
        if self._process.returncode is None:
            self._process.send_signal(number)

    async def end(self) -> int:
        """Wait for the end and return the exit status."""
        async with asyncio.timeout(BOUND):
            status = await self._process.wait()
            await asyncio.gather(*self._readers)
        return status

    async def _read(self, stream: asyncio.StreamReader, kept: list[str]) -> None:
        async for line in stream:
            kept.append(line.decode().rstrip("\n"))
            self._printed()
        self._printed()


class Fork:
    """A fork of the warm process, with what ``Process`` needs of one of ``asyncio``."""

    def __init__(
        self, started: Started, stdout: asyncio.StreamReader, stderr: asyncio.StreamReader
    ) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self._started = started

    @classmethod
    async def start(
        cls, warm: Warm, arguments: tuple[str, ...], folder: Path, environ: dict[str, str]
    ) -> "Fork":
        readers, theirs = [], []
        for _ in ("stdout", "stderr"):
            read, write = os.pipe()
            theirs.append(write)
            readers.append(await _reader_of(read))
        given = os.open(os.devnull, os.O_RDONLY)
        try:
            started = await asyncio.to_thread(
                warm.start, arguments, folder, environ, (given, theirs[0], theirs[1])
            )
        finally:
            for descriptor in (given, *theirs):
                os.close(descriptor)
        return cls(started, *readers)

    @property
    def pid(self) -> int:
        return self._started.pid

    @property
    def returncode(self) -> int | None:
        return self._started.poll()

    def send_signal(self, number: int) -> None:
        self._started.send_signal(number)

    async def wait(self) -> int:
        return await asyncio.to_thread(self._started.wait, BOUND)


async def _reader_of(descriptor: int) -> asyncio.StreamReader:
    """Reads a pipe; its end is closed with the end of what is written."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    return reader


class Processes:
    """The processes of one test, on one database. With ``warm`` they are forks of it,
    which begin without imports; a failpoint is read by an import, and needs another.
    """

    def __init__(self, url: str, folder: Path, warm: Warm | None = None) -> None:
        self.all: list[Process] = []
        self._warm = warm
        self._folder = folder
        self._printed = asyncio.Event()
        self._environ = {
            name: value for name, value in os.environ.items() if not name.startswith("ELIHU_")
        }
        self._environ |= {
            "ELIHU_DATABASE_URL": url,
            "ELIHU_APP": "workshop:app",
            "PYTHONPATH": str(PROGRAMS),
        }

    async def run(self, *arguments: str, **settings: str) -> Process:
        """Start ``python -m elihu`` with these arguments and settings."""
        environ = self._environ | {
            f"ELIHU_{name}": value for name, value in (SETTINGS | settings).items()
        }
        process: asyncio.subprocess.Process | Fork
        if self._warm and "TEST_FAILPOINT" not in settings:
            process = await Fork.start(self._warm, arguments, self._folder, environ)
        else:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "elihu", *arguments),
                cwd=self._folder,
                env=environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        self.all.append(Process(process, self._printed.set))
        return self.all[-1]

    async def node(self, **settings: str) -> Process:
        """Start a node and wait until it fetches."""
        process = await self.run("start", **settings)
        await self.printed(process, "event NodeStarted")
        return process

    async def printed(
        self, process: Process, text: str, number: int = 1, *, within: float = BOUND
    ) -> None:
        """Return when the process has printed ``number`` lines that hold ``text``."""
        await self.until(lambda: process.count(text) >= number, within=within)

    async def more(self, process: Process, text: str, number: int) -> None:
        """Return when the process has printed ``number`` lines more that hold ``text``."""
        await self.printed(process, text, process.count(text) + number)

    async def until(self, done: Callable[[], bool], *, within: float = BOUND) -> None:
        """Return when ``done()``, looked at after each line of any process."""

        async def look() -> bool:
            return done()

        await self.until_found(look, within=within)

    async def until_found(
        self, found: Callable[[], Awaitable[bool]], *, within: float = BOUND
    ) -> None:
        """The same, where looking takes a query. Every node prints a line with each
        heartbeat.
        """
        try:
            async with asyncio.timeout(within):
                while True:
                    self._printed.clear()
                    if await found():
                        return
                    await self._printed.wait()
        except TimeoutError:
            said = "\n\n".join(
                "\n".join(process.lines[-15:] + process.errors[-15:]) for process in self.all
            )
            raise AssertionError(
                f"expected more within {within:g} s; the processes say:\n{said}"
            ) from None

    async def close(self) -> None:
        """Kill what still runs."""
        for process in self.all:
            process.send(signal.SIGKILL)
            await process.end()


def job(task: str, **fields: Any) -> NewJob:
    """A job of a task of ``programs/workshop.py``; ``args`` are its arguments."""
    return NewJob(task=task, args=json.dumps(fields.pop("args", {})), **fields)
