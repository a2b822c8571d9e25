"""Declarations of one cron entry by nodes of different releases."""

import json

import pytest

from elihu.engines.protocol import Engine
from elihu.engines.protocol.crons import CronDeclaration, CronRow
from tests.engines.conftest import Opener
from tests.engines.raw import Raw

OLD_NODE = "00000000-0000-0000-0000-000000000001"
NEW_NODE = "00000000-0000-0000-0000-000000000002"
OLD: dict[str, object] = {"cron": "0 3 * * *", "tz": "UTC", "catch_up": "last", "task": "t"}


def declaration(name: str, values: dict[str, object]) -> CronDeclaration:
    text = json.dumps(values, sort_keys=True)
    return CronDeclaration(name, text, f"digest of {text}")


async def declare(engine: Engine, values: dict[str, object]) -> None:
    await engine.declare_crons([declaration("c", values)])


async def start_node(engine: Engine, node: str, values: dict[str, object]) -> None:
    await declare(engine, values)
    await engine.register_node(
        node, "node", {"crons": {"c": declaration("c", values).digest}, "once": True}
    )


async def stored(engine: Engine) -> dict[str, object]:
    (row,) = (await engine.crons()).rows
    values: dict[str, object] = json.loads(row.declared or "")
    return values


@pytest.mark.parametrize(
    "change",
    [
        {"cron": "0 5 * * *"},
        {"tz": "Europe/Oslo"},
        {"catch_up": "all"},
        {"queue": "slow"},
        {"args": '{"full": true}'},
        {"task": "u"},
        {"priority": 3},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_old_node_does_not_replace_the_declaration_of_a_living_new_node(
    engine: Engine, other: Engine, change: dict[str, object]
) -> None:
    new = OLD | change
    await start_node(engine, OLD_NODE, OLD)
    await start_node(other, NEW_NODE, new)
    await engine.deregister_node(OLD_NODE)
    await start_node(engine, OLD_NODE, OLD)
    assert await stored(engine) == new
    await other.deregister_node(NEW_NODE)
    assert await stored(engine) == new
    await declare(engine, OLD)
    assert await stored(engine) == OLD


async def test_new_declaration_replaces_that_of_living_old_nodes(
    engine: Engine, other: Engine
) -> None:
    new, newest = OLD | {"cron": "0 5 * * *"}, OLD | {"cron": "0 7 * * *"}
    await start_node(engine, OLD_NODE, OLD)
    await declare(other, new)
    assert await stored(engine) == new
    await declare(other, newest)
    assert await stored(engine) == newest
    await engine.deregister_node(OLD_NODE)
    await declare(other, new)
    assert await stored(engine) == new


async def test_restart_of_the_new_release_replaces_the_old_declaration_again(
    engine: Engine, other: Engine
) -> None:
    new = OLD | {"priority": 5}
    await start_node(engine, OLD_NODE, OLD)
    await start_node(other, NEW_NODE, new)
    await other.deregister_node(NEW_NODE)
    await declare(engine, OLD)
    assert await stored(engine) == OLD
    await declare(other, new)
    assert await stored(engine) == new
    await declare(other, new)
    assert await stored(engine) == new


async def test_the_row_of_a_dead_node_holds_no_declaration(
    engine: Engine, opened: Opener, raw: Raw
) -> None:
    new, dying = OLD | {"cron": "0 5 * * *"}, await opened()
    await start_node(engine, OLD_NODE, OLD)
    await start_node(dying, NEW_NODE, new)
    await engine.deregister_node(OLD_NODE)

    async def live() -> bool:
        (row,) = (await engine.crons()).rows
        return row.live

    assert await live()
    await dying.close()
    if engine.name == "postgres":
        await raw.execute(
            "UPDATE node SET beat_at = now() - interval '1 h' WHERE id = %s RETURNING 1", NEW_NODE
        )
    assert not await live()
    assert [node.dead for node in await engine.nodes()] == [True]
    await declare(engine, OLD)
    assert await stored(engine) == OLD


async def test_number_of_known_declarations_is_bounded(engine: Engine, raw: Raw) -> None:
    for number in range(110):
        await declare(engine, OLD | {"priority": number})
    ((digests,),) = await raw.execute("SELECT digests FROM cron WHERE name = 'c'")
    known = json.loads(digests) if isinstance(digests, str) else digests
    assert len(known) == 100
    assert known[-1] == declaration("c", OLD | {"priority": 109}).digest


async def test_declaration_takes_over_an_entry_made_at_run_time(engine: Engine) -> None:
    await engine.create_cron("c", json.dumps(OLD), False)
    await declare(engine, OLD | {"cron": "0 5 * * *"})
    (row,) = (await engine.crons()).rows
    assert json.loads(row.declared or "")["cron"] == "0 5 * * *"
    assert json.loads(row.changes) == OLD


async def test_entry_with_times_at_the_limits_is_listed_and_fires(engine: Engine, raw: Raw) -> None:
    await declare(engine, OLD)
    await engine.declare_crons([declaration("d", OLD)])
    far = ("'9999-12-30Z'", "'0001-01-02Z'")
    if not raw.url.startswith("postgres"):
        far = ("253402128000.0", "-62135510400.0")
    for value in far:
        for column in ("last_tick", "fired_at", "created_at", "updated_at"):
            await raw.execute(f"UPDATE cron SET {column} = {value} WHERE name = 'c' RETURNING 1")
        rows: list[CronRow] = (await engine.crons()).rows
        assert [row.name for row in rows] == ["c", "d"]
        until = (await engine.crons()).now
        assert await engine.fire_cron(rows[0], [], until) == []
        assert (await engine.crons(["c"])).rows[0].last_tick == until
