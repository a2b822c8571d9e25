"""The processes of an experiment: starts them, and finds what survives them."""

import asyncio
import contextlib
import os
import random
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from oracle.fork_server import Forked, ForkServer
from oracle.progress import Progress
from oracle.waiting import WaitTimeout, until

ROOT: Final = Path(__file__).parents[1]
START_BOUND: Final = 180.0
EXIT_BOUND: Final = 5.0
"""Seconds within which the children of ended processes must have ended too."""


class Worker:
    """A process of the experiment; ``expected`` are the exit statuses that are right."""

    def __init__(self, process: asyncio.subprocess.Process | Forked, log: Path) -> None:
        self.process = process
        self.log = log
        self.expected: set[int] = {0}

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    async def end(self, *, within: float) -> None:
        """Return when the process has ended. Raises ``WaitTimeout``."""
        try:
            async with asyncio.timeout(within):
                await self.process.wait()
        except TimeoutError:
            raise WaitTimeout(f"expected process {self.pid} to end within {within:g} s") from None

    def problems(self) -> list[str]:
        """What is wrong with its exit status and its log."""
        problems = []
        status = self.process.returncode
        if status not in self.expected:
            problems.append(
                f"process {self.pid} ended with {status}, expected {sorted(self.expected)}"
            )
        log = self.log.read_text(errors="replace")
        if "Traceback" in log and status not in self.expected - {0}:
            problems.append(f"process {self.pid} logged: {log[log.index('Traceback') :][:2_000]}")
        return problems


class Processes:
    """Starts processes in one folder; ``close`` ends all of them."""

    def __init__(
        self, folder: Path, rng: random.Random, progress: Progress, *, mutant: str | None
    ) -> None:
        self.workers: list[Worker] = []
        self._folder = folder
        self._rng = rng
        self._progress = progress
        self._mutant = mutant
        self._fork_server = ForkServer()
        self._watchers: list[asyncio.Task[None]] = []

    async def start(
        self,
        program: str,
        url: str,
        environ: Mapping[str, str],
        settings: Mapping[str, str],
        *,
        died: Callable[[Worker], None],
        wait: bool = True,
    ) -> Worker:
        """Start a program; returns when it works, or has killed itself at its
        failpoint, or at once without ``wait``. ``died`` is called when the process
        kills itself. Raises ``WaitTimeout``.
        """
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ELIHU_", "ORACLE_"))
        }
        own = {f"ELIHU_{name}": value for name, value in settings.items()}
        fixed = {
            "ELIHU_DATABASE_URL": url,
            "ORACLE_FOLDER": str(self._folder),
            "ORACLE_MUTANT": self._mutant or "",
            "ORACLE_SEED": str(self._rng.randrange(2**31)),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
        }
        log = self._folder / f"{program}-{len(self.workers)}.log"
        process = await self._spawn(program, clean | own | fixed | dict(environ), log)
        worker = Worker(process, log)
        if any(worker.pid == other.pid for other in self.workers):
            # the journals tell processes apart by their ids, and the system has used
            # this one before
            process.kill()
            await process.wait()
            return await self.start(program, url, environ, settings, died=died, wait=wait)
        self.workers.append(worker)
        if environ.get("ELIHU_TEST_FAILPOINT"):
            self._watchers.append(asyncio.create_task(_watch(worker, died)))
        if wait:
            await self._ready(worker)
        return worker

    async def stop(self) -> list[str]:
        """Have all processes end, and kill those that do not; what is wrong with them."""
        problems = []
        for worker in self.workers:
            if worker.alive:
                worker.process.send_signal(signal.SIGCONT)
                worker.process.send_signal(signal.SIGTERM)
        for worker in self.workers:
            try:
                await worker.end(within=40)
            except WaitTimeout as error:
                problems.append(str(error))
                worker.process.kill()
                await worker.process.wait()
            problems += worker.problems()
        await asyncio.gather(*self._watchers)
        return problems + await self._end_survivors()

    async def close(self) -> None:
        """Kill what still runs."""
        for worker in self.workers:
            if worker.alive:
                worker.process.kill()
                await worker.process.wait()
        await self._fork_server.close()

    async def _spawn(
        self, program: str, environ: Mapping[str, str], log: Path
    ) -> asyncio.subprocess.Process | Forked:
        if program != "transactions":
            return await self._fork_server.start(program, environ, self._folder, log)
        # it imports what the others do not need
        with log.open("wb") as stderr:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", f"oracle.programs.{program}"),
                cwd=self._folder,
                env=environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=stderr,
            )

    async def _ready(self, worker: Worker) -> None:
        with contextlib.suppress(WaitTimeout):
            await until(
                lambda: not worker.alive or self._progress.is_ready(worker.pid),
                within=START_BOUND,
                what="readiness",
            )
        if not self._progress.is_ready(worker.pid) and worker.process.returncode != -signal.SIGKILL:
            raise WaitTimeout(
                f"expected process {worker.pid} to work within {START_BOUND:g} s; its log "
                f"ends:\n{worker.log.read_text(errors='replace')[-2_000:]}"
            )

    async def _end_survivors(self) -> list[str]:
        """Kill the processes that survive those which started them; a text for each."""
        mark = f"ORACLE_FOLDER={self._folder}"
        with contextlib.suppress(WaitTimeout):
            await until(lambda: not processes_with(mark), within=EXIT_BOUND, what="no process left")
        left = processes_with(mark)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return [f"process {pid} survives: {command}" for pid, command in left.items()]


async def _watch(worker: Worker, died: Callable[[Worker], None]) -> None:
    if await worker.process.wait() == -signal.SIGKILL:
        died(worker)


def processes_with(variable: str) -> dict[int, str]:
    """The living processes that have this variable in their environment, with their
    command lines.
    """
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if variable.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
    return found
