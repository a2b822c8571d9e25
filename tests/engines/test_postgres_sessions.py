"""Sessions at the server: silent clients, waits for locks, connections at rest, how many."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from elihu.engines.postgres import pool
from elihu.engines.postgres.engine import PostgresEngine
from elihu.errors import DatabaseError, DatabaseTimeout, DatabaseUnavailable
from elihu.job import JobChanges, JobFilter, NewJob
from elihu.testing.postgres import PostgresServer
from tests.engines.postgres_support import Network, Watcher, engine_on, locked, psql

UNIQUE = [NewJob(task=name, unique_key=name.encode(), unique_scope=0) for name in "ab"]

Verb = Callable[[PostgresEngine], Coroutine[Any, Any, Any]]


async def fire_cron(engine: PostgresEngine) -> Any:
    (row,) = (await engine.crons()).rows
    now = (await engine.crons()).now
    return await engine.fire_cron(row, [(now, NewJob(task="tick"))], now)


TRANSACTIONS: dict[str, Verb] = {
    "unique insert": lambda engine: engine.insert(UNIQUE),
    "cron": fire_cron,
    "registration": lambda engine: engine.register_node(
        "00000000-0000-0000-0000-000000000001", "n", {}
    ),
}


@pytest.mark.parametrize("name", TRANSACTIONS)
async def test_the_server_ends_a_transaction_whose_client_is_silent(
    postgres_url: str, name: str
) -> None:
    verb = TRANSACTIONS[name]
    async with engine_on(postgres_url) as engine, Network(postgres_url) as network:
        await engine.create_cron("c", "{}", False)
        async with engine_on(network.url, migrate=False, call_timeout=0.5) as silent:
            network.stall_at = b"COMMIT"
            with pytest.raises(DatabaseError):
                await verb(silent)
            started = time.monotonic()
            assert await verb(engine) is not None or name == "registration"
            assert time.monotonic() - started < 5
            network.stall_at = None
            network.resume()


async def test_the_limits_end_with_the_transaction(postgres_url: str) -> None:
    async with engine_on(postgres_url, connections=1) as engine:
        await engine.insert(UNIQUE)
        await engine.insert(UNIQUE[:1])
        for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
            assert await engine._session.call("look", _setting(name)) == "0"


def _setting(name: str) -> Callable[[Any], Awaitable[Any]]:
    async def work(connection: Any) -> Any:
        return await connection.fetchval("SELECT current_setting($1)", name)

    return work


HOLD_ROW = "UPDATE elihu.job SET reason = 'held' WHERE task = 'held'"
WAITS: dict[str, tuple[str, Verb]] = {
    "unique key": (
        "INSERT INTO elihu.job (task, unique_key, unique_scope) VALUES ('other', 'a', 0)",
        lambda engine: engine.insert(UNIQUE[:1]),
    ),
    "unique keys": (
        "INSERT INTO elihu.job (task, unique_key, unique_scope) VALUES ('other', 'a', 0)",
        lambda engine: engine.insert(UNIQUE),
    ),
    "identifier": (
        "INSERT INTO elihu.job (task, identifier) VALUES ('other', 'i')",
        lambda engine: engine.insert([NewJob(task="new", identifier="i")]),
    ),
    "cancel": (HOLD_ROW, lambda engine: engine.cancel(JobFilter(task=("held",)))),
    "hold": (HOLD_ROW, lambda engine: engine.hold(JobFilter(task=("held",)))),
    "update": (HOLD_ROW, lambda engine: engine.update(1, JobChanges(priority=3))),
}


@pytest.mark.parametrize("name", WAITS)
async def test_calls_that_wait_for_a_lock_leave_connections_to_others(
    postgres_url: str, name: str
) -> None:
    hold, verb = WAITS[name]
    async with (
        engine_on(postgres_url, connections=4) as engine,
        psql(postgres_url) as connection,
    ):
        await engine.insert([NewJob(task="held")])
        async with locked(postgres_url, hold):
            calls = [asyncio.create_task(verb(engine)) for _ in range(12)]
            await Watcher(connection).until_waiting(2)
            started = time.monotonic()
            await asyncio.gather(*(engine.insert([NewJob(task="free")]) for _ in range(20)))
            assert await engine.count(JobFilter(task=("free",))) == 20
            assert time.monotonic() - started < 2
            assert not any(call.done() for call in calls)
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert not any(isinstance(one, DatabaseError) for one in results)


async def test_a_lock_that_stays_is_the_reason_of_the_time_out(postgres_url: str) -> None:
    async with engine_on(postgres_url, call_timeout=0.8) as engine:
        async with locked(postgres_url, WAITS["unique key"][0]):
            with pytest.raises(DatabaseTimeout, match="another transaction held a lock"):
                await engine.insert(UNIQUE[:1])
        assert await engine.count(JobFilter()) == 1


async def test_a_connection_that_rested_is_checked_before_its_use(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_CHECK_TIMEOUT", 0.2)
    async with (
        Network(postgres_url) as network,
        engine_on(network.url, call_timeout=5) as engine,
    ):
        await asyncio.gather(*(engine.nodes() for _ in range(4)))
        network.forget()
        monkeypatch.setattr(pool, "CHECK_AFTER", 0.0)
        started = time.monotonic()
        assert await asyncio.gather(*(engine.nodes() for _ in range(4))) == [[]] * 4
        assert time.monotonic() - started < 3


async def test_connections_that_rest_are_closed(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "CLOSE_AFTER", 0.3)
    async with engine_on(postgres_url) as engine, psql(postgres_url) as connection:
        await asyncio.gather(*(engine.nodes() for _ in range(4)))
        await Watcher(connection).until_others(0)
        assert await engine.nodes() == []


async def test_the_first_call_after_the_server_ended_the_connections_succeeds(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The loop is blocked while they end, so that it has not noticed."""
    monkeypatch.setattr(pool, "_LOOK_AFTER", 0.0)
    async with engine_on(postgres_url) as engine:
        for _ in range(3):
            await asyncio.gather(*(engine.nodes() for _ in range(4)))
            _in_another_thread(_terminate_all(postgres_url))
            assert len(await engine.insert([NewJob(task="a")])) == 1
    assert not caplog.records


def _in_another_thread(work: Awaitable[None]) -> None:
    async def run() -> None:
        await work

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    thread.join()


async def _terminate_all(url: str) -> None:
    async with psql(url) as connection:
        await connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = "
            "current_database() AND pid <> pg_backend_pid()"
        )


async def test_after_a_restart_of_the_server_the_first_call_succeeds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool, "_LOOK_AFTER", 0.0)
    with PostgresServer() as server:
        async with engine_on(server.url) as engine:
            await asyncio.gather(*(engine.nodes() for _ in range(4)))
            server.restart()
            assert len(await engine.insert([NewJob(task="a")])) == 1


async def test_a_call_that_is_cancelled_while_its_connection_is_looked_at_loses_none(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "_LOOK_AFTER", -1.0)
    async with engine_on(postgres_url, connections=1) as engine:
        for rounds in range(1, 8):
            call = asyncio.create_task(engine.nodes())
            for _ in range(rounds):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.wait([call])
        async with asyncio.timeout(10):
            assert await engine.nodes() == []


async def test_engines_of_a_loop_share_its_connections(postgres_url: str) -> None:
    async with (
        engine_on(postgres_url, connections=3) as first,
        engine_on(postgres_url, migrate=False, connections=3) as second,
        psql(postgres_url) as connection,
    ):
        engines = [first, second] * 10
        await asyncio.gather(*(engine.nodes() for engine in engines))
        assert await Watcher(connection).others() == 3
        await first.close()
        with pytest.raises(DatabaseUnavailable, match="closed"):
            await first.nodes()
        assert await second.nodes() == []


async def test_loops_of_a_process_share_its_connections(postgres_url: str) -> None:
    async with (
        engine_on(postgres_url, connections=4) as engine,
        psql(postgres_url) as connection,
    ):
        watcher = Watcher(connection)
        most = 0

        async def elsewhere() -> None:
            async with engine_on(postgres_url, migrate=False, connections=4) as other:
                for _ in range(20):
                    await asyncio.gather(*(other.nodes() for _ in range(8)))

        other = asyncio.create_task(asyncio.to_thread(asyncio.run, elsewhere()))
        while not other.done():
            await asyncio.gather(*(engine.nodes() for _ in range(8)))
            most = max(most, await watcher.others())
        await other
        assert most <= 5  # the first one of a loop may exceed


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="reads /proc")  # noqa: PTH112
@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("", (1, 60, 10, 5)),
        ("?keepalives_idle=30&keepalives_interval=7&keepalives_count=3", (1, 30, 7, 3)),
        ("?keepalives=0", None),
    ],
)
async def test_every_connection_has_keepalive(
    postgres_url: str, parameters: str, expected: tuple[int, ...] | None
) -> None:
    async with engine_on(postgres_url + parameters) as engine, Network(postgres_url):
        notifier = engine.notifier()
        await notifier.start(lambda _: None)
        assert await notifier.probe()
        port = int(postgres_url.rpartition(":")[2].partition("/")[0])
        found = _keepalive(port)
        await notifier.stop()
    assert len(found) >= 2
    assert {one if one[0] else None for one in found} == {expected}


def _keepalive(port: int) -> list[tuple[int, ...]]:
    """The options of each connection of this process to a port."""
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            if not os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):  # noqa: PTH115
                continue
            with socket.socket(fileno=os.dup(int(name))) as one:
                if one.family == socket.AF_INET and one.getpeername()[1] == port:
                    options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
                    found.append(
                        (
                            one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                            *(one.getsockopt(socket.IPPROTO_TCP, each) for each in options),
                        )
                    )
        except OSError:
            continue
    return found


async def test_pools_of_several_sizes_share_the_largest_number(postgres_url: str) -> None:
    async with (
        engine_on(postgres_url, connections=5) as large,
        engine_on(postgres_url, migrate=False, connections=2) as small,
        psql(postgres_url) as connection,
    ):
        watcher = Watcher(connection)
        await asyncio.gather(*(small.nodes() for _ in range(10)))
        for _ in range(10):
            await asyncio.gather(
                *(large.nodes() for _ in range(10)), *(small.nodes() for _ in range(10))
            )
            assert await watcher.others() <= 5
