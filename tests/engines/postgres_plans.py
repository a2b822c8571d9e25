"""A large table, and how PostgreSQL executes a statement in it."""

import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import uuid4

import pytest

from elihu.engines.postgres.queries import Queries
from tests.engines.postgres_support import engine_on, psql

FINISHED: Final = 1_000_000 if os.environ.get("ELIHU_TEST_MORE") else 100_000


SCHEDULED: Final = 100_000


DUE: Final = 20_000


AVAILABLE: Final = 100_000


QUERIES: Final = Queries("elihu")


FRONT: Final = (-1, datetime.fromtimestamp(0, UTC), 0)


pytestmark = pytest.mark.timeout(180)


class Scan(NamedTuple):
    """A look at the table of jobs: its kind, the index it went by, the rows it touched,
    dropped ones included, and the pages it read.
    """

    kind: str
    by: str | None
    rows: float
    pages: int


async def _fill(url: str) -> None:
    async with engine_on(url), psql(url) as connection:
        await connection.execute(
            f"""
            INSERT INTO elihu.job (state, task, args, attempt, claim, node, started_at, finished_at)
            SELECT 'completed', 'task', '{{"n": 1}}', 1, 1, gen_random_uuid(),
              now() - interval '2 h',
              now() - interval '1 h' - i * interval '1 ms'
            FROM generate_series(1, {FINISHED}) AS i;
            INSERT INTO elihu.job (state, task, scheduled_at)
            SELECT 'scheduled', 'task', now() + (i - {DUE}) * interval '1 min'
            FROM generate_series(1, {SCHEDULED}) AS i;
            INSERT INTO elihu.job (state, task, scheduled_at)
            SELECT 'available', 'task', now() - interval '1 h' + i * interval '1 ms'
            FROM generate_series(1, {AVAILABLE}) AS i;
            ANALYZE elihu.job;
            """
        )


@asynccontextmanager
async def generic(url: str) -> AsyncIterator[Any]:
    """A connection that plans for any values, in a transaction that is rolled back."""
    async with psql(url) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        yield connection
        await transaction.rollback()


def literal(value: Any) -> str:
    """``value`` as SQL."""
    match value:
        case None:
            return "NULL"
        case list():
            items = ",".join("NULL" if item is None else str(item) for item in value)
            return f"'{{{items}}}'"
        case int() | float():
            return str(value)
    return f"'{value}'"


async def scans(connection: Any, sql: str, values: Sequence[Any]) -> list[Scan]:
    """Execute the statement, and return each look at the table of jobs."""
    name = f"p{uuid4().hex}"
    await connection.execute(f"PREPARE {name} AS {sql}")
    given = f"({', '.join(map(literal, values))})" if values else ""
    answer = await connection.fetchval(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {name} {given}"
    )
    found: list[Scan] = []
    waiting = [json.loads(answer)[0]["Plan"]]
    while waiting:
        node = waiting.pop()
        waiting += node.get("Plans", [])
        if node.get("Relation Name") == "job" and node["Node Type"] != "ModifyTable":
            touched = node["Actual Rows"] + sum(
                value for key, value in node.items() if key.startswith("Rows Removed by")
            )
            found.append(
                Scan(
                    node["Node Type"],
                    node.get("Index Name"),
                    touched * node["Actual Loops"],
                    pages(node),
                )
            )
        elif node["Node Type"] == "Bitmap Index Scan":
            found.append(
                Scan(
                    node["Node Type"],
                    node["Index Name"],
                    node["Actual Rows"] * node["Actual Loops"],
                    pages(node),
                )
            )
    return found


def pages(node: dict[str, Any]) -> int:
    """Pages that a node of a plan read, wherever they were."""
    return int(node["Shared Hit Blocks"] + node["Shared Read Blocks"])


def examined(found: Sequence[Scan]) -> float:
    """Rows touched in all; no scan may have read the table through, nor an index that
    is not made for it.
    """
    assert found
    assert [scan for scan in found if scan.kind == "Seq Scan"] == []
    return sum(scan.rows for scan in found)


def exchange(
    node: str,
    free: int,
    claims: Sequence[tuple[int, int]] = (),
    *,
    after: tuple[int, datetime, int] = FRONT,
) -> list[Any]:
    """The values of exchange.sql; every other end is a failure, the rest are plain."""
    plain, other = claims[::2], claims[1::2]
    n = len(other)
    return [
        *exchange_plain(node, free, plain, after=after),
        0,
        604_800.0,
        604_800.0,
        [id_ for id_, _ in other],
        [claim for _, claim in other],
        ["failed"] * n,
        ["retryable"] * n,
        [15.0] * n,
        [0] * n,
        *([[None] * n] * 6),
        [0.0] * n,
        [0.0] * len(plain),
    ]


def exchange_plain(
    node: str,
    free: int,
    claims: Sequence[tuple[int, int]] = (),
    *,
    after: tuple[int, datetime, int] = FRONT,
) -> list[Any]:
    """The values of exchange_plain.sql."""
    return [
        node,
        "default",
        free,
        *after,
        [],
        None,
        86_400.0,
        [id_ for id_, _ in claims],
        [claim for _, claim in claims],
        [None] * len(claims),
    ]


def exchange_plain_ahead(
    node: str,
    free: int,
    claims: Sequence[tuple[int, int]] = (),
    *,
    after: tuple[int, datetime, int] = FRONT,
) -> list[Any]:
    """The values of exchange_plain.sql where claims wait in the node."""
    plain = exchange_plain(node, free, claims, after=after)
    return [*plain, free // 2, [0.25] * len(claims)]


def exchange_fetch(
    node: str,
    free: int,
    _claims: Sequence[tuple[int, int]] = (),
    *,
    after: tuple[int, datetime, int] = FRONT,
) -> list[Any]:
    """The values of exchange_fetch.sql, which acknowledges nothing."""
    return exchange_plain(node, free, after=after)[:7]


async def node_in(connection: Any) -> str:
    """A node."""
    node = str(uuid4())
    await connection.execute("INSERT INTO elihu.node (id, name) VALUES ($1::uuid, 'test')", node)
    return node


async def fetched(connection: Any, node: str, free: int) -> list[tuple[int, int]]:
    """Claims of ``node``."""
    values = exchange(node, free)
    rows = await connection.fetch(QUERIES["exchange"], *values)
    return [(row["id"], row["claim"]) for row in rows if row["id"] is not None]
