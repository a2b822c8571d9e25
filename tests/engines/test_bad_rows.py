"""Rows written by SQL: what no reader could read is refused, and no row stops another."""

import sqlite3
from datetime import UTC, datetime

import asyncpg
import pytest

from elihu.engines.protocol import Engine
from elihu.errors import DataRefused
from tests.engines.builders import ANY, fetch, job, new, node, put
from tests.engines.raw import Raw

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
    assert len(await engine.find(ANY, None, 10)) == 4


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
    assert [found.id for found in await engine.find(ANY, None, 10)] == [good, bad]
    assert (await job(engine, bad)).id == bad
