"""Runs several node processes: starts them, replaces those that end, and stops them all
on a signal.

started ── ends ──> replaced, after a delay that grows if the process ends quickly
   └─── signal ──> asked to stop ──> ended, or killed after a timeout
"""

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from elihu.cli.signals import StopSignals
from elihu.cli.supervisor_link import CANNOT_START, READY, STOP, STOP_NOW
from elihu.runtime.shielded_stop import HURRY as STOP_NOW_TIMEOUT
from elihu.runtime.timers import pause

STABLE_AFTER: Final = 10.0
"""Seconds after which a process is stable: its replacement starts without a delay."""
FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 30.0
READ_AFTER_EXIT: Final = 1.0
"""Seconds for which the socket of an ended process is read. A process that it forked
may hold the socket open for longer.
"""
STOP_MARGIN: Final = 20.0
"""Seconds beyond ``grace`` in which a process has to stop."""


class NodeProcess:
    """One node process and the supervisor's end of its socket."""

    def __init__(
        self, number: int, process: asyncio.subprocess.Process, connection: socket.socket
    ) -> None:
        self.number = number
        self.process = process
        self.started = time.monotonic()
        self.ready = False
        self.cannot_start = False
        self._connection = connection

    async def wait(self, on_ready: Callable[[], None]) -> int:
        """Wait until it ends. Returns the exit status, negative for a signal."""
        listening = asyncio.create_task(self._listen(on_ready))
        status = await self.process.wait()
        await asyncio.wait([listening], timeout=READ_AFTER_EXIT)
        listening.cancel()
        return status

    def send(self, message: bytes) -> None:
        """Send ``STOP``, which acts as a signal, or ``STOP_NOW``, as a second one."""
        with suppress(OSError):  # the process has ended
            self._connection.send(message)

    def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()

    async def _listen(self, on_ready: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        with self._connection:
            try:
                while message := await loop.sock_recv(self._connection, 1):
                    self.cannot_start = self.cannot_start or message == CANNOT_START
                    if message == READY:
                        self.ready = True
                        on_ready()
            except OSError:
                return  # the process ended


class Supervisor:
    """Keeps ``processes`` node processes running until a signal stops them all.

    ``command`` returns the command line of a process for the value of its
    ``--supervised``. ``grace`` is the number of seconds that running jobs have at a
    stop. ``print_status`` prints a line about each event.
    """

    def __init__(
        self,
        command: Callable[[str], Sequence[str]],
        processes: int,
        *,
        grace: float,
        print_status: Callable[[str], None],
    ) -> None:
        self._command = command
        self._processes = processes
        self._grace = grace
        self._print_status = print_status
        self._node_processes: dict[int, NodeProcess] = {}
        self._cannot_start: set[int] = set()
        self._ever_ready = False
        self._failed = False

    async def run(self, signals: StopSignals) -> int:
        """Run until a signal. Returns the exit status: 1 if no process could start or
        one had to be killed, else 0.
        """
        self._signals = signals
        async with asyncio.TaskGroup() as group:
            for number in range(1, self._processes + 1):
                group.create_task(self._keep_running(number))
            await signals.stopping.wait()
            for node in self._node_processes.values():
                node.send(STOP)
            stragglers = asyncio.create_task(self._end_stragglers())
        stragglers.cancel()
        return int(self._failed)

    async def _keep_running(self, number: int) -> None:
        """Keep the process of this number running until the stop."""
        quick = 0
        while not self._signals.stopping.is_set():
            try:
                node = self._node_processes[number] = await self._start(number)
            except OSError as error:
                lifetime, what = 0.0, f"{number} failed to start: {error.strerror}"
            else:
                if self._signals.stopping.is_set():
                    node.send(STOP)
                status = await node.wait(self._on_ready)
                del self._node_processes[number]
                lifetime, what = (
                    time.monotonic() - node.started,
                    f"{number} (pid {node.process.pid}) {_ending(status)}",
                )
                if node.cannot_start and not self._ever_ready:
                    self._record_failed_start(number)
            if self._signals.stopping.is_set():
                return
            quick = 0 if lifetime >= STABLE_AFTER else quick + 1
            delay = min(FIRST_DELAY * 2 ** (quick - 1), LONGEST_DELAY) if quick else 0.0
            self._print_status(f"{what}; restarting{f' in {delay:g} s' if delay else ''}")
            await pause(self._signals.stopping, delay)

    async def _start(self, number: int) -> NodeProcess:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *self._command(f"{number}:{theirs.fileno()}"),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    # Ctrl-C in the terminal must reach only the supervisor, which forwards it
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            raise
        self._print_status(f"{number} started, pid {process.pid}")
        return NodeProcess(number, process, ours)

    def _on_ready(self) -> None:
        self._ever_ready = True

    def _record_failed_start(self, number: int) -> None:
        """Give up once every process failed because of its settings or tables: a
        restart would fail in the same way.
        """
        self._cannot_start.add(number)
        if len(self._cannot_start) == self._processes:
            self._failed = True
            self._print_status("no process could start")
            self._signals.stopping.set()

    async def _end_stragglers(self) -> None:
        await pause(self._signals.stop_now, self._grace + STOP_MARGIN)
        if self._signals.stop_now.is_set():
            for node in self._node_processes.values():
                node.send(STOP_NOW)
            await asyncio.sleep(STOP_NOW_TIMEOUT + STOP_MARGIN)
        for node in self._node_processes.values():
            self._failed = True
            self._print_status(
                f"{node.number} (pid {node.process.pid}) did not stop in time, killing it"
            )
            node.kill()


def command_of(argv: Sequence[str], supervised: str) -> list[str]:
    """The command line of one process: ``argv`` with ``--supervised`` instead of
    ``--processes``.
    """
    command = [sys.executable]
    rest = iter(argv[1:])
    for argument in rest:
        if argument == "--processes":
            next(rest, None)
        if argument == "--processes" or argument.startswith("--processes="):
            command.append(f"--supervised={supervised}")
        else:
            command.append(argument)
    return command


def _ending(status: int) -> str:
    if status >= 0:
        return f"exited with status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
