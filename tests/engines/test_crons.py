"""Cron entries: what the code declares and what is changed at run time, and that each
tick is stored exactly once.
"""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from elihu.engines.protocol import Engine
from elihu.engines.protocol.crons import CronDeclaration, CronRow
from elihu.errors import DataRefused
from elihu.job import JobState
from tests.engines.builders import ANY, job, new, node
from tests.engines.conftest import Opener
from tests.engines.raw import Raw

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


async def declare(
    engine: Engine, name: str = "c", cron: str = "* * * * *", **values: object
) -> None:
    text = json.dumps({"cron": cron, "tz": "UTC", **values})
    await engine.declare_crons([CronDeclaration(name, text, text)])


async def row(engine: Engine, name: str = "c") -> CronRow:
    (found,) = (await engine.crons([name])).rows
    return found


async def settled_at(raw: Raw, moment: datetime, name: str = "c") -> None:
    """Move what the entry is settled up to."""
    value = moment if raw.url.startswith("postgres") else moment.timestamp()
    await raw.execute("UPDATE cron SET last_tick = %s WHERE name = %s", value, name)


async def test_the_clock_comes_back_without_entries(engine: Engine) -> None:
    table = await engine.crons()
    assert (table.rows, table.booted_at) == ([], None)
    assert abs((table.now - datetime.now(UTC)).total_seconds()) < 60


async def test_what_code_declares(engine: Engine) -> None:
    await engine.declare_crons(
        [
            CronDeclaration("b", '{"cron":"@daily","tz":"UTC"}', "1"),
            CronDeclaration("a", '{"cron":"@hourly","tz":"UTC"}', "2"),
        ]
    )
    table = await engine.crons()
    assert [
        (each.name, each.paused, each.rev, each.live, json.loads(each.changes))
        for each in table.rows
    ] == [
        ("a", False, 0, False, {}),
        ("b", False, 0, False, {}),
    ]
    assert json.loads(table.rows[0].declared or "") == {"cron": "@hourly", "tz": "UTC"}
    assert table.now - table.rows[0].last_tick < timedelta(minutes=1)
    assert [each.name for each in (await engine.crons(["b", "none"])).rows] == ["b"]


async def test_declared_again_it_stays_as_it_is(engine: Engine, raw: Raw) -> None:
    await declare(engine)
    await settled_at(raw, NOON)
    before = await row(engine)
    await declare(engine)
    assert await row(engine) == before


async def test_a_declaration_with_other_times_begins_again(engine: Engine, raw: Raw) -> None:
    await declare(engine)
    await settled_at(raw, NOON)
    await declare(engine, priority=3)
    assert ((await row(engine)).last_tick, (await row(engine)).rev) == (NOON, 1)
    await declare(engine, "c", "@daily", priority=3)
    assert (await row(engine)).last_tick > NOON


async def test_a_declaration_under_a_change_at_run_time_changes_no_times(
    engine: Engine, raw: Raw
) -> None:
    await declare(engine)
    await engine.change_cron("c", 0, '{"cron":"@weekly"}', paused=False, anew=True)
    await settled_at(raw, NOON)
    await declare(engine, "c", "@daily")
    found = await row(engine)
    assert (found.last_tick, json.loads(found.changes)) == (NOON, {"cron": "@weekly"})


async def test_an_entry_lives_while_a_node_declares_it(engine: Engine, other: Engine) -> None:
    await declare(engine)
    await declare(engine, "d")
    await engine.register_node(
        first := "00000000-0000-0000-0000-000000000001", "first", {"crons": {"c": "1"}}
    )
    await other.register_node("00000000-0000-0000-0000-000000000002", "second", {"crons": {}})
    await other.register_node("00000000-0000-0000-0000-000000000003", "third", {})
    assert [each.live for each in (await engine.crons()).rows] == [True, False]
    await engine.deregister_node(first)
    assert [each.live for each in (await engine.crons()).rows] == [False, False]


async def test_entries_made_at_run_time(engine: Engine) -> None:
    assert await engine.create_cron("r", '{"cron":"@daily"}', False)
    assert not await engine.create_cron("r", "{}", True)
    found = await row(engine, "r")
    assert (found.declared, json.loads(found.changes), found.paused) == (
        None,
        {"cron": "@daily"},
        False,
    )


async def test_changes_are_laid_over_one_another_and_guarded_by_the_revision(
    engine: Engine, raw: Raw
) -> None:
    await declare(engine)
    await settled_at(raw, NOON)
    assert await engine.change_cron(
        "c", 0, '{"priority":1,"tags":["a","b"]}', paused=False, anew=False
    )
    assert await engine.change_cron("c", 1, '{"queue":"q","tags":["c"]}', paused=True, anew=False)
    assert not await engine.change_cron("c", 1, '{"queue":"late"}', paused=False, anew=True)
    found = await row(engine)
    assert json.loads(found.changes) == {"priority": 1, "queue": "q", "tags": ["c"]}
    assert (found.paused, found.last_tick, found.rev) == (True, NOON, 2)
    assert await engine.change_cron("c", 2, None, paused=False, anew=True)
    found = await row(engine)
    assert (json.loads(found.changes), found.paused) == ({}, False)
    assert found.last_tick > NOON


async def test_removal_takes_the_ticks_along(engine: Engine, raw: Raw) -> None:
    await engine.create_cron("r", "{}", False)
    await settled_at(raw, NOON, "r")
    await engine.fire_cron(
        await row(engine, "r"), [(NOON + timedelta(hours=1), new())], NOON + timedelta(hours=1)
    )
    assert not await engine.delete_cron("r", 7)
    assert await engine.delete_cron("r", 0)
    assert not await engine.delete_cron("r", 0)
    assert await raw.number("SELECT count(*) FROM cron_tick") == 0


async def test_a_tick_stores_its_job_and_settles_the_entry(engine: Engine, raw: Raw) -> None:
    await declare(engine)
    await settled_at(raw, NOON)
    one, two = NOON + timedelta(minutes=1), NOON + timedelta(minutes=2)
    fired = await engine.fire_cron(
        await row(engine),
        [(one, new(queue="q", args='{"a":1}', tags=("x",))), (two, new(queue="q"))],
        two,
    )
    assert fired is not None
    assert [(each.at, each.conflict) for each in fired] == [(one, False), (two, False)]
    first = await job(engine, fired[0].id)
    assert first.state is JobState.AVAILABLE
    assert (first.scheduled_at, first.queue, first.args, first.tags) == (one, "q", {"a": 1}, ("x",))
    found = await row(engine)
    assert (found.last_tick, found.fired_at, found.job_id) == (two, two, fired[1].id)
    assert await raw.number("SELECT count(*) FROM cron_tick") == 2


async def test_what_was_read_before_fires_nothing(engine: Engine, other: Engine) -> None:
    await declare(engine)
    stale = await row(engine)
    until = stale.last_tick + timedelta(minutes=1)
    assert await engine.fire_cron(stale, [(until, new())], until)
    assert await other.fire_cron(stale, [(until, new())], until) is None
    await engine.change_cron("c", 0, '{"priority":1}', paused=False, anew=False)
    assert (
        await engine.fire_cron(
            stale._replace(last_tick=until),
            [(until + timedelta(minutes=1), new())],
            until + timedelta(minutes=1),
        )
        is None
    )
    await engine.change_cron("c", 1, "{}", paused=True, anew=False)
    assert (
        await engine.fire_cron(
            await row(engine), [(until + timedelta(minutes=1), new())], until + timedelta(minutes=1)
        )
        is None
    )
    assert await engine.count(ANY) == 1


async def test_many_leaders_at_once_fire_each_tick_once(
    opened: Opener, engine: Engine, raw: Raw
) -> None:
    engines = [engine, *[await opened() for _ in range(3)]]
    await declare(engine)
    for minute in range(1, 6):
        seen = await row(engine)
        until = seen.last_tick + timedelta(minutes=minute)
        outcomes = await asyncio.gather(
            *(each.fire_cron(seen, [(until, new())], until) for each in engines for _ in range(2))
        )
        assert sorted(outcome is None for outcome in outcomes) == [False] + [True] * 7
    assert await engine.count(ANY) == await raw.number("SELECT count(*) FROM cron_tick") == 5


async def test_a_tick_that_was_fired_is_left_out_though_the_entry_was_set_back(
    engine: Engine, raw: Raw
) -> None:
    await declare(engine)
    await settled_at(raw, NOON)
    one, two = NOON + timedelta(minutes=1), NOON + timedelta(minutes=2)
    await engine.fire_cron(await row(engine), [(one, new())], one)
    await settled_at(raw, NOON)
    fired = await engine.fire_cron(await row(engine), [(one, new()), (two, new())], two)
    assert fired is not None
    assert len(fired) == 1
    assert (await row(engine)).last_tick == two


async def test_pruning_ticks_doubles_none(engine: Engine, raw: Raw) -> None:
    await declare(engine)
    stale = await row(engine)
    until = stale.last_tick + timedelta(minutes=1)
    for minute in range(1, 4):
        moment = stale.last_tick + timedelta(minutes=minute)
        await engine.fire_cron(await row(engine), [(moment, new())], moment)
    assert await engine.prune_ticks(3_600, 100) == 0
    await raw.execute(f"UPDATE cron_tick SET inserted_at = {raw.moment(7_200)}")
    assert [await engine.prune_ticks(3_600, 2) for _ in range(3)] == [2, 1, 0]
    assert await engine.fire_cron(stale, [(until, new())], until) is None
    assert await engine.count(ANY) == 3


async def test_a_job_that_the_database_refuses_leaves_the_tick_to_be_fired(
    engine: Engine, raw: Raw
) -> None:
    await declare(engine)
    before = await row(engine)
    until = before.last_tick + timedelta(minutes=1)
    with pytest.raises(DataRefused):
        await engine.fire_cron(
            before,
            [(until, new()), (until + timedelta(minutes=1), new(priority=99))],
            until + timedelta(minutes=1),
        )
    assert await row(engine) == before
    assert await raw.number("SELECT count(*) FROM cron_tick") == await engine.count(ANY) == 0


async def test_a_unique_job_that_is_there_is_the_ticks_job(engine: Engine) -> None:
    await declare(engine)
    unique = new(unique_key=b"k" * 32, unique_scope=0)
    (holder,) = await engine.insert([unique])
    before = await row(engine)
    until = before.last_tick + timedelta(minutes=1)
    fired = await engine.fire_cron(before, [(until, unique)], until)
    assert fired is not None
    assert [(each.id, each.conflict) for each in fired] == [(holder.id, True)]
    assert (await row(engine)).job_id == holder.id


async def test_a_first_node_is_one_that_starts_where_none_lives(
    engine: Engine, opened: Opener, raw: Raw
) -> None:
    first = await node(engine)
    booted = (await engine.crons()).booted_at
    assert booted is not None
    second = await node(await opened())
    await engine.deregister_node(first)
    third = await node(engine)
    await engine.deregister_node(second)
    assert (await engine.crons()).booted_at == booted
    await engine.deregister_node(third)
    await node(engine)
    again = (await engine.crons()).booted_at
    assert again is not None
    assert again > booted


async def test_a_node_that_died_without_a_word_does_not_count(
    engine: Engine, opened: Opener, raw: Raw
) -> None:
    dying = await opened()
    await node(dying)
    booted = (await engine.crons()).booted_at
    await dying.close()
    if engine.name == "postgres":
        await raw.execute("UPDATE node SET beat_at = now() - interval '1 hour'")
    await node(engine)
    assert booted != (await engine.crons()).booted_at


async def test_of_nodes_that_start_at_once_one_is_the_first(opened: Opener, engine: Engine) -> None:
    engines = [engine, *[await opened() for _ in range(4)]]
    booted: set[datetime | None] = set()

    async def start(each: Engine) -> None:
        await node(each)
        booted.add((await each.crons()).booted_at)

    await asyncio.gather(*map(start, engines))
    assert len(booted) == 1


async def test_a_first_node_is_later_than_what_was_declared_before_it(engine: Engine) -> None:
    for number in range(5):
        await declare(engine, f"c{number}")
        id_ = await node(engine)
        table = await engine.crons()
        assert table.booted_at is not None
        assert all(each.last_tick < table.booted_at for each in table.rows)
        await engine.deregister_node(id_)
