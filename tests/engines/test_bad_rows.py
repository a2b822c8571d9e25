"""Rows written by SQL: what no reader could read is refused, and no row stops another."""

import json
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import pytest

from elihu.engines.protocol import Engine
from elihu.errors import DataRefused
from elihu.json_schema import compiled
from tests.engines.builders import ANY, fetch, job, new, node, put
from tests.engines.raw import Raw
from tests.engines.test_templates import KIND

REFUSED = (sqlite3.IntegrityError, asyncpg.CheckViolationError, asyncpg.DatetimeFieldOverflowError)
TIMES = ("inserted_at", "scheduled_at", "expires_at", "started_at", "keep_until", "prune_at")
OUTSIDE = {
    "sqlite": ["1796000000000.0", "-1e12", "9e999", "253402214400.0"],
    "postgres": ["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'9999-12-31'", "'58881-01-01'"],
}


@pytest.mark.parametrize("column", TIMES)
async def test_a_time_outside_of_the_calendar_is_refused(
    engine: Engine, raw: Raw, column: str
) -> None:
    (id_,) = await put(engine, new())
    for value in OUTSIDE[engine.name]:
        with pytest.raises(REFUSED):
            await raw.execute(f"UPDATE job SET {column} = {value} WHERE id = %s", id_)
        with pytest.raises(REFUSED):
            await raw.execute(f"INSERT INTO job (task, {column}) VALUES ('t', {value})")


async def test_the_same_of_runs_and_cron_entries(engine: Engine, raw: Raw) -> None:
    now = raw.moment(0)
    await engine.create_cron("c", "{}", False)
    for value in OUTSIDE[engine.name]:
        with pytest.raises(REFUSED):
            await raw.execute(
                "INSERT INTO run (job_id, claim, attempt, started_at, ended_at, outcome) "
                f"VALUES (1, 1, 1, {value}, {now}, 'failed')"
            )
        with pytest.raises(REFUSED):
            await raw.execute(f"UPDATE cron SET last_tick = {value}")


async def test_a_time_that_leaves_the_calendar_later_is_refused_at_enqueue(engine: Engine) -> None:
    for late in (
        new(run_at=datetime(9999, 12, 31, tzinfo=UTC)),
        new(run_at=datetime(9999, 12, 29, tzinfo=UTC), expires=86_400.0 * 30),
        new(delay=1e12),
    ):
        with pytest.raises(DataRefused):
            await engine.insert([late])
    await put(engine, new())


@pytest.mark.parametrize("column", ["attempt", "claim"])
async def test_a_counter_at_its_limit_stops_no_neighbour(
    engine: Engine, raw: Raw, column: str
) -> None:
    here = await node(engine)
    bad, *good = await put(engine, *(new() for _ in range(4)))
    with pytest.raises(REFUSED):
        await raw.put(bad, **{column: 2_000_000_001})
    await raw.put(bad, **{column: 2_000_000_000})
    assert [claim.id for claim in await fetch(engine, here)] == good
    assert await fetch(engine, here) == []
    assert len((await engine.find(ANY, None, 10)).items) == 4


@pytest.mark.parametrize(
    "text",
    ["[" * 990 + "]" * 990, '{"a": ' + "9" * 5_000 + "}"],
    ids=["nested", "digits"],
)
async def test_a_listing_shows_json_that_python_cannot_read(
    engine: Engine, raw: Raw, text: str
) -> None:
    bad, good = await put(engine, new(), new())
    await raw.put(bad, args=text, meta=text)
    assert [found.id for found in (await engine.find(ANY, None, 10)).items] == [good, bad]
    assert (await job(engine, bad)).id == bad


async def test_a_time_of_nodes_and_templates_outside_of_the_calendar_is_refused(
    engine: Engine, raw: Raw
) -> None:
    await node(engine)
    await engine.add_template(KIND, "1")
    columns = {
        "node": ["started_at", *(["beat_at"] if engine.name == "postgres" else [])],
        "template": ["inserted_at", "updated_at"],
    }
    for table, names in columns.items():
        for column in names:
            for value in OUTSIDE[engine.name]:
                with pytest.raises(REFUSED):
                    await raw.execute(f"UPDATE {table} SET {column} = {value}")


UNREADABLE = ["[" * 990 + "]" * 990, '{"a": ' + "9" * 5_000 + "}", "[]", "7", "null", '"text"']
UNREADABLE_IDS = ["nested", "digits", "array", "number", "null", "text"]


@pytest.mark.parametrize("text", UNREADABLE, ids=UNREADABLE_IDS)
async def test_the_list_of_nodes_shows_one_whose_info_cannot_be_read(
    engine: Engine, raw: Raw, text: str
) -> None:
    bad = await node(engine)
    good = str(uuid4())
    await engine.register_node(good, "good", {"queues": {"default": 3}})
    await engine.create_cron("c", "{}", False)
    await raw.execute("UPDATE node SET info = %s WHERE id = %s", text, bad)
    found = {row.id: row.info for row in await engine.nodes()}
    assert found == {bad: {}, good: {"queues": {"default": 3}}}
    assert [row.name for row in (await engine.crons(None)).rows] == ["c"]


@pytest.mark.parametrize("text", UNREADABLE, ids=UNREADABLE_IDS)
async def test_the_list_of_templates_shows_one_whose_schema_cannot_be_read(
    engine: Engine, raw: Raw, text: str
) -> None:
    await engine.add_template(replace(KIND, code="bad"), "1")
    await engine.add_template(replace(KIND, code="good"), "2")
    await raw.execute("UPDATE template SET schema = %s WHERE code = 'bad'", text)
    bad, good = await engine.find_templates(None, None, 10)
    assert (bad.code, good.code) == ("bad", "good")
    assert good.schema == json.loads(KIND.schema)
    assert compiled(json.dumps(bad.schema)).problems({}, 2)
    assert await engine.template("bad") == bad
