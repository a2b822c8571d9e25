"""Nodes: who there is, who lives, and that only the dead are buried."""

from uuid import uuid4

import pytest

from elihu.engines.base import Engine, Peer
from tests.engines.conftest import Opener
from tests.engines.making import fetch, new, node, put


async def test_a_node_is_enlisted_and_retires(engine: Engine) -> None:
    id_ = str(uuid4())
    await engine.enlist(id_, "host-ß", {"queues": {"default": 10}, "pid": 7})
    (row,) = await engine.nodes()
    assert (row.id, row.name, row.info, row.running, row.leader) == (id_, "host-ß", {"queues": {"default": 10}, "pid": 7}, 0, False)
    assert (row.beat_at is None) is (engine.name == "sqlite")
    assert row.started_at.tzinfo is not None
    await engine.retire(id_)
    assert await engine.nodes() == []
    await engine.retire(id_)


async def test_a_node_says_something_else_of_itself(engine: Engine) -> None:
    node, other = str(uuid4()), str(uuid4())
    for each in (node, other):
        await engine.enlist(each, "one", {"queues": {"default": 10}})
    await engine.describe(node, {"queues": {}})
    assert {row.id: row.info for row in await engine.nodes()} == {node: {"queues": {}}, other: {"queues": {"default": 10}}}


async def test_how_many_jobs_each_executes(engine: Engine) -> None:
    busy, idle = await node(engine), await node(engine)
    await put(engine, *(new() for _ in range(5)))
    await fetch(engine, busy, 3)
    assert {row.id: row.running for row in await engine.nodes()} == {busy: 3, idle: 0}


async def test_the_heartbeat_knows_its_own_row_and_the_others(engine: Engine, other: Engine) -> None:
    first, second = await node(engine), await node(other)
    pulse = await engine.beat(first)
    assert (pulse.known, [peer.id for peer in pulse.peers], [peer.dead for peer in pulse.peers]) == (True, [second], [False])
    await engine.retire(first)
    pulse = await engine.beat(first)
    assert (pulse.known, [peer.id for peer in pulse.peers]) == (False, [second])
    assert await other.peers(second) == []


async def test_looking_is_not_beating(engine: Engine, other: Engine) -> None:
    first, second = await node(engine), await node(other)
    before = await other.peers(second)
    assert await other.peers(second) == before
    await engine.peers(first)
    assert await other.peers(second) == before
    await engine.beat(first)
    (peer,) = await other.peers(second)
    if engine.name == "postgres":
        assert (peer.beat or 0) > (before[0].beat or 0)
    else:
        assert peer == Peer(first, None, False)


async def test_the_living_are_not_buried(engine: Engine, other: Engine) -> None:
    """PostgreSQL: the beat moved since it was seen. SQLite: the lock is held, by another engine or by this one."""
    first, second = await node(engine), await node(other)
    (seen,) = await other.peers(second)
    await engine.beat(first)
    assert not await other.bury(first, seen.beat)
    assert (await engine.beat(first)).known
    if engine.name == "sqlite":
        assert not await engine.bury(first, None)


async def test_the_dead_are_buried_once(engine: Engine, opened: Opener) -> None:
    dying = await opened()
    gone, here = await node(dying), await node(engine)
    await put(engine)
    await fetch(dying, gone)
    await dying.close()
    (peer,) = await engine.peers(here)
    assert (peer.id, peer.dead) == (gone, engine.name == "sqlite")
    assert await engine.bury(gone, peer.beat)
    assert not await engine.bury(gone, peer.beat)
    assert await engine.peers(here) == []
    assert len(await engine.rescue(10)) == 1


async def test_a_node_that_was_buried_learns_it(engine: Engine, other: Engine) -> None:
    first, second = await node(engine), await node(other)
    await other.retire(first)
    assert not (await engine.beat(first)).known
    assert (await other.beat(second)).known


async def test_nobody_can_bury_a_stranger(engine: Engine) -> None:
    assert not await engine.bury(str(uuid4()), 0)


@pytest.mark.parametrize("number", [12])
async def test_many_nodes_of_many_engines(opened: Opener, engine: Engine, number: int) -> None:
    engines = [await opened() for _ in range(3)]
    ids = [await node(engines[turn % 3]) for turn in range(number)]
    for turn, id_ in enumerate(ids):
        pulse = await engines[turn % 3].beat(id_)
        assert pulse.known
        assert sorted(peer.id for peer in pulse.peers) == sorted(set(ids) - {id_})
        assert not any(peer.dead for peer in pulse.peers)
