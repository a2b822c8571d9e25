"""Runs a command under its supervisor, as the node sees it."""

import asyncio
import logging
import os
import socket
import time
import uuid
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, cast

from elihu.commands.runner import cgroup
from elihu.commands.runner.argv import expand, split
from elihu.commands.runner.environment import environment_of
from elihu.commands.runner.mask import maskable
from elihu.commands.runner.order import Order
from elihu.commands.runner.protocol import Frames, frame
from elihu.commands.runner.spec import OutputChunk, OutputSink, RunEnd, RunSpec
from elihu.commands.runner.start import command_line
from elihu.failpoints import ACTIVE, reach
from elihu.processes.spawn import Process, ending
from elihu.processes.tree import kill_started_by

logger = logging.getLogger("elihu")

KILLED: Final = "killed"
"""The reason of a run that was cancelled."""

EXIT_BOUND: Final = 2.0
"""Seconds that a supervisor takes to end after its report, at most."""

NO_SESSION: Final = -1

CANCEL_SHARE: Final = 0.7
"""The part of ``kill_grace`` that a cancelled command has: its node gives an attempt up
that has not ended after the whole.
"""

MOST_AT_ONCE: Final = 2**20
"""The most bytes of one call of the sink."""


async def run(spec: RunSpec, sink: OutputSink) -> RunEnd:
    """Run a command to its end. Nothing that it started is left when this returns,
    unless ``keep_background``.

    Cancelling this kills the command, with all that it started, and raises
    ``CancelledError`` after its end; ``CommandRun`` keeps the end for that case. Raises
    ``InvalidOption`` for a command in the mode ``argv`` that cannot be split.
    """
    return await CommandRun(spec, sink).run()


class CommandRun(asyncio.Protocol):
    """One run. ``end`` is how it ended, None before."""

    def __init__(self, spec: RunSpec, sink: OutputSink) -> None:
        self.end: RunEnd | None = None
        self._spec = spec
        self._sink = sink
        self._mark = uuid.uuid4().hex
        self._frames = Frames()
        self._process: Process | None = None
        self._transport: asyncio.Transport | None = None
        self._gone = asyncio.Event()
        self._over = asyncio.Event()
        self._complete = False
        self._command: int | None = None
        self._began = 0.0
        self._stop: tuple[str, float] | None = None
        self._reported: dict[str, Any] | None = None
        self._pending: deque[OutputChunk | tuple[int, int]] = deque()
        self._more = asyncio.Event()
        self._output_error: str | None = None

    async def run(self) -> RunEnd:
        """Run it; as the function of that name, and to be called once."""
        order = self._order()
        running = asyncio.create_task(self._run(order))
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            self.stop(KILLED, grace=CANCEL_SHARE * self._spec.kill_grace)
            if ACTIVE:
                reach("command stopped")
            await asyncio.wait([running])
            raise

    def stop(self, reason: str, *, grace: float | None = None) -> None:
        """Kill the command, with all that it started. Its status is ``killed``, unless
        it ends meanwhile. ``grace`` can only shorten the ``kill_grace``. Does nothing
        after its end.
        """
        self._stop = (reason, float(self._spec.kill_grace if grace is None else grace))
        if self._transport is not None and self._process is not None:
            self._transport.write(frame("stop", *self._stop))

    async def _run(self, order: Order) -> RunEnd:
        if ACTIVE:
            reach("before command")
        try:
            await self._start(order)
        except OSError as error:
            self.end = RunEnd("failed", f"supervisor: {error.strerror or error}")
            return self.end
        writing = asyncio.create_task(self._write())
        await self._over.wait()
        if self._reported is None:
            await self._gone.wait()
            await self._clear()
        else:
            await self._let_go()
        self._complete = True
        self._more.set()
        await writing
        self.end = self._ended()
        return self.end

    def _order(self) -> Order:
        spec = self._spec
        variables = dict(spec.variables)
        if spec.mode == "argv":
            arguments = expand(split(spec.text), variables)
        else:
            arguments = [spec.shell, "-c", spec.text]
        return Order(
            arguments=arguments,
            environment=environment_of(os.environ, spec.pass_environment, variables, self._mark),
            secrets=maskable(list(spec.secret_values)),
            working_directory=spec.working_directory,
            timeout=float(spec.timeout),
            kill_grace=float(spec.kill_grace),
            output_limit=spec.output_limit,
            keep_background=spec.keep_background,
            memory_limit=spec.memory_limit,
            cpu_seconds=spec.cpu_seconds,
            open_files=spec.open_files,
            cgroup=spec.cgroup,
            mark=self._mark,
            node=os.getpid(),
        )

    async def _start(self, order: Order) -> None:
        self._began = time.monotonic()
        ours, theirs = socket.socketpair()
        with theirs:
            loop = asyncio.get_running_loop()
            await loop.create_unix_connection(lambda: self, sock=ours)
            assert self._transport is not None
            try:
                self._process = Process(
                    command_line(theirs.fileno()),
                    (theirs.fileno(),),
                    self._gone.set,
                    environment={},
                )
            except BaseException:
                self._transport.close()
                raise
        if ACTIVE:
            reach("before order")
        self._transport.write(frame("start", order.fields()))
        if ACTIVE:
            reach("after order")
        if self._stop is not None:
            self._transport.write(frame("stop", *self._stop))

    def _ended(self) -> RunEnd:
        if self._reported is not None:
            return RunEnd(**self._reported, output_error=self._output_error)
        status = self._process.status if self._process else None
        return RunEnd(
            "failed",
            f"the supervisor {ending(status)}",
            duration=time.monotonic() - self._began,
            output_error=self._output_error,
        )

    async def _let_go(self) -> None:
        """Wait for the end of a supervisor that has reported that of the command. One
        that stays has a process that it cannot end.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(EXIT_BOUND):
                await self._gone.wait()
        if self._transport is not None:
            self._transport.close()

    async def _clear(self) -> None:
        """End what a supervisor that was killed has left."""
        path = cgroup.path_of(self._mark) if self._spec.cgroup else None
        if path is not None:
            cgroup.kill(path)
        session = self._command or NO_SESSION
        await asyncio.to_thread(kill_started_by, self._mark, session, 0, frozenset())
        if path is not None:
            cgroup.remove(path)

    # the output

    async def _write(self) -> None:
        """Pass the output to the sink until the run has ended."""
        while self._pending or not self._complete:
            if not self._pending:
                self._more.clear()
                await self._more.wait()
                continue
            try:
                await self._write_next()
            except Exception as error:
                self._output_error = f"{type(error).__name__}: {error}"
                logger.warning("the output of a command is lost", exc_info=error)
                self._pending.clear()
                return

    async def _write_next(self) -> None:
        if isinstance(first := self._pending[0], tuple):
            self._pending.popleft()
            await self._sink.discard(*first)
            return
        chunks: list[OutputChunk] = []
        size = 0
        while self._pending and size < MOST_AT_ONCE:
            if isinstance(chunk := self._pending[0], tuple):
                break
            size += len(chunk.data)
            chunks.append(chunk)
            self._pending.popleft()
        await self._sink.write(chunks)

    def _take(self, *output: OutputChunk | tuple[int, int]) -> None:
        if self._output_error is None:
            self._pending.extend(output)
            self._more.set()

    # the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        for message in self._frames.feed(data):
            self._received(cast(Sequence[Any], message))

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._over.set()

    def _received(self, message: Sequence[Any]) -> None:
        match message:
            case ("started", pid):
                self._command = pid
                if ACTIVE:
                    reach("command started")
            case ("chunks", chunks):
                self._take(*(OutputChunk(*chunk) for chunk in chunks))
            case ("discard", first, before):
                self._take((first, before))
            case ("end", fields):
                self._reported = fields
                self._over.set()
                if ACTIVE:
                    reach("after command")
