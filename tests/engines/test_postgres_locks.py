"""Statements that lock rows: which rows they may take when rows change before their turn."""

import asyncio
import re
from importlib.resources import files

import asyncpg
import pytest

from elihu.engines.postgres.queries import Queries
from elihu.job import NewJob
from tests.engines.postgres_support import Watcher, engine_on, psql, registered

GATE = 7
SLOW_READER = f"""
  DROP ROLE IF EXISTS slow_reader;
  CREATE ROLE slow_reader LOGIN;
  GRANT USAGE ON SCHEMA elihu TO slow_reader;
  GRANT ALL ON ALL TABLES IN SCHEMA elihu TO slow_reader;
  CREATE FUNCTION gate() RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock_shared({GATE}); RETURN true; END $$;
  ALTER TABLE elihu.job ENABLE ROW LEVEL SECURITY;
  CREATE POLICY slow ON elihu.job TO slow_reader USING (gate()) WITH CHECK (true);
"""
"""A role whose statements stop at the first job that they read while GATE is locked."""


@pytest.mark.parametrize("one", [False, True], ids=["all", "one job"])
async def test_rescue_leaves_a_job_that_a_new_node_fetched_meanwhile(
    postgres_url: str, one: bool
) -> None:
    async with engine_on(postgres_url) as engine, psql(postgres_url) as connection:
        dead = await registered(engine)
        job_ids = [job.id for job in await engine.insert([NewJob(task="a", max_attempts=2)] * 2)]
        await engine.exchange(dead, "default", 2, [])
        await engine.deregister_node(dead)
        await connection.execute(SLOW_READER)
        slow = await asyncpg.connect(postgres_url.replace("postgres@", "slow_reader@"))
        await connection.execute("SELECT pg_advisory_lock($1)", GATE)
        values = (1, job_ids[0]) if one else (500, None)
        late = asyncio.create_task(slow.fetch(Queries("elihu")["rescue"], *values))
        await Watcher(connection).until_waiting(1)
        assert [rescued.id for rescued in await engine.rescue(500)] == job_ids
        living = await registered(engine)
        claims = (await engine.exchange(living, "default", 2, [])).claims
        assert [claim.id for claim in claims] == job_ids
        await connection.execute("SELECT pg_advisory_unlock($1)", GATE)
        assert await late == []
        await slow.close()
        rows = await connection.fetch("SELECT state, node::text, claim FROM elihu.job")
        assert [tuple(row) for row in rows] == [("executing", living, 2)] * 2
        runs = await connection.fetch("SELECT node::text, outcome FROM elihu.run")
        assert [tuple(run) for run in runs] == [(dead, "orphaned")] * 2


STATEMENTS = {
    file.name: file.read_text(encoding="utf-8")
    for file in files("elihu.engines.postgres").joinpath("sql").iterdir()
    if file.name.endswith(".sql")
}
_TABLE = re.compile(r"\belihu\.[a-z_]+")
_LOCK = re.compile(r"\bFOR (NO KEY )?UPDATE\b")


@pytest.mark.parametrize(
    "name", sorted(name for name in STATEMENTS if _LOCK.search(STATEMENTS[name]))
)
def test_a_locked_row_is_chosen_by_its_own_columns(name: str) -> None:
    """PostgreSQL checks a locked row that changed meanwhile again, but reads every other
    table as of the beginning of the statement. So a query that locks names one table. What
    another table says is fixed before, in an ARRAY.
    """
    text = re.sub(r"--.*", "", STATEMENTS[name])
    for match in _LOCK.finditer(text):
        query = _without_arrays(_query_around(text, match.start()))
        assert len(_TABLE.findall(query)) == 1, query


def test_the_check_of_statements_finds_a_second_table() -> None:
    bad = (
        "WITH a AS (SELECT id FROM elihu.job j WHERE NOT EXISTS (SELECT FROM elihu.node n WHERE "
        "n.id = j.node) FOR UPDATE SKIP LOCKED) SELECT 1"
    )
    query = _query_around(bad, bad.index("FOR UPDATE"))
    assert _TABLE.findall(_without_arrays(query)) == ["elihu.job", "elihu.node"]
    good = "SELECT id FROM elihu.job WHERE node = ANY(ARRAY(SELECT id FROM elihu.node)) FOR UPDATE"
    assert _TABLE.findall(_without_arrays(good)) == ["elihu.job"]


def _query_around(text: str, place: int) -> str:
    """The text inside the innermost parentheses around a place."""
    depth, start = 0, place
    while start > 0 and depth >= 0:
        start -= 1
        depth += {")": 1, "(": -1}.get(text[start], 0)
    end = _closing(text, place)
    return text[start + (depth < 0) : end]


def _closing(text: str, place: int) -> int:
    """The place of the parenthesis that closes what is open at a place."""
    depth = 0
    for at in range(place, len(text)):
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        if depth < 0:
            return at
    return len(text)


def _without_arrays(query: str) -> str:
    while (start := query.find("ARRAY(")) >= 0:
        query = query[:start] + query[_closing(query, start + len("ARRAY(")) + 1 :]
    return query
