"""What a look at the cron entries costs: the entries and the lists of the nodes are each
read once, however many there are.
"""

import json
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from elihu.engines.postgres.queries import Queries
from elihu.engines.protocol import Engine
from elihu.engines.protocol.crons import CronDeclaration
from elihu.engines.sqlite import crons
from elihu.engines.sqlite.locks import Locks
from elihu.engines.sqlite.session import Session
from tests.engines.builders import node
from tests.engines.postgres_support import engine_on, psql
from tests.engines.test_sqlite_plans import Counter, database

NODES = 12
LISTED = 100
"""Entries that each node declares."""


async def fill(engine: Engine, entries: int) -> None:
    for number in range(NODES):
        await engine.update_node_info(await node(engine), info(number))
    await engine.declare_crons([declaration(f"e{number}") for number in range(entries)])


def info(number: int) -> dict[str, object]:
    """What a node declares."""
    return {"crons": {f"n{number}-{name}": "digest" for name in range(LISTED)}}


def declaration(name: str) -> CronDeclaration:
    return CronDeclaration(name, '{"cron": "* * * * *"}', "digest")


async def rows_read(connection: Any, sql: str, *values: Any) -> float:
    """The rows that all parts of the plan return, in all their loops."""
    plan = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", *values)
    waiting, total = [json.loads(plan)[0]["Plan"]], 0.0
    while waiting:
        part = waiting.pop()
        waiting += part.get("Plans", [])
        total += part["Actual Rows"] * part["Actual Loops"]
    return total


async def test_postgres_reads_entries_and_lists_once(postgres_url: str) -> None:
    queries = Queries("elihu")
    async with engine_on(postgres_url) as engine, psql(postgres_url) as connection:
        await fill(engine, LISTED)
        once = NODES * LISTED + LISTED
        await connection.execute("ANALYZE elihu.cron; ANALYZE elihu.node")
        assert await rows_read(connection, queries["crons"], None, 20.0) < 6 * once
        for digest in ("other", "digest"):  # the second one asks which nodes declare the first
            declared = [
                declaration(f"e{number}")._replace(digest=digest) for number in range(LISTED)
            ]
            columns = [list(column) for column in zip(*declared, strict=True)]
            assert await rows_read(connection, queries["declare_crons"], *columns, 20.0) < 6 * once


def test_sqlite_reads_the_lists_once(tmp_path: Path) -> None:
    """Counted in steps of the virtual machine: twice as many entries cost less than half
    as much again, since the lists of the nodes are the larger part.
    """
    steps: list[int] = []
    for entries in (50, 100):
        locks = Locks(tmp_path / f"{entries}.db")
        with closing(database(tmp_path / f"{entries}.db", 0)) as connection, closing(locks):
            for number in range(NODES):
                locks.take_node(f"{number}")
            connection.executemany(
                "INSERT INTO node (id, name, info) VALUES (?, 'n', ?)",
                [(f"{number}", json.dumps(info(number))) for number in range(NODES)],
            )
            crons.declare_crons(
                Session(connection),
                locks,
                [declaration(f"e{number}") for number in range(entries)],
            )
            work = partial(crons.crons, Session(connection), locks, None)
            steps.append(Counter(connection).of(work))
    assert 0 < steps[1] < 1.5 * steps[0]
