"""One child, as its node sees it."""

import asyncio
import logging
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, cast

from elihu.errors import ProcessDied
from elihu.processes.spawn import Process, ending
from elihu.runtime.attempts.processes.call import Call
from elihu.runtime.attempts.processes.node_logging import receive_record
from elihu.runtime.attempts.processes.protocol import Frames, Message, frame
from elihu.runtime.attempts.processes.tickets import Tickets

READ_AFTER_END: Final = 0.2
"""Seconds after the end of a child in which its last messages are still read."""

END_AFTER_CLOSE: Final = 1.0
"""Seconds that a child has to end after it closed its connection."""


class Child(asyncio.Protocol):
    """Runs one job at a time, in the order of ``calls``: those that it has been given and
    not answered. ``jobs`` counts all of them, ``answers`` the answers. ``gone`` is set,
    and ``on_gone`` called, when the process has ended and all its messages are read. A
    child that is ``leaving`` takes no more jobs. ``kept`` is true while it is idle.
    """

    def __init__(self, on_gone: Callable[["Child"], None]) -> None:
        self.calls: deque[Call] = deque()
        self.jobs = 0
        self.answers = 0
        self.gone = asyncio.Event()
        self.leaving = False
        self.kept = False
        self._killed_for: str | None = None
        self._on_gone = on_gone
        self._loop = asyncio.get_running_loop()
        self._frames = Frames()
        self._tickets = Tickets()
        self._unsent: list[Call] = []
        self._process: Process | None = None
        self._transport: asyncio.Transport | None = None

    async def start(self, setup: bytes) -> None:
        """Start the process, which begins with this message. Raises ``OSError``."""
        try:
            ours, theirs = socket.socketpair()
            with theirs:
                await self._loop.create_unix_connection(lambda: self, sock=ours)
                inherited = (theirs.fileno(), self._tickets.descriptor)
                self._process = Process(_command(inherited), inherited, self._ended)
        except BaseException:
            self._hang_up()
            self._tickets.close()
            raise
        self._write(setup)

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    @property
    def ready(self) -> bool:
        """Whether it can take a job, as far as is known."""
        return self._transport is not None and not self.leaving

    @property
    def busy(self) -> bool:
        """Whether it has a job that it has not answered."""
        return bool(self.calls)

    def give(self, call: Call) -> None:
        """Let it run this job after those that it has. Calls of one turn of the loop are
        written together.
        """
        call.first = not self.jobs
        self.jobs += 1
        self.calls.append(call)
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append(call)
        if self.gone.is_set():
            self._fail()

    def take_back(self) -> list[Call]:
        """The calls that it has not begun, which it will not run."""
        numbers = self._tickets.take_back()
        numbers.update(call.number for call in self._unsent)
        self._unsent.clear()
        taken = [call for call in self.calls if call.number in numbers]
        if taken:
            self.calls = deque(call for call in self.calls if call.number not in numbers)
            self.jobs -= len(taken)
        return taken

    def tell_cancelled(self, call: Call) -> None:
        """Let ``ctx.cancelled`` be true in this job."""
        if call in self.calls:
            self._send()
            self._write(frame("cancel", call.number, call.listener.context.cause))

    def tell_blocked(self, call: Call, text: str) -> None:
        """Name it in the error of the waits of this job."""
        if call in self.calls:
            self._send()
            self._write(frame("blocked", call.number, text))

    async def interrupt(self, call: Call, grace: float) -> Message | None:
        """End this job, which runs, and the process: after ``grace`` seconds by force.
        The answer that it still gave.
        """
        self.leaving = True
        call.answer = answer = self._loop.create_future()
        if self._process:
            self._process.terminate()
        await self._go(grace)
        return answer.result() if answer.done() and answer.exception() is None else None

    async def retire(self, grace: float) -> None:
        """Let it end in good order, after ``grace`` seconds by force."""
        self.leaving = True
        self._write(frame("end"))
        await self._go(grace)

    def kill(self, reason: str | None = None) -> None:
        """End it by force; its job fails for that reason. Its guardian ends what the job
        has started.
        """
        self.leaving = True
        self._killed_for = self._killed_for or reason
        if self._process:
            self._process.kill()

    async def _go(self, grace: float) -> None:
        try:
            async with asyncio.timeout(grace):
                await self.gone.wait()
        except TimeoutError:
            self.kill()
            await self.gone.wait()

    # the line

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            for message in self._frames.feed(data):
                self._received(message)
        except (ValueError, LookupError, TypeError) as error:
            self.kill(f"the process sent an unknown message: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        if self._process is not None and self._process.status is None:
            self._loop.call_later(END_AFTER_CLOSE, self.kill)
        else:
            self._part()

    def _received(self, message: Message) -> None:
        listener = self.calls[0].listener if self.calls else None
        match message:
            case ["progress", text]:
                if listener:
                    listener.report(text)
            case ["waits", ids]:
                if listener:
                    listener.waits.begin(ids)
            case ["waited", ids]:
                if listener:
                    listener.waits.end(ids)
            case ["log", fields]:
                if listener:
                    listener.context.log.handle(logging.makeLogRecord(fields))
            case ["record", target, fields]:
                receive_record(target, fields)
            case _:
                self.leaving = self.leaving or message[0] == "unable"
                if self.calls:
                    self.answers += 1
                    answer = self.calls.popleft().answer
                    if not answer.done():
                        answer.set_result(message)

    def _send(self) -> None:
        """Write the calls that are not written."""
        if self._unsent and self._transport:
            unsent, self._unsent = self._unsent, []
            self._tickets.issue(call.number for call in unsent)
            self._write(b"".join([call.data for call in unsent]))

    def _write(self, data: bytes) -> None:
        if self._transport:
            self._transport.write(data)

    def _hang_up(self) -> None:
        if self._transport:
            self._transport.close()

    # its end

    def _ended(self) -> None:
        if self._transport is None:
            self._part()
        else:
            self._loop.call_later(READ_AFTER_END, self._hang_up)

    def _part(self) -> None:
        if not self.gone.is_set():
            self.gone.set()
            self._fail()
            self._tickets.close()
            self._on_gone(self)

    def _fail(self) -> None:
        for call in self.take_back():
            call.begun = False
            self._died(call)
        while self.calls:
            self._died(self.calls.popleft())

    def _died(self, call: Call) -> None:
        status = self._process.status if self._process else None
        call.fail(ProcessDied(self._killed_for or f"the process of the task {ending(status)}"))


def _command(descriptors: Iterable[int]) -> list[str]:
    return [sys.executable, *_flags(), "-m", __package__, *map(str, descriptors)]


def _flags() -> list[str]:
    """This interpreter's options, where they change what code means."""
    flags = sys.flags
    warnings = [f"-W{option}" for option in sys.warnoptions]
    return [
        *["-O"] * flags.optimize,
        *["-I"] * flags.isolated,
        *["-E"] * (flags.ignore_environment and not flags.isolated),
        *warnings,
    ]
