"""Runs the programs of the contestants. Whatever ends a measurement ends its processes."""

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from bench.compare.contestants import Contestant
from bench.compare.environments import ROOT
from bench.compare.programs.protocol import Request
from bench.compare.servers import Server

BOUND: Final = 120.0
"""The most seconds of one program or of one answer of it."""
STOP_WITHIN: Final = 30.0
HIDDEN: Final = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONDONTWRITEBYTECODE")
"""Variables that no program gets. Elihu runs from its source: without bytecode on the disk
each start would compile it, while the modules of peers are compiled by their installation.
"""


class Failed(Exception):
    """A measurement did not do its work, or not in time."""


class Side:
    """A contestant with the Python and the server that it is measured with."""

    def __init__(
        self, contestant: Contestant, server: Server, python: str = sys.executable
    ) -> None:
        self.contestant = contestant
        self.server = server
        self.python = python

    def request(self, role: str, url: str, **settings: Any) -> Request:
        """What its program has to do."""
        return Request(program=self.contestant.name, role=role, url=url, **settings)

    async def ask(self, role: str, url: str, **settings: Any) -> dict[str, Any]:
        """Run the program to its end, and return its figures. Raises ``Failed``."""
        async with program(self.request(role, url, **settings).command(self.python)) as running:
            answer = json.loads(await running.line())
            await running.wait()
        return dict(answer)

    @asynccontextmanager
    async def fresh(self, kind: str = "", rows: int = 0) -> AsyncIterator[str]:
        """A database with the contestant's tables, with so many rows of a kind."""

        async def prepare(url: str) -> None:
            await self.ask("install", url)
            if rows:
                await self.ask("backlog", url, kind=kind, jobs=rows)

        async with self.server.fresh(f"{self.contestant.name} {kind} {rows}", prepare) as url:
            yield url

    @asynccontextmanager
    async def worker(self, url: str, **settings: Any) -> AsyncIterator["Program"]:
        """A worker that has loaded its modules and waits for ``go``. It stops in order at
        the end.
        """
        async with program(self.request("work", url, **settings).command(self.python)) as running:
            await running.expect("loaded")
            yield running
            await running.stop()

    @asynccontextmanager
    async def watcher(self, url: str) -> AsyncIterator["Program"]:
        """A program that tells how many jobs are not finished."""
        async with program(self.request("watch", url).command(self.python)) as running:
            yield running
            await running.stop()


class Program:
    """A process, with what it printed to standard error."""

    def __init__(self, process: asyncio.subprocess.Process, errors: Any) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.pid = process.pid
        self._process = process
        self._input = process.stdin
        self._output = process.stdout
        self._errors = errors

    async def line(self, within: float = BOUND) -> str:
        """The next line of standard output. Raises ``Failed``."""
        try:
            async with asyncio.timeout(within):
                text = (await self._output.readline()).decode().strip()
        except TimeoutError:
            raise Failed(f"no answer in {within:.0f} s{self._last_words()}") from None
        if not text:
            raise Failed(f"the program ended{self._last_words()}")
        return text

    async def expect(self, word: str) -> None:
        """Raise ``Failed`` unless the next line is this word."""
        got = await self.line()
        if got != word:
            raise Failed(f"expected the line {word!r}, got {got!r}{self._last_words()}")

    def go(self) -> None:
        """Send a line."""
        self._input.write(b"go\n")

    async def wait(self) -> None:
        """Wait for its end. Raises ``Failed``."""
        try:
            async with asyncio.timeout(STOP_WITHIN):
                status = await self._process.wait()
        except TimeoutError:
            raise Failed(f"it did not stop in {STOP_WITHIN:.0f} s{self._last_words()}") from None
        if status:
            raise Failed(f"it ended with status {status}{self._last_words()}")

    async def stop(self) -> None:
        """End standard input, and wait for the end. Raises ``Failed``."""
        self._input.close()
        await self.wait()

    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.returncode is not None

    async def kill(self) -> None:
        """End the process, and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await self._process.wait()

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1].strip()}" if lines else ""


@asynccontextmanager
async def program(command: Sequence[str]) -> AsyncIterator[Program]:
    """Run a command in a session of its own, so that it can be ended as a whole."""
    with tempfile.TemporaryFile() as errors:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=ROOT,
            env={name: value for name, value in os.environ.items() if name not in HIDDEN},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            limit=2**24,
        )
        running = Program(process, errors)
        try:
            yield running
        finally:
            await running.kill()
