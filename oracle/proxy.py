"""A TCP proxy on 127.0.0.1 that behaves as bad networks do."""

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit, urlunsplit

HOST: Final = "127.0.0.1"
CHUNK: Final = 65_536
IDLE: Final = b"Z\0\0\0\x05I"
"""PostgreSQL's ReadyForQuery outside a transaction."""
IN_TRANSACTION: Final = b"Z\0\0\0\x05T"
"""PostgreSQL's ReadyForQuery inside a transaction."""


@dataclass(slots=True)
class _Line:
    """One connection: the answers since its transaction began, and whether it is cut
    off.
    """

    answers: int = 0
    held: bool = False


class Proxy:
    """Passes bytes between clients and ``host:port``.

    ``stalled``: no byte passes and no connection closes; all bytes arrive at the end of
    the stall. ``delay``: each message is late by so many seconds. ``swallow()``: the
    next answer of the server is lost, and all that follows on that connection.
    ``drop()``: every connection is cut. ``hold_after``: a connection on
    which so many answers came inside an open transaction is cut off for good, and
    neither side is notified; ``held`` counts them. ``passed`` counts the bytes of both
    ways.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        self._parts = parts
        self._target = parts.hostname, parts.port
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._to_swallow = 0
        self.swallowed = 0
        self.delay = 0.0
        self.hold_after: int | None = None
        self.held = 0
        self.passed = 0

    @property
    def url(self) -> str:
        """The URL of the same database, through this proxy."""
        assert self._server
        port = self._server.sockets[0].getsockname()[1]
        return urlunsplit(self._parts._replace(netloc=f"{self._parts.username}@{HOST}:{port}"))

    @property
    def stalled(self) -> bool:
        return not self._flowing.is_set()

    @stalled.setter
    def stalled(self, stalled: bool) -> None:
        if stalled:
            self._flowing.clear()
        else:
            self._flowing.set()

    def swallow(self) -> None:
        self._to_swallow += 1

    def drop(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, HOST, 0)
        return self

    async def __aexit__(self, *raised: object) -> None:
        assert self._server
        self._server.close()
        self._closing.set()
        self.drop()
        if self._pumps:
            _, left = await asyncio.wait(self._pumps, timeout=1)
            for pump in left:
                pump.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._pumps.add(task)
        task.add_done_callback(self._pumps.discard)
        self._open.add(writer)
        try:
            await self._flowing.wait()
            far_reader, far_writer = await asyncio.open_connection(*self._target)
            for each in (writer, far_writer):
                each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:
            self._open.discard(writer)
            writer.transport.abort()
            return
        self._open.add(far_writer)
        line = _Line()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, far_writer, line, answers=False))
                group.create_task(self._pump(far_reader, writer, line, answers=True))
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for each in (writer, far_writer):
                self._open.discard(each)
                with contextlib.suppress(OSError):
                    each.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        line: "_Line",
        *,
        answers: bool,
    ) -> None:
        lost = False
        while data := await reader.read(CHUNK):
            if answers and self._to_swallow and not lost:
                self._to_swallow -= 1
                self.swallowed += 1
                lost = True
            if lost:
                continue
            if self.delay:
                await asyncio.sleep(self.delay)
            if answers:
                self._count_open_transaction(line, data)
            if line.held:
                break
            await self._flowing.wait()
            writer.write(data)
            self.passed += len(data)
            await writer.drain()
        if line.held:
            await self._closing.wait()  # both sockets stay open
        raise ConnectionResetError

    def _count_open_transaction(self, line: "_Line", data: bytes) -> None:
        if self.hold_after is None:
            return
        if data.endswith(IDLE):
            line.answers = 0
        elif data.endswith(IN_TRANSACTION):
            line.answers += 1
        if line.answers >= self.hold_after and not line.held:
            line.held = True
            self.held += 1
