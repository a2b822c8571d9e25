"""The databases of the comparison: a PostgreSQL server, an SQLite folder, a Redis server.
All are temporary, durable, and reached by this machine only.
"""

import asyncio
import itertools
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from typing import Any, Final, Protocol

import asyncpg

from bench.compare.environments import Unavailable
from elihu.testing.postgres import HOST, PostgresServer, free_port

READY_WITHIN: Final = 10.0

Prepare = Callable[[str], Awaitable[None]]
"""Makes the tables in an empty database, given its URL."""


class Server(Protocol):
    """Gives new databases."""

    def fresh(self, key: str, prepare: Prepare) -> Any:
        """A context with the URL of a database that ``prepare`` has filled, or of a copy
        of the one that it filled for an equal ``key``.
        """
        ...


class Postgres:
    """A durable server; ``prepare`` runs once for each key, and its database is copied."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._templates: dict[str, str] = {}
        self._prefix = f"compare_{secrets.token_hex(4)}"
        self._numbers = itertools.count(1)

    @asynccontextmanager
    async def fresh(self, key: str, prepare: Prepare) -> AsyncIterator[str]:
        if key not in self._templates:
            template = self._new_name()
            await prepare(await self._create(template, None))
            await self.tidy(self._server.database_url(template))
            self._templates[key] = template
        name = self._new_name()
        url = await self._create(name, self._templates[key])
        try:
            yield url
        finally:
            await asyncio.to_thread(self._server.drop_database, name)

    async def tidy(self, url: str) -> None:
        """VACUUM and ANALYZE, so that every planner knows its tables."""
        async with connected(url) as connection:
            await connection.execute("VACUUM ANALYZE")

    async def transactions(self, url: str) -> int:
        """The transactions of this database so far."""
        name = url.rpartition("/")[2]
        async with connected(self._server.url) as connection:
            return int(
                await connection.fetchval(
                    "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = $1",
                    name,
                )
            )

    async def version(self) -> str:
        """The server's version."""
        async with connected(self._server.url) as connection:
            return str(await connection.fetchval("SHOW server_version"))

    def _new_name(self) -> str:
        return f"{self._prefix}_{next(self._numbers)}"

    async def _create(self, name: str, template: str | None) -> str:
        return await asyncio.to_thread(self._server.create_database, name, template)


class Sqlite:
    """A folder of files; ``prepare`` runs once for each key, and its file is copied."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._templates: dict[str, Path] = {}

    @asynccontextmanager
    async def fresh(self, key: str, prepare: Prepare) -> AsyncIterator[str]:
        if key not in self._templates:
            template = self._folder / f"template{len(self._templates)}.db"
            await prepare(f"sqlite:///{template}")
            self._templates[key] = template
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            file = Path(folder, "bench.db")
            shutil.copyfile(self._templates[key], file)
            yield f"sqlite:///{file}"


class Redis:
    """A server that writes each command to the disk before it answers."""

    def __init__(self, port: int) -> None:
        self._port = port

    @asynccontextmanager
    async def fresh(self, _key: str, prepare: Prepare) -> AsyncIterator[str]:
        self.ask("FLUSHALL")
        url = f"redis://{HOST}:{self._port}/0"
        await prepare(url)
        yield url

    def ask(self, command: str) -> str:
        """The first line of the answer to an inline command."""
        with closing(socket.create_connection((HOST, self._port), timeout=READY_WITHIN)) as peer:
            peer.sendall(f"{command}\r\n".encode())
            return peer.recv(4096).decode().splitlines()[0]


@asynccontextmanager
async def redis_server(folder: Path) -> AsyncIterator[Redis]:
    """Start `redis-server`, found on the PATH. Raises ``Unavailable``."""
    program = shutil.which("redis-server")
    if program is None:
        raise Unavailable("there is no `redis-server` on the PATH")
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(program, "--bind", HOST, "--port", str(port), "--dir", str(folder)),
        *("--appendonly", "yes", "--appendfsync", "always", "--save", ""),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        server = Redis(port)
        await ready(server, process)
        yield server
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(READY_WITHIN):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def ready(server: Redis, process: asyncio.subprocess.Process) -> None:
    """Wait until the server answers. Raises ``Unavailable``."""
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and process.returncode is None:
        with suppress(OSError):
            if server.ask("PING") == "+PONG":
                return
        await asyncio.sleep(0.05)
    raise Unavailable("`redis-server` did not start")


def redis_version() -> str:
    """The version of the server on the PATH."""
    done = subprocess.run(
        ["redis-server", "--version"], check=True, capture_output=True, text=True, timeout=30
    )
    return next(word[2:] for word in done.stdout.split() if word.startswith("v="))


def sqlite_version(python: str) -> str:
    """The version of SQLite in this Python."""
    done = subprocess.run(
        [python, "-c", "import sqlite3; print(sqlite3.sqlite_version)"],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.stdout.strip()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    """A connection of the measuring program."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def shape() -> str:
    """The cores and the memory of this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB of memory"
