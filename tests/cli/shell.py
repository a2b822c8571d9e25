"""Runs the command line in processes, in a folder with an app."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from tests.fixtures.warm import Started, Warm

BOUND = 30.0
"""Longest time in seconds to wait for a command."""

SHOP = """
import asyncio
import sys
from elihu import Context, Elihu, Snooze, Unique

app = Elihu()


@app.task
async def add(a: int, b: int = 2) -> int:
    return a + b


@app.task(name="once", unique=Unique())
def once(number: int) -> None:
    pass


@app.task(name="fail", max_attempts=1)
def fail() -> None:
    raise ValueError("a [red]bad[/red] thing")


@app.task(name="long")
async def long(*, ctx: Context) -> None:
    print("long job begins", flush=True)
    await ctx.wait_cancelled()


@app.task(name="brief")
async def brief() -> None:
    print("brief job ran", flush=True)


@app.task(name="mailed", queue="mail")
async def mailed() -> None:
    print("mail job ran", flush=True)
"""


class Process:
    """A running command. A test reads its lines one by one."""

    def __init__(
        self, process: Started | subprocess.Popen[str], stdout: IO[str], stderr: IO[str]
    ) -> None:
        self.process = process
        self.seen: list[str] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._errors: list[str] = []
        self._stdout = stdout
        self._stderr = stderr
        self._readers = [
            threading.Thread(target=self._read, args=(stdout, self._lines.put), daemon=True),
            threading.Thread(target=self._read, args=(stderr, self._errors.append), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def wait_for(self, text: str) -> str:
        """Return the next line of standard output that contains ``text``."""
        deadline = time.monotonic() + BOUND
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError(
                    f"expected a line with {text!r}, got {self.seen} and on stderr {self.errors}"
                )
            self.seen.append(line)
            if text in line:
                return line

    def signal_until(self, number: signal.Signals, text: str) -> None:
        """Repeat a signal until a line of standard output contains ``text``."""
        deadline = time.monotonic() + BOUND
        while time.monotonic() < deadline:
            self.signal(number)
            try:
                line = self._lines.get(timeout=0.1)
            except queue.Empty:
                continue
            assert line is not None, self.seen
            self.seen.append(line)
            if text in line:
                return
        raise AssertionError(f"expected a line with {text!r}, got {self.seen}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for the exit and return the status; ``seen`` then has all lines."""
        status = self.process.wait(BOUND)
        for reader in self._readers:
            reader.join(BOUND)
        while not self._lines.empty():
            if (line := self._lines.get()) is not None:
                self.seen.append(line)
        return status

    def close(self) -> None:
        """Kill the process if it still runs."""
        self.process.kill()
        self.end()
        self._stdout.close()
        self._stderr.close()

    @property
    def errors(self) -> str:
        """Standard error so far."""
        return "".join(self._errors)

    def _read(self, stream: IO[str], keep: Callable[[str | None], None]) -> None:
        for line in stream:
            keep(line)
        if stream is self._stdout:
            keep(None)


class Shell:
    """Runs ``python -m elihu`` in a folder with the app ``shop:app``."""

    def __init__(self, folder: Path, environ: dict[str, str], warm: Warm) -> None:
        self.folder = folder
        self.environ = environ
        self._warm = warm
        self._processes: list[Process] = []
        (folder / "shop.py").write_text(SHOP)

    def __call__(self, *arguments: str, status: int = 0, text: str | None = None) -> str:
        """Run a command and return its output. Fails if the exit status is not ``status``."""
        done = self.run(*arguments, text=text)
        assert done.returncode == status, done.stderr + done.stdout
        return done.stdout

    def run(self, *arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return self._warm.run(arguments, self.folder, self.environ, text or "", BOUND)

    def json(self, *arguments: str) -> Any:
        """Run a command and parse its JSON output."""
        return json.loads(self(*arguments, "--json"))

    def refused(self, *arguments: str, status: int) -> str:
        """Run a command that must fail with ``status`` and return its error, which has one
        line and no traceback.
        """
        done = self.run(*arguments)
        assert done.returncode == status, done.stderr + done.stdout
        assert not done.stdout
        assert "Traceback" not in done.stderr
        if status == 1:
            assert done.stderr.startswith("elihu: ")
            assert done.stderr.count("\n") == 1
        return done.stderr

    def begin(self, *arguments: str) -> Process:
        """Start a long-running command. It is killed at the end of the test."""
        (output, stdout), (errors, stderr) = os.pipe(), os.pipe()
        with Path(os.devnull).open() as given:
            started = self.start(*arguments, streams=(given.fileno(), stdout, stderr))
        os.close(stdout)
        os.close(stderr)
        self._processes.append(Process(started, os.fdopen(output), os.fdopen(errors)))
        return self._processes[-1]

    def start(self, *arguments: str, streams: tuple[int, int, int], **environ: str) -> Started:
        """Start a command on descriptors of its standard streams. The caller ends it."""
        return self._warm.start(arguments, self.folder, self.environ | environ, streams)

    def begin_anew(self, *arguments: str) -> Process:
        """The same as ``begin`` in a process that has imported nothing."""
        process = subprocess.Popen(
            [sys.executable, "-u", "-m", "elihu", *arguments],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        assert process.stderr
        self._processes.append(Process(process, process.stdout, process.stderr))
        return self._processes[-1]

    def close(self) -> None:
        """Kill commands that still run."""
        for process in self._processes:
            process.close()
