"""The client of ``oracle.programs.fork_server``: starts processes as forks of one that
has imported everything.
"""

import asyncio
import json
import os
import signal
import sys
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any


class Forked:
    """A forked process, with the interface of ``asyncio.subprocess.Process``."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = asyncio.Event()

    def ended(self, status: int) -> None:
        self.returncode = status
        self._ended.set()

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """Starts processes; ``close`` ends the process that they are forks of."""

    def __init__(self) -> None:
        self._starting = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._requests: deque[asyncio.Future[Forked]] = deque()
        self._alive: dict[int, Forked] = {}

    async def start(
        self, program: str, environ: Mapping[str, str], folder: Path, log: Path
    ) -> Forked:
        """Start one of ``oracle.programs.fork_server.PROGRAMS``."""
        async with self._starting:
            process = self._process = self._process or await self._spawn(
                environ["PYTHONPATH"], folder
            )
        assert process.stdin
        started: asyncio.Future[Forked] = asyncio.get_running_loop().create_future()
        self._requests.append(started)
        request: dict[str, Any] = {
            "program": program,
            "environ": dict(environ),
            "folder": str(folder),
            "log": str(log),
        }
        process.stdin.write(json.dumps(request).encode() + b"\n")
        return await started

    async def close(self) -> None:
        if self._process is not None and self._reading is not None:
            assert self._process.stdin
            self._process.stdin.close()
            await self._process.wait()
            await self._reading

    async def _spawn(self, path: str, folder: Path) -> asyncio.subprocess.Process:
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ELIHU_", "ORACLE_"))
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "oracle.programs.fork_server"),
            env=clean | {"PYTHONPATH": path},
            cwd=folder,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        self._reading = asyncio.create_task(self._read(process))
        return process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout
        while line := await process.stdout.readline():
            message = json.loads(line)
            if "started" in message:
                forked = self._alive[message["started"]] = Forked(message["started"])
                self._requests.popleft().set_result(forked)
            else:
                self._alive.pop(message["ended"]).ended(message["status"])
