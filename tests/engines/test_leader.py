"""Leadership: one at a time, kept by its holder, passed on at once when it resigns."""

import pytest

from elihu.engines.protocol import Engine
from tests.engines.builders import node
from tests.engines.conftest import Opener
from tests.engines.raw import Raw


async def test_the_leader_keeps_its_lease(engine: Engine, other: Engine) -> None:
    first, second = await node(engine), await node(other)
    assert await engine.lead(first, 10)
    assert not await other.lead(second, 10)
    assert await engine.lead(first, 10)
    assert not await other.lead(second, 10)


async def test_nodes_of_one_engine_compete_too(engine: Engine) -> None:
    first, second = await node(engine), await node(engine)
    assert await engine.lead(first, 10)
    assert not await engine.lead(second, 10)
    assert not await engine.resign(second)
    assert await engine.resign(first)
    assert await engine.lead(second, 10)


async def test_who_resigns_is_followed_at_once(engine: Engine, other: Engine) -> None:
    first, second = await node(engine), await node(other)
    await engine.lead(first, 10)
    assert await engine.resign(first)
    assert not await engine.resign(first)
    assert await other.lead(second, 10)
    assert not await engine.lead(first, 10)


async def test_a_lease_far_in_the_future_ends_with_the_row_of_its_holder(
    engine: Engine, other: Engine
) -> None:
    """The database's clock was ahead when the holder renewed it."""
    first, second = await node(engine), await node(other)
    assert await engine.lead(first, 360_000)
    assert not await other.lead(second, 10)
    await engine.deregister_node(first)
    if engine.name == "sqlite":
        await engine.resign(first)
    assert await other.lead(second, 10)


async def test_only_the_holder_resigns(engine: Engine, other: Engine) -> None:
    first, second = await node(engine), await node(other)
    await engine.lead(first, 10)
    assert not await other.resign(second)
    assert not await other.lead(second, 10)
    assert [row.leader for row in await other.nodes() if row.id == first] == [True]


async def test_the_table_of_nodes_shows_the_leader(engine: Engine, other: Engine) -> None:
    first, second = await node(engine), await node(other)
    assert not any(row.leader for row in await engine.nodes())
    await other.lead(second, 10)
    assert {row.id: row.leader for row in await engine.nodes()} == {first: False, second: True}
    await other.resign(second)
    assert not any(row.leader for row in await engine.nodes())


async def test_a_leader_that_goes_without_a_word_is_followed(
    engine: Engine, opened: Opener, raw: Raw
) -> None:
    """SQLite: the lock goes with its holder. PostgreSQL: the lease ends."""
    leaving = await opened()
    first, second = await node(leaving), await node(engine)
    await leaving.lead(first, 10)
    await leaving.close()
    if engine.name == "postgres":
        assert not await engine.lead(second, 10)
        await raw.execute("UPDATE leader SET expires_at = now() - interval '1 ms'")
    assert await engine.lead(second, 10)


async def test_the_heartbeat_tells_when_the_lease_ends(
    engine: Engine, other: Engine, raw: Raw
) -> None:
    first, second = await node(engine), await node(other)
    assert (await other.heartbeat(second)).lease_ends_in is None
    await engine.lead(first, 10)
    if engine.name == "sqlite":
        assert (await other.heartbeat(second)).lease_ends_in is None
        return
    assert (await other.heartbeat(second)).lease_ends_in == pytest.approx(10, abs=2)
    await engine.lead(first, 100)
    assert (await other.heartbeat(second)).lease_ends_in == pytest.approx(100, abs=2)
    await raw.execute("UPDATE leader SET expires_at = now() - interval '60 s'")
    assert (await other.heartbeat(second)).lease_ends_in == 0


async def test_a_heartbeat_renews_the_lease_of_the_leader_alone(
    engine: Engine, other: Engine, raw: Raw
) -> None:
    first, second = await node(engine), await node(other)
    assert (await engine.heartbeat(first)).leads is None
    await engine.lead(first, 10)
    assert (await engine.heartbeat(first, lease=100)).leads is True
    assert (await other.heartbeat(second, lease=100)).leads is False
    if engine.name == "postgres":
        assert (await other.heartbeat(second)).lease_ends_in == pytest.approx(100, abs=2)
    await engine.deregister_node(first)
    assert not (await engine.heartbeat(first, lease=100)).leads, (
        "a node without a row leads nothing"
    )


async def test_a_heartbeat_does_not_wait_for_the_leaders_row(engine: Engine, raw: Raw) -> None:
    if engine.name == "sqlite":
        pytest.skip("there is no row: the leader holds a lock")
    first = await node(engine)
    await engine.lead(first, 10)
    await raw.execute("BEGIN")
    await raw.execute("SELECT 1 FROM leader FOR UPDATE")
    reply = await engine.heartbeat(first, lease=100)
    await raw.execute("COMMIT")
    assert (reply.known, reply.leads) == (True, None)
    assert (await engine.heartbeat(first, lease=100)).leads is True


async def test_an_overdue_leader_may_renew_while_nobody_took_over(
    engine: Engine, other: Engine, raw: Raw
) -> None:
    first, second = await node(engine), await node(other)
    await engine.lead(first, 10)
    if engine.name == "postgres":
        await raw.execute("UPDATE leader SET expires_at = now() - interval '1 s'")
    assert await engine.lead(first, 10)
    assert not await other.lead(second, 10)
