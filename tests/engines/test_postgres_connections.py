"""The engine's connections: deadlines, cancellation, servers that break, poolers and
stricter isolation.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from elihu.config import Config
from elihu.engines.postgres.connections import Connections
from elihu.engines.postgres.engine import PostgresEngine
from elihu.engines.protocol import Ack
from elihu.errors import (
    ConfigError,
    DatabaseTimeout,
    DatabaseUnavailable,
    DataRefused,
    SchemaOutdated,
)
from elihu.job import JobFilter, JobState, NewJob, RunOutcome
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import EngineCalled
from elihu.testing.postgres import free_port
from tests.engines.postgres_support import (
    Network,
    Watcher,
    engine_on,
    locked,
    psql,
    registered,
    until,
)


@pytest.fixture
async def watcher(postgres_url: str) -> AsyncIterator[Watcher]:
    async with psql(postgres_url) as connection:
        yield Watcher(connection)


async def test_a_call_that_is_held_up_ends_at_its_deadline_and_the_server_stops_too(
    postgres_url: str, watcher: Watcher
) -> None:
    async with engine_on(postgres_url, connections=1, call_timeout=0.3) as engine:
        async with locked(postgres_url):
            started = time.monotonic()
            with pytest.raises(DatabaseTimeout, match=r"within 0\.3 s"):
                await engine.count(JobFilter())
            assert time.monotonic() - started < 2
            await watcher.until_waiting(0)
        assert await engine.count(JobFilter()) == 0


async def test_waiting_for_a_connection_counts(postgres_url: str, watcher: Watcher) -> None:
    async with (
        engine_on(postgres_url, connections=1, call_timeout=0.3) as engine,
        locked(postgres_url),
    ):
        outcomes = await asyncio.gather(
            engine.count(JobFilter()), engine.nodes(), return_exceptions=True
        )
        assert [type(outcome) for outcome in outcomes] == [DatabaseTimeout, DatabaseTimeout]


async def test_a_cancelled_caller_leaks_nothing(postgres_url: str, watcher: Watcher) -> None:
    async with engine_on(postgres_url, connections=1) as engine:
        async with locked(postgres_url):
            for _ in range(3):
                call = asyncio.create_task(engine.count(JobFilter()))
                await watcher.until_waiting(1)
                call.cancel()
                await asyncio.wait([call])
                assert call.cancelled()
                await watcher.until_waiting(0)
        assert await engine.count(JobFilter()) == 0
        await watcher.until_others(1)


async def test_a_caller_cancelled_while_it_waits_for_a_connection_leaks_nothing(
    postgres_url: str, watcher: Watcher
) -> None:
    async with engine_on(postgres_url, connections=1) as engine:
        async with locked(postgres_url):
            first = asyncio.create_task(engine.count(JobFilter()))
            await watcher.until_waiting(1)
            second = asyncio.create_task(engine.nodes())
            await asyncio.sleep(0)
            second.cancel()
            await asyncio.wait([second])
        assert await first == 0
        assert await engine.nodes() == []


async def test_a_cancelled_insert_in_a_transaction_leaves_nothing_behind(
    postgres_url: str, watcher: Watcher
) -> None:
    async with engine_on(postgres_url, connections=1) as engine:
        holder = NewJob(task="a", unique_key=b"k", unique_scope=0)
        async with locked(
            postgres_url,
            "INSERT INTO elihu.job (task, unique_key, unique_scope) VALUES ('a', 'k', 0)",
        ):
            call = asyncio.create_task(
                engine.insert([NewJob(task="b", unique_key=b"a", unique_scope=0), holder])
            )
            await watcher.until_waiting(1)
            call.cancel()
            await asyncio.wait([call])
        assert [job.task for job in (await engine.find(JobFilter(), None, 10)).items] == ["a"]


async def test_a_stalled_server_costs_one_deadline_and_no_more(postgres_url: str) -> None:
    async with (
        Network(postgres_url) as network,
        engine_on(network.url, connections=3, call_timeout=0.4) as engine,
    ):
        await asyncio.gather(*(engine.nodes() for _ in range(3)))
        network.stall()
        started = time.monotonic()
        outcomes = await asyncio.gather(*(engine.nodes() for _ in range(3)), return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {DatabaseTimeout}
        assert time.monotonic() - started < 1
        network.resume()
        assert await engine.nodes() == []


async def test_closing_is_bounded_when_the_server_is_silent(postgres_url: str) -> None:
    async with Network(postgres_url) as network, engine_on(network.url, call_timeout=0.4) as engine:
        await engine.nodes()
        network.stall()
        with pytest.raises(DatabaseTimeout):
            await engine.nodes()
        started = time.monotonic()
        await engine.close()
        assert time.monotonic() - started < 2
        with pytest.raises(DatabaseUnavailable, match="closed"):
            await engine.nodes()


async def test_closing_ends_calls_under_way(postgres_url: str, watcher: Watcher) -> None:
    async with engine_on(postgres_url) as engine, locked(postgres_url):
        call = asyncio.create_task(engine.count(JobFilter()))
        await watcher.until_waiting(1)
        await engine.close()
        with pytest.raises(DatabaseUnavailable):
            await call


async def test_a_broken_connection_is_unavailable_once_and_then_replaced(
    postgres_url: str, watcher: Watcher
) -> None:
    async with Network(postgres_url) as network, engine_on(network.url, connections=4) as engine:
        async with locked(postgres_url):
            calls = [asyncio.create_task(engine.count(JobFilter())) for _ in range(3)]
            await watcher.until_waiting(3)
            network.cut()
            for call in calls:
                with pytest.raises(DatabaseUnavailable):
                    await call
        assert await engine.count(JobFilter()) == 0


async def test_connections_ended_by_the_server_are_replaced(
    postgres_url: str, watcher: Watcher
) -> None:
    async with engine_on(postgres_url) as engine:
        await asyncio.gather(*(engine.nodes() for _ in range(4)))
        await watcher.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
            "current_database() AND pid <> pg_backend_pid()"
        )

        async def answers() -> bool:
            try:
                return await engine.nodes() == []
            except DatabaseUnavailable:
                return False

        await until(answers)


async def test_there_are_never_more_connections_than_allowed_and_no_more_than_needed(
    postgres_url: str, watcher: Watcher
) -> None:
    async with engine_on(postgres_url, connections=3) as engine:
        for _ in range(5):
            await engine.nodes()
        assert await watcher.others() == 1
        await asyncio.gather(*(engine.nodes() for _ in range(20)))
        assert await watcher.others() == 3


async def test_nobody_there(postgres_url: str) -> None:
    engine = PostgresEngine(
        Config(database_url=f"postgresql://someone:secret@127.0.0.1:{free_port()}/jobs"), Bus()
    )
    with pytest.raises(DatabaseUnavailable) as caught:
        await engine.open()
    assert "127.0.0.1" in str(caught.value)
    assert "secret" not in str(caught.value)
    await engine.close()


async def test_a_database_that_does_not_exist(postgres_url: str) -> None:
    engine = PostgresEngine(Config(database_url=f"{postgres_url}_not"), Bus())
    with pytest.raises(DatabaseUnavailable, match="does not exist"):
        await engine.open()


async def test_a_url_that_the_driver_refuses() -> None:
    engine = PostgresEngine(Config(database_url="postgresql://host/db?sslmode=perhaps"), Bus())
    with pytest.raises(ConfigError, match="sslmode"):
        await engine.open()


async def test_a_sleeping_engine_can_be_closed_twice_and_opened_again(postgres_url: str) -> None:
    async with engine_on(postgres_url) as engine:
        await engine.close()
        await engine.close()
        await engine.open()
        assert await engine.nodes() == []


async def test_behind_a_pooler_nothing_is_prepared(postgres_url: str) -> None:
    async with Network(postgres_url, false_pid=True) as network, engine_on(network.url) as engine:
        node = await registered(engine)
        for _ in range(3):
            await engine.insert([NewJob(task="a")])
            assert len((await engine.exchange(node, "default", 5, [])).claims) == 1
        assert await _prepared(network.url, cached=False) == 0
        connections = Connections(network.url, 1)
        assert await connections.run(_named_statements, 5) == 0
        await connections.close()


async def test_without_a_pooler_statements_are_prepared_once(postgres_url: str) -> None:
    connections = Connections(postgres_url, 1)
    for _ in range(3):
        assert await connections.run(_named_statements, 5) == 1
    await connections.close()


async def _named_statements(connection: Any) -> int:
    return int(
        await connection.fetchval("SELECT count(*) FROM pg_prepared_statements WHERE name <> ''")
    )


async def _prepared(url: str, *, cached: bool) -> int:
    connection = await asyncpg.connect(url, statement_cache_size=100 if cached else 0)
    try:
        return await _named_statements(connection)
    finally:
        await connection.close()


async def test_a_stricter_default_isolation_changes_nothing(
    postgres_url: str, watcher: Watcher
) -> None:
    await watcher.set_default("SET default_transaction_isolation TO serializable")
    async with engine_on(postgres_url) as engine:
        connections = Connections(postgres_url, 1)

        async def isolation(connection: Any) -> str:
            return str(await connection.fetchval("SELECT current_setting('transaction_isolation')"))

        assert await connections.run(isolation, 5) == "read committed"
        await connections.close()
        node = await registered(engine)
        await asyncio.gather(
            *(engine.insert([NewJob(task="a") for _ in range(20)]) for _ in range(5))
        )

        async def drain() -> list[int]:
            done: list[int] = []
            acks: list[Ack] = []
            while True:
                answer = await engine.exchange(node, "default", 5, acks)
                written = {id_ for id_, _ in answer.acked}
                done += written
                busy = [ack for ack in acks if ack.id not in written]
                acks = busy + [
                    Ack(claim.id, claim.claim, RunOutcome.COMPLETED, JobState.COMPLETED)
                    for claim in answer.claims
                ]
                if not acks:
                    return done

        drained = await asyncio.gather(*(drain() for _ in range(4)))
        assert sorted(id_ for part in drained for id_ in part) == sorted(range(1, 101))


@pytest.mark.parametrize("error", [asyncpg.SerializationError, asyncpg.DeadlockDetectedError])
async def test_what_had_no_effect_is_tried_again(
    postgres_url: str, error: type[asyncpg.PostgresError]
) -> None:
    connections = Connections(postgres_url, 1)
    tries = 0

    async def work(connection: Any) -> int:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise error("lost the race")
        return tries

    assert await connections.run(work, 5) == 3
    tries = -100
    with pytest.raises(DatabaseUnavailable):
        await connections.run(work, 5)
    assert tries == -97
    await connections.close()


async def test_values_that_cannot_be_stored_are_refused_and_the_connection_stays(
    postgres_url: str, watcher: Watcher
) -> None:
    async with engine_on(postgres_url, connections=1) as engine:
        for bad in (
            NewJob(task="a\0b"),
            NewJob(task="\ud800"),
            NewJob(task="a", args="{"),
            NewJob(task="a", priority=10),
            NewJob(task="a", priority=10**6),
            NewJob(task="a", max_attempts=0),
            NewJob(task="a", queue=secrets.token_hex(10_000)),
        ):
            with pytest.raises(DataRefused):
                await engine.insert([NewJob(task="good"), bad])
            with pytest.raises(DataRefused):
                await engine.insert([bad])
        assert await engine.count(JobFilter()) == 0
        assert await watcher.others() == 1


async def test_removed_tables_are_outdated(postgres_url: str, watcher: Watcher) -> None:
    async with engine_on(postgres_url, migrate=False) as engine:
        with pytest.raises(SchemaOutdated, match="elihu migrate"):
            await engine.count(JobFilter())
        await engine.migrate()
        assert await engine.count(JobFilter()) == 0
        await watcher.execute("DROP SCHEMA elihu CASCADE")
        with pytest.raises(SchemaOutdated, match="elihu migrate"):
            await engine.count(JobFilter())


async def test_a_read_only_server_is_unavailable(postgres_url: str, watcher: Watcher) -> None:
    async with engine_on(postgres_url):
        pass
    await watcher.set_default("SET default_transaction_read_only TO on")
    async with engine_on(postgres_url, migrate=False) as engine:
        with pytest.raises(DatabaseUnavailable, match="read-only"):
            await engine.insert([NewJob(task="a")])
        await watcher.set_default("RESET default_transaction_read_only")
        assert len(await engine.insert([NewJob(task="a")])) == 1


async def test_calls_are_emitted_to_subscribers(postgres_url: str) -> None:
    bus = Bus()
    calls: list[EngineCalled] = []
    async with engine_on(postgres_url, bus=bus) as engine:
        await engine.nodes()
        bus.on(EngineCalled, calls.append)
        await engine.nodes()
        with pytest.raises(DataRefused):
            await engine.insert([NewJob(task="a", args="{")])
    assert [(call.engine, call.verb) for call in calls] == [
        ("postgres", "nodes"),
        ("postgres", "insert"),
    ]
    assert calls[0].error is None
    assert isinstance(calls[1].error, DataRefused)
    assert all(0 < call.duration < 5 for call in calls)
