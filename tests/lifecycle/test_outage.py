"""PostgreSQL goes away and comes back while nodes work, or cuts their connections."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import asyncpg
import pytest

from elihu import DatabaseUnavailable, Elihu, JobState, RunOutcome
from elihu.testing.postgres import PostgresServer
from tests.lifecycle.nodes import Process, Processes, job
from tests.support import Stopwatch

ROUNDS = int(os.environ.get("ELIHU_TEST_OUTAGE_ROUNDS", "7"))
"""How long the server is away, in failures of a service in a row: 7 take 5 s, each
further one 2 s more.
"""

BOUND_OF_OUTAGE = 30.0 + 2 * ROUNDS

LOG_LINES = 10
"""As many lines a node may log of an outage, however long it is."""

SETTINGS = {"DEAD_AFTER": "4.5"}


@pytest.fixture(scope="module")
def durable_server() -> Iterator[PostgresServer]:
    """A server that loses nothing by a crash."""
    with PostgresServer(durable=True) as server:
        yield server


@pytest.fixture
def away_url(durable_server: PostgresServer) -> Iterator[str]:
    yield durable_server.create_database("outage")
    durable_server.start()
    durable_server.drop_database("outage")


@pytest.fixture
async def killer(app: Elihu, database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection outside the database, which cuts others'."""
    connection = await asyncpg.connect(database_url.rsplit("/", 1)[0] + "/postgres")
    yield connection
    await connection.close()


def has_begun(nodes: list[Process], number: int) -> bool:
    """Whether the nodes together have begun as many brief jobs."""
    return sum(node.count("began brief") for node in nodes) >= number


def quiet(process: Process) -> None:
    """Nothing was logged that an outage does not explain, and little of it."""
    assert len(process.errors) <= LOG_LINES, process.errors
    assert not [line for line in process.errors if "Traceback" in line]
    assert not process.count("buried")
    assert not process.count("reborn")


@pytest.mark.parametrize("database_url", ["away"], indirect=True)
async def test_a_server_that_is_away_loses_nothing_and_buries_nobody(
    app: Elihu, processes: Processes, durable_server: PostgresServer, tmp_path: Path
):
    nodes = [await processes.node(**SETTINGS), await processes.node(**SETTINGS)]
    door = tmp_path / "door"
    relay = await app.submit(job("until_file", args={"path": str(door)}))
    long = relay.job
    waits = [asyncio.create_task(each.aresult(None)) for each in (relay, app.relay(relay.ref))]
    await processes.until(lambda: any(node.count("began until_file") for node in nodes))
    await app.enqueue_many(job("brief", args={"number": number}) for number in range(1_000))
    await app.enqueue_many(job("brief", delay=3.0, args={"number": number}) for number in range(50))
    await processes.until(partial(has_begun, nodes, 200))
    durable_server.stop(immediate=True)

    with pytest.raises(DatabaseUnavailable):
        await app.aenqueue(job("never"))
    for node in nodes:
        await processes.printed(node, f"failed leader {ROUNDS}", within=BOUND_OF_OUTAGE)

    durable_server.start()
    back = Stopwatch()
    first = await app.aenqueue(job("brief", priority=0, args={"number": -1}))

    async def done() -> bool:
        return (await app.jobs.get(first.id)).state is JobState.COMPLETED

    await processes.until_found(done)
    assert back.seconds < 4
    assert not any(wait.done() for wait in waits)
    door.touch()
    async with asyncio.timeout(30):
        assert await asyncio.gather(*waits) == [None, None]

    async def drained() -> bool:
        return await app.jobs.count(state="completed") == 1_052

    await processes.until_found(drained)
    assert await app.jobs.counts() == {"default": {"completed": 1_052}}
    assert await app.jobs.count(task="never") == 0
    assert [run.outcome for run in await app.jobs.runs(long.id)] == [RunOutcome.COMPLETED]
    for node in nodes:
        await processes.more(node, "mode listening", 2)
        quiet(node)
    assert {row.id for row in await app.nodes.list()} == {node.node for node in nodes}


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_connections_cut_again_and_again_lose_nothing(
    app: Elihu, processes: Processes, killer: asyncpg.Connection
):
    nodes = [await processes.node(**SETTINGS), await processes.node(**SETTINGS)]
    await app.enqueue_many(job("brief", args={"number": number}) for number in range(2_000))
    database = app.config.database_url.rsplit("/", 1)[1]
    for cut in range(1, 9):
        await processes.until(partial(has_begun, nodes, cut * 100))
        await killer.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", database
        )

    async def drained() -> bool:
        try:
            return await app.jobs.count(state="completed") == 2_000
        except DatabaseUnavailable:
            return False

    await processes.until_found(drained)
    for node in nodes:
        assert not node.count("buried")
        assert not node.count("reborn")
        assert not [line for line in node.errors if "Traceback" in line]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_cut_listening_connection_is_replaced(
    app: Elihu, processes: Processes, killer: asyncpg.Connection
):
    node = await processes.node(POLL="1h", POLL_FALLBACK="1h")
    database = app.config.database_url.rsplit("/", 1)[1]
    await processes.printed(node, "mode listening", 2)
    assert await killer.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = $1 AND "
        "query LIKE 'LISTEN%'",
        database,
    )
    await processes.more(node, "mode listening", 2)
    watch = Stopwatch()
    await app.aenqueue(job("brief", args={"number": 1}))
    await processes.printed(node, "began brief")
    assert watch.seconds < 2
    quiet(node)


@pytest.mark.parametrize("database_url", ["away"], indirect=True)
async def test_a_node_stopped_while_the_server_is_away_ends(
    app: Elihu, processes: Processes, durable_server: PostgresServer
):
    node = await processes.node(**SETTINGS, GRACE="0")
    await app.aenqueue(job("lasting", args={"seconds": 3_600}))
    await processes.printed(node, "began lasting")
    durable_server.stop(immediate=True)
    await processes.printed(node, "failed leader 1")
    watch = Stopwatch()
    node.send(signal.SIGTERM)
    assert await node.end() == 0
    assert watch.seconds < 15
    quiet(node)
    durable_server.start()
    assert await app.jobs.counts() == {"default": {"executing": 1}}
    other = await processes.node(**SETTINGS)
    await processes.printed(other, "began lasting")


async def test_processes_that_migrate_at_once_make_the_tables_once(
    database_url: str, processes: Processes
):
    migrating = [await processes.run("migrate", "--json") for _ in range(4)]
    assert [await process.end() for process in migrating] == [0] * 4
    applied = [json.loads("".join(process.lines))["applied"] for process in migrating]
    versions = [version for of_one in applied for version in of_one]
    assert sorted(versions) == list(range(1, len(versions) + 1))
    node = await processes.node()
    assert not node.errors
