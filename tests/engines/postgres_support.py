"""What the tests of the PostgreSQL engine share: an engine, a look past it, and a
network that can be made to fail.
"""

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

from elihu.config import Config
from elihu.engines.postgres.engine import PostgresEngine
from elihu.telemetry.bus import Bus


@asynccontextmanager
async def engine_on(
    url: str, *, migrate: bool = True, bus: Bus | None = None, **settings: Any
) -> AsyncIterator[PostgresEngine]:
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


async def registered(engine: PostgresEngine, name: str = "test") -> str:
    """The id of a new node."""
    node = str(uuid4())
    await engine.register_node(node, name, {})
    return node


async def until(condition: Callable[[], Awaitable[bool]], *, within: float = 10) -> None:
    """Return when ``condition()``, which makes a round trip to the database, holds."""
    async with asyncio.timeout(within):
        while not await condition():
            pass


class Watcher:
    """A look at the server's processes that serve one database, on a connection that is
    in no transaction: inside one they stand still.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def others(self) -> int:
        """How many connections there are beside this one and those that hold locks for
        a test.
        """
        return await self._count("application_name <> 'locker'")

    async def waiting(self) -> int:
        """How many wait for a lock."""
        return await self._count("wait_event_type = 'Lock'")

    async def until_waiting(self, number: int) -> None:
        """Return when so many wait for a lock."""

        async def they_do() -> bool:
            return await self.waiting() == number

        await until(they_do)

    async def until_others(self, number: int) -> None:
        """Return when there are so many other connections."""

        async def they_are() -> bool:
            return await self.others() == number

        await until(they_are)

    async def execute(self, sql: str) -> None:
        """Execute a statement."""
        await self._connection.execute(sql)

    async def set_default(self, setting: str) -> None:
        """A default of the database, for connections from now on."""
        name = await self._connection.fetchval("SELECT current_database()")
        await self._connection.execute(f"ALTER DATABASE {name} {setting}")

    async def _count(self, condition: str) -> int:
        found = await self._connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> "
            f"pg_backend_pid() AND {condition}"
        )
        return int(found)


@asynccontextmanager
async def locked(
    url: str, sql: str = "LOCK TABLE elihu.job IN ACCESS EXCLUSIVE MODE"
) -> AsyncIterator[Any]:
    """A transaction elsewhere that holds what ``sql`` locked; it commits at the end."""
    connection = await asyncpg.connect(url, server_settings={"application_name": "locker"})
    try:
        async with connection.transaction():
            await connection.execute(sql)
            yield connection
    finally:
        await connection.close()


BACKEND_KEY_DATA = b"K\x00\x00\x00\x0c"


class Network:
    """A TCP proxy before a server: it can fall silent, forget or cut its connections, lead
    to another server, and give out a false process number as a pooler does. It falls
    silent by itself when a client sends ``stall_at``.
    """

    def __init__(self, url: str, *, false_pid: bool = False) -> None:
        self._target = urlsplit(url)
        self._false_pid = false_pid
        self.stall_at: bytes | None = None
        self._generation = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self.connected: int = 0

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

    def forget(self) -> None:
        """Carry nothing more on the connections that there are, as a firewall does that
        forgot them; new ones work.
        """
        self._generation += 1

    def lead_to(self, url: str) -> None:
        """New connections go to another server; those that there are stay."""
        self._target = urlsplit(url)

    def cut(self) -> None:
        """End all connections."""
        for writer in self._writers:
            writer.transport.abort()

    async def __aenter__(self) -> "Network":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_exception: object) -> None:
        assert self._server is not None
        for _ in range(5):  # asyncio loses a connection that it is accepting when its server closes
            await asyncio.sleep(0)
        self._server.close()
        self.cut()
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(
            *self._pumps,
            *(writer.wait_closed() for writer in self._writers),
            return_exceptions=True,
        )

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        self._writers.add(writer)
        server_reader, server_writer = await asyncio.open_connection(
            self._target.hostname, self._target.port
        )
        self._writers.add(server_writer)
        for source, sink, falsify in (
            (reader, server_writer, False),
            (server_reader, writer, self._false_pid),
        ):
            pump = asyncio.create_task(self._pump(source, sink, falsify))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, falsify: bool
    ) -> None:
        generation = self._generation
        try:
            while data := await source.read(65_536):
                if self.stall_at is not None and self.stall_at in data:
                    self.stall()
                await self._flowing.wait()
                if generation != self._generation:
                    await asyncio.Event().wait()
                if falsify and BACKEND_KEY_DATA in data:
                    data, falsify = (
                        _with_false_pid(data),
                        False,
                    )  # the same bytes may stand in a row that comes later
                sink.write(data)
                await sink.drain()
        except OSError:
            pass
        finally:
            sink.close()


def _with_false_pid(data: bytes) -> bytes:
    """``data``, an answer to the start-up, with another process number in its
    BackendKeyData message.
    """
    place = data.index(BACKEND_KEY_DATA)
    pid: int = struct.unpack_from("!I", data, place + 5)[0]
    return data[: place + 5] + struct.pack("!I", pid + 1) + data[place + 9 :]
