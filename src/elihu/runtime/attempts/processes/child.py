"""One child, as its node sees it."""

import asyncio
import logging
import socket
import sys
from collections.abc import Callable
from typing import Final, Protocol, cast

from elihu.attempt_waits import AttemptWaits
from elihu.context import Context
from elihu.errors import ProcessDied
from elihu.processes.spawn import Process, ending
from elihu.runtime.attempts.processes.node_logging import receive_record
from elihu.runtime.attempts.processes.protocol import Frames, Message, frame

READ_AFTER_END: Final = 0.2
"""Seconds after the end of a child in which its last messages are still read."""

END_AFTER_CLOSE: Final = 1.0
"""Seconds that a child has to end after it closed its connection."""


class Listener(Protocol):
    """Whose job the child runs."""

    @property
    def context(self) -> Context: ...

    @property
    def waits(self) -> AttemptWaits: ...

    def report(self, progress: str) -> None: ...


class Child(asyncio.Protocol):
    """Runs one job at a time. ``jobs`` counts them; ``begun`` is whether the last one
    has begun. ``gone`` is set, and ``on_gone`` called, when the process has ended and
    all its messages are read. A child that is ``leaving`` takes no more jobs.
    """

    def __init__(self, on_gone: Callable[["Child"], None]) -> None:
        self.jobs = 0
        self.begun = False
        self.gone = asyncio.Event()
        self.leaving = False
        self._killed_for: str | None = None
        self._on_gone = on_gone
        self._loop = asyncio.get_running_loop()
        self._frames = Frames()
        self._process: Process | None = None
        self._transport: asyncio.Transport | None = None
        self._listener: Listener | None = None
        self._answer: asyncio.Future[Message] | None = None

    async def start(self, setup: bytes) -> None:
        """Start the process, which begins with this message. Raises ``OSError``."""
        ours, theirs = socket.socketpair()
        with theirs:
            await self._loop.create_unix_connection(lambda: self, sock=ours)
            try:
                self._process = Process(_command(theirs.fileno()), theirs.fileno(), self._ended)
            except BaseException:
                self._hang_up()
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
        return self._answer is not None and not self._answer.done()

    async def perform(self, call: bytes, listener: Listener) -> Message:
        """Its answer to this message. Raises ``ProcessDied``; cancelling it leaves the
        child with its job.
        """
        self.jobs += 1
        self.begun = False
        self._listener = listener
        answer: asyncio.Future[Message] = self._loop.create_future()
        self._answer = answer
        self._write(call)
        if self.gone.is_set():
            self._fail()
        try:
            return await answer
        except asyncio.CancelledError:
            if answer.cancelled():
                self._answer = self._loop.create_future()
            raise

    def tell_cancelled(self) -> None:
        """Let ``ctx.cancelled`` be true in the job that it runs."""
        if self.busy:
            self._write(frame("cancel"))

    def tell_blocked(self, text: str) -> None:
        """Name it in the error of the waits of the job that it runs."""
        if self.busy:
            self._write(frame("blocked", text))

    async def interrupt(self, grace: float) -> Message | None:
        """End the job and the process: after ``grace`` seconds by force. The answer
        that it still gave.
        """
        self.leaving = True
        if self._process:
            self._process.terminate()
        await self._go(grace)
        answered = (
            self._answer is not None and self._answer.done() and self._answer.exception() is None
        )
        return self._answer.result() if self._answer and answered else None

    async def retire(self, grace: float) -> None:
        """Let it end in good order, after ``grace`` seconds by force."""
        self.leaving = True
        self._listener = None
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
        match message:
            case ["begun"]:
                self.begun = True
            case ["progress", text]:
                if self._listener:
                    self._listener.report(text)
            case ["waits", ids]:
                if self._listener:
                    self._listener.waits.begin(ids)
            case ["waited", ids]:
                if self._listener:
                    self._listener.waits.end(ids)
            case ["log", fields]:
                if self._listener:
                    self._listener.context.log.handle(logging.makeLogRecord(fields))
            case ["record", target, fields]:
                receive_record(target, fields)
            case _:
                self.leaving = self.leaving or message[0] == "unable"
                if self._answer and not self._answer.done():
                    self._answer.set_result(message)

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
            self._on_gone(self)

    def _fail(self) -> None:
        if self._answer and not self._answer.done():
            status = self._process.status if self._process else None
            self._answer.set_exception(
                ProcessDied(self._killed_for or f"the process of the task {ending(status)}")
            )


def _command(descriptor: int) -> list[str]:
    return [sys.executable, *_flags(), "-m", __package__, str(descriptor)]


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
