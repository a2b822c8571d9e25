"""What the tests of the PostgreSQL engine share: an engine, a look past it, and a network that can be made to fail."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

from elihu.config import Config
from elihu.engines.postgres.engine import PostgresEngine
from elihu.telemetry.bus import Bus


@asynccontextmanager
async def engine_on(url: str, *, migrate: bool = True, bus: Bus | None = None, **settings: Any) -> AsyncIterator[PostgresEngine]:
    """An open engine."""
    engine = PostgresEngine(Config(database_url=url, **settings), bus or Bus())
    await engine.open()
    try:
        if migrate:
            await engine.migrate()
        yield engine
    finally:
        await engine.close()


@asynccontextmanager
async def psql(url: str) -> AsyncIterator[Any]:
    """A plain connection."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def enlisted(engine: PostgresEngine, name: str = "test") -> str:
    """The id of a new node."""
    node = str(uuid4())
    await engine.enlist(node, name, {})
    return node


async def until(condition: Callable[[], Any], *, within: float = 10) -> None:
    """Return when ``condition()``, which may be a coroutine, holds; looks again after each round trip or turn of the loop."""
    async with asyncio.timeout(within):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0)


async def waiting_backends(connection: Any) -> int:
    """How many of the server's processes wait for a lock in this database."""
    return int(
        await connection.fetchval("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
    )


class Network:
    """A TCP proxy before a server: it can fall silent, cut its connections, and give out a false process number as a pooler does."""

    def __init__(self, url: str, *, false_pid: bool = False) -> None:
        self._target = urlsplit(url)
        self._false_pid = false_pid
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self.connected = 0

    @property
    def url(self) -> str:
        """The server's URL, by way of this network."""
        assert self._server is not None
        port = self._server.sockets[0].getsockname()[1]
        return f"postgresql://{self._target.username}@127.0.0.1:{port}{self._target.path}"

    def stall(self) -> None:
        """Keep connections open, and carry nothing."""
        self._flowing.clear()

    def resume(self) -> None:
        """Carry again what was held back, and what comes."""
        self._flowing.set()

    def cut(self) -> None:
        """End all connections."""
        for writer in self._writers:
            writer.transport.abort()

    async def __aenter__(self) -> "Network":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        server_reader, server_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
        self._writers |= {writer, server_writer}
        for source, sink, falsify in ((reader, server_writer, False), (server_reader, writer, self._false_pid)):
            pump = asyncio.create_task(self._pump(source, sink, falsify))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, falsify: bool) -> None:
        try:
            while data := await source.read(65_536):
                await self._flowing.wait()
                sink.write(_with_false_pid(data) if falsify else data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()
            self._writers.discard(sink)


def _with_false_pid(data: bytes) -> bytes:
    """``data`` with another process number in its BackendKeyData message, where it has one behind the answer to the start-up."""
    place = data.find(b"K\x00\x00\x00\x0c")
    if place < 0:
        return data
    (pid,) = struct.unpack_from("!I", data, place + 5)
    return data[: place + 5] + struct.pack("!I", pid + 1) + data[place + 9 :]
