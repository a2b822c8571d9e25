"""How PostgreSQL executes the statements of the hot path in a large table, under the
plan that it makes for any values.
"""

import asyncio
import json
from collections.abc import Iterator

import pytest

from elihu.engines.postgres.filters import conditions
from elihu.job import JobFilter, JobState
from elihu.testing.postgres import PostgresServer
from tests.engines.postgres_plans import (
    AVAILABLE,
    FINISHED,
    QUERIES,
    _fill,
    examined,
    exchange,
    exchange_fetch,
    exchange_plain,
    exchange_plain_ahead,
    fetched,
    generic,
    node_in,
    scans,
)
from tests.engines.postgres_support import engine_on, psql

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def large(postgres_server: PostgresServer) -> Iterator[str]:
    """A database with many jobs, for tests that leave it as it is."""
    url = postgres_server.create_database("large")
    asyncio.run(_fill(url))
    yield url
    postgres_server.drop_database("large")


VALUES = {
    "exchange": exchange,
    "exchange_fetch": exchange_fetch,
    "exchange_plain": exchange_plain,
    "exchange_plain_ahead": exchange_plain_ahead,
}


@pytest.mark.parametrize("name", VALUES)
async def test_acknowledge_and_fetch_500(large: str, name: str) -> None:
    async with generic(large) as connection:
        node = await node_in(connection)
        claims = await fetched(connection, node, 1_000)
        found = await scans(connection, QUERIES[name], VALUES[name](node, 500, claims[:500]))
        assert examined(found) <= 4 * 500
        assert {scan.by for scan in found} <= {"job_pkey", "job_fetch", "job_running"}


@pytest.mark.parametrize("name", VALUES)
async def test_acknowledge_only_and_an_empty_poll(large: str, name: str) -> None:
    async with generic(large) as connection:
        node = await node_in(connection)
        claims = await fetched(connection, node, 100)
        assert (
            examined(await scans(connection, QUERIES[name], VALUES[name](node, 0, claims)))
            <= 2 * 100
        )
        await connection.execute(
            "UPDATE elihu.job SET queue = 'elsewhere' WHERE state = 'available' AND id % 50 = 0"
        )
        values = VALUES[name](node, 100)
        values[1] = "empty"
        assert examined(await scans(connection, QUERIES[name], values)) == 0


@pytest.mark.parametrize("name", VALUES)
async def test_fetching_behind_a_position_begins_there(large: str, name: str) -> None:
    async with generic(large) as connection:
        node = await node_in(connection)
        position = await connection.fetchrow(
            "SELECT priority, scheduled_at, id FROM elihu.job WHERE state = 'available' ORDER BY "
            "1, 2, 3 OFFSET 60000 LIMIT 1"
        )
        found = await scans(
            connection, QUERIES[name], VALUES[name](node, 100, after=tuple(position))
        )
        assert examined(found) <= 2 * 100
        # what an index drops inside itself counts as no row: pages show it
        (fetch,) = [scan for scan in found if scan.by == "job_fetch"]
        assert fetch.pages <= 20
        first = await connection.fetchval(
            "SELECT min(scheduled_at) FROM elihu.job WHERE node = $1::uuid AND state = 'executing'",
            node,
        )
        assert first > position["scheduled_at"]


@pytest.mark.parametrize("name", VALUES)
async def test_the_plan_for_any_values_is_the_one_that_is_used(large: str, name: str) -> None:
    async with psql(large) as connection:
        transaction = connection.transaction()
        await transaction.start()
        node = await node_in(connection)
        for batch in (1, 10, 100):
            sql = f"{QUERIES[name]} -- {batch}"
            claims: list[tuple[int, int]] = []
            for _ in range(10):
                rows = await connection.fetch(sql, *VALUES[name](node, batch, claims))
                claims = [(row["id"], row["claim"]) for row in rows if row["id"] is not None]
                assert len(claims) == batch
            made = await connection.fetchrow(
                "SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE statement = "
                "$1",
                sql,
            )
            assert tuple(made) == (5, 5), batch
        await transaction.rollback()


@pytest.mark.parametrize("name", VALUES)
async def test_the_plan_of_an_empty_table_fits_a_full_one(
    postgres_server: PostgresServer, name: str
) -> None:
    url = postgres_server.create_database(f"empty_{name}")
    async with engine_on(url), generic(url) as connection:
        node = await node_in(connection)
        found = await scans(connection, QUERIES[name], VALUES[name](node, 100, [(1, 1), (2, 1)]))
        assert examined(found) == 0


async def test_stage_5000(large: str) -> None:
    async with generic(large) as connection:
        found = await scans(connection, QUERIES["stage"], [5_000, True])
        assert examined(found) <= 2 * 5_000 + 10
        assert (
            await connection.fetchval("SELECT count(*) FROM elihu.job WHERE state = 'available'")
            == AVAILABLE + 5_000
        )


async def test_rescue_500(large: str) -> None:
    async with generic(large) as connection:
        alive, dead = await node_in(connection), await node_in(connection)
        await fetched(connection, alive, 500)
        await fetched(connection, dead, 1_000)
        await connection.execute("DELETE FROM elihu.node WHERE id = $1::uuid", dead)
        found = await scans(connection, QUERIES["rescue"], [500, None])
        assert examined(found) <= 4 * 500
        assert (
            await connection.fetchval("SELECT count(*) FROM elihu.run WHERE outcome = 'orphaned'")
            == 500
        )


async def test_reconcile_intents_and_progress_look_at_running_jobs_only(large: str) -> None:
    async with generic(large) as connection:
        node = await node_in(connection)
        claims = await fetched(connection, node, 200)
        ids, numbers = [id_ for id_, _ in claims], [claim for _, claim in claims]
        assert (
            examined(await scans(connection, QUERIES["intents"], [node, ["cancel", "kill"]])) <= 200
        )
        held = await scans(connection, QUERIES["lost_claims"], [node, ids, numbers])
        assert examined(held) <= 200
        assert {scan.by for scan in held} == {"job_pkey"}
        assert (
            examined(
                await scans(
                    connection, QUERIES["record_progress"], [node, ids, numbers, ["1"] * 200]
                )
            )
            <= 2 * 200
        )
        assert (
            examined(
                await scans(
                    connection, QUERIES["ack_statuses"], [ids, numbers, ["completed"] * 200, node]
                )
            )
            <= 200
        )
        assert (
            examined(await scans(connection, QUERIES["reconcile"], [node, -1.0, [], []])) <= 2 * 200
        )


async def test_expire_500(large: str) -> None:
    async with generic(large) as connection:
        assert examined(await scans(connection, QUERIES["expire"], [500])) == 0
        await connection.execute(
            "UPDATE elihu.job SET expires_at = now() - interval '1 h' WHERE state = 'available' "
            "AND id % 50 = 0"
        )
        found = await scans(connection, QUERIES["expire"], [500])
        assert examined(found) <= 2 * 500
        assert {scan.by for scan in found} == {"job_expiry", "job_pkey"}


async def test_stop_and_a_piece_of_kill(large: str) -> None:
    async with generic(large) as connection:
        claims = await fetched(connection, await node_in(connection), 200)
        assert examined(await scans(connection, QUERIES["stop"], [claims[0][0]])) <= 2
        every = conditions(JobFilter(), {JobState.EXECUTING}, 4)
        assert every is not None
        found = await scans(
            connection, QUERIES.filtered("kill", every), [-(2**63), 2**63 - 1, 1_000, *every.values]
        )
        assert examined(found) <= 2 * 200
        assert {scan.by for scan in found} == {"job_running", "job_pkey"}


async def test_loads_of_queues_look_at_unfinished_jobs_only(large: str) -> None:
    async with generic(large) as connection:
        node = await node_in(connection)
        await fetched(connection, node, 200)
        found = await scans(connection, QUERIES["queue_loads"], [2_000_000])
        assert examined(found) <= 3 * (
            AVAILABLE + 200
        )  # a bitmap counts twice, and its index still has what was fetched


async def test_counts_of_states_end_at_their_bound(large: str) -> None:
    async with generic(large) as connection:
        found = await scans(connection, QUERIES["state_counts"], [101])
        assert examined(found) <= 8 * 2 * 101
        assert {scan.kind for scan in found} <= {"Index Scan", "Index Only Scan"}


async def test_waits_look_at_their_jobs_only(large: str) -> None:
    async with generic(large) as connection:
        node = await node_in(connection)
        ids = [id_ for id_, _ in await fetched(connection, node, 250)] + list(range(1, 250))
        waits = [ids, [0] * len(ids), [False] * len(ids), 1_000_000]
        assert examined(await scans(connection, QUERIES["ends"], waits)) <= 2 * len(
            ids
        )  # the jobs, and their runs
        assert examined(await scans(connection, QUERIES["attach"], [ids[:100]])) <= 4 * 100


async def test_prune_5000(large: str) -> None:
    async with generic(large) as connection:
        found = await scans(connection, QUERIES["prune_pick"], [5_000, 60.0, 60.0, 60.0])
        assert examined(found) <= 5_000
        picked = await connection.fetch(QUERIES["prune_pick"], 5_000, 60.0, 60.0, 60.0)
        ends = [row["id"] for row in picked], [row["finished_at"] for row in picked]
        assert len(picked) == 5_000
        found = await scans(connection, QUERIES["prune"], [*ends, [], []])
        assert examined(found) <= 2 * 5_000


async def test_a_piece_of_a_bulk_verb_by_ids_and_by_state(large: str) -> None:
    async with generic(large) as connection:
        some = conditions(
            JobFilter(ids=tuple(range(FINISHED + 50_000, FINISHED + 51_000))),
            frozenset(JobState) - {JobState.EXECUTING},
            4,
        )
        assert some is not None
        found = await scans(
            connection, QUERIES.filtered("delete", some), [-(2**63), 2**63 - 1, 1_000, *some.values]
        )
        assert examined(found) <= 2 * 1_000


async def test_holders_are_found_by_their_index(large: str) -> None:
    async with generic(large) as connection:
        found = await scans(connection, QUERIES["insert_holders"], [["\\\\x01", "\\\\x02"]])
        assert examined(found) == 0
        assert {scan.by for scan in found} - {None} == {"job_unique"}  # a bitmap names no index


async def test_callers_find_holders_and_their_own_job_by_an_index(large: str) -> None:
    async with generic(large) as connection:
        node = await node_in(connection)
        (((job_id, claim),)) = await fetched(connection, node, 1)
        keys = json.dumps([number.to_bytes(8, "big").hex() for number in range(500)])
        assert examined(await scans(connection, QUERIES["in_transaction_holders"], [keys])) == 0
        assert (
            examined(await scans(connection, QUERIES["in_transaction_identifiers"], ['["a", "b"]']))
            == 0
        )
        installation = await connection.fetchval(QUERIES["installation"])
        body = json.dumps(
            [
                {
                    "id": job_id,
                    "claim": claim,
                    "node": node,
                    "installation": installation,
                    "to_state": "completed",
                    "outcome": "completed",
                    "log": "line",
                    "channel": "none",
                }
            ]
        )
        assert examined(await scans(connection, QUERIES["in_transaction_complete"], [body])) <= 5
        assert (
            await connection.fetchval("SELECT state FROM elihu.job WHERE id = $1", job_id)
            == "completed"
        )
