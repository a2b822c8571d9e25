"""Several node processes under one: it starts them, replaces what dies, and stops as a
whole.

started ──ends──> replaced, after a pause that grows while it ends quickly
   └──signal──> told to stop ──> ended, or killed when its time is over
"""

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from elihu.cli.signals import Stops
from elihu.cli.supervisor_link import HURRY, READY, STOP, UNFIT
from elihu.runtime.node import HURRY as HURRIED
from elihu.runtime.timers import pause

LASTING: Final = 10.0
"""A process that ran for so many seconds did not end quickly."""
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 30.0
LAST_WORDS: Final = 1.0
"""Seconds for which what an ended process has said is read: one that it forked may hold
the socket open much longer.
"""
PATIENCE: Final = 20.0
"""Seconds that a process has to end, beside those that its running jobs have."""


class Member:
    """One node process, and the end of the socket to it."""

    def __init__(
        self, number: int, process: asyncio.subprocess.Process, connection: socket.socket
    ) -> None:
        self.number = number
        self.process = process
        self.started = time.monotonic()
        self.ready = False
        self.unfit = False
        self._connection = connection

    async def ended(self, on_ready: Callable[[], None]) -> int:
        """Wait for its end; the exit status, negative for a signal."""
        listening = asyncio.create_task(self._listen(on_ready))
        status = await self.process.wait()
        await asyncio.wait([listening], timeout=LAST_WORDS)
        listening.cancel()
        return status

    def tell(self, word: bytes) -> None:
        """Say ``STOP``, as a signal would, or ``HURRY``, as a second one would."""
        with suppress(OSError):  # it has ended
            self._connection.send(word)

    def kill(self) -> None:
        if self.process.returncode is None:
            self.process.kill()

    async def _listen(self, on_ready: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        with self._connection:
            try:
                while word := await loop.sock_recv(self._connection, 1):
                    self.unfit = self.unfit or word == UNFIT
                    if word == READY:
                        self.ready = True
                        on_ready()
            except OSError:
                return  # it ended in the middle


class Supervisor:
    """Keeps ``processes`` node processes running until a signal stops them all.

    ``command`` is the command line of the process of a number, given the text of its
    ``--supervised``; ``grace`` the seconds that running jobs have at a stop; ``say``
    prints what happens.
    """

    def __init__(
        self,
        command: Callable[[str], Sequence[str]],
        processes: int,
        *,
        grace: float,
        say: Callable[[str], None],
    ) -> None:
        self._command = command
        self._processes = processes
        self._grace = grace
        self._say = say
        self._members: dict[int, Member] = {}
        self._unfit: set[int] = set()
        self._ever_ready = False
        self._failed = False

    async def run(self, stops: Stops) -> int:
        """The exit status: 0, or 1 where no process could ever start, or one had to be
        killed.
        """
        self._stops = stops
        async with asyncio.TaskGroup() as seats:
            for number in range(1, self._processes + 1):
                seats.create_task(self._keep(number))
            await stops.stopping.wait()
            for member in self._members.values():
                member.tell(STOP)
            stragglers = asyncio.create_task(self._end_stragglers())
        stragglers.cancel()
        return int(self._failed)

    async def _keep(self, number: int) -> None:
        """Have a process of this number until it stops."""
        quick = 0
        while not self._stops.stopping.is_set():
            try:
                member = self._members[number] = await self._start(number)
            except OSError as error:
                lived, what = 0.0, f"{number} could not be started: {error.strerror}"
            else:
                if self._stops.stopping.is_set():
                    member.tell(STOP)
                status = await member.ended(self._on_ready)
                del self._members[number]
                lived, what = (
                    time.monotonic() - member.started,
                    f"{number} (pid {member.process.pid}) {_ending(status)}",
                )
                if member.unfit and not self._ever_ready:
                    self._give_up_on(number)
            if self._stops.stopping.is_set():
                return
            quick = 0 if lived >= LASTING else quick + 1
            delay = min(FIRST_PAUSE * 2 ** (quick - 1), LONGEST_PAUSE) if quick else 0.0
            self._say(f"{what}; another is started{f' in {delay:g} s' if delay else ''}")
            await pause(self._stops.stopping, delay)

    async def _start(self, number: int) -> Member:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    *self._command(f"{number}:{theirs.fileno()}"),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    # a Ctrl-C of the terminal is for the supervisor, which passes it on
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            raise
        self._say(f"{number} started, pid {process.pid}")
        return Member(number, process, ours)

    def _on_ready(self) -> None:
        self._ever_ready = True

    def _give_up_on(self, number: int) -> None:
        """Once the settings or the tables kept each process from starting, further
        trials would not end otherwise.
        """
        self._unfit.add(number)
        if len(self._unfit) == self._processes:
            self._failed = True
            self._say("none could start")
            self._stops.stopping.set()

    async def _end_stragglers(self) -> None:
        await pause(self._stops.stop_now, self._grace + PATIENCE)
        if self._stops.stop_now.is_set():
            for member in self._members.values():
                member.tell(HURRY)
            await asyncio.sleep(HURRIED + PATIENCE)
        for member in self._members.values():
            self._failed = True
            self._say(
                f"{member.number} (pid {member.process.pid}) did not stop in time and is killed"
            )
            member.kill()


def command_of(argv: Sequence[str], supervised: str) -> list[str]:
    """This command line for one process: ``--supervised`` in the place of
    ``--processes``.
    """
    command = [sys.executable]
    rest = iter(argv[1:])
    for word in rest:
        if word == "--processes":
            next(rest, None)
        if word == "--processes" or word.startswith("--processes="):
            command.append(f"--supervised={supervised}")
        else:
            command.append(word)
    return command


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
