"""Nodes: who there is, who lives, and that only the dead are buried."""

from datetime import timedelta
from uuid import uuid4

import pytest

from elihu.engines.protocol import Engine, Peer, QueueOverride
from tests.engines.builders import fetch, new, node, put
from tests.engines.conftest import Opener
from tests.engines.raw import Raw


async def test_a_node_is_registered_and_deregistered(engine: Engine) -> None:
    id_ = str(uuid4())
    await engine.register_node(id_, "host-ß", {"queues": {"default": 10}, "pid": 7})
    (row,) = await engine.nodes()
    assert (row.id, row.name, row.info, row.running, row.leader) == (
        id_,
        "host-ß",
        {"queues": {"default": 10}, "pid": 7},
        0,
        False,
    )
    assert (row.beat_at is None) is (engine.name == "sqlite")
    assert row.started_at.tzinfo is not None
    await engine.deregister_node(id_)
    assert await engine.nodes() == []
    await engine.deregister_node(id_)


async def test_a_node_says_something_else_of_itself(engine: Engine) -> None:
    node, other = str(uuid4()), str(uuid4())
    for each in (node, other):
        await engine.register_node(each, "one", {"queues": {"default": 10}})
    await engine.update_node_info(node, {"queues": {}})
    assert {row.id: row.info for row in await engine.nodes()} == {
        node: {"queues": {}},
        other: {"queues": {"default": 10}},
    }


async def test_how_many_jobs_each_executes(engine: Engine) -> None:
    busy, idle = await node(engine), await node(engine)
    await put(engine, *(new() for _ in range(5)))
    await fetch(engine, busy, 3)
    assert {row.id: row.running for row in await engine.nodes()} == {busy: 3, idle: 0}


async def test_the_heartbeat_knows_its_own_row_and_the_others(
    engine: Engine, other: Engine
) -> None:
    first, second = await node(engine), await node(other)
    heartbeat_reply = await engine.heartbeat(first)
    assert (
        heartbeat_reply.known,
        [peer.id for peer in heartbeat_reply.peers],
        [peer.dead for peer in heartbeat_reply.peers],
    ) == (True, [second], [False])
    await engine.deregister_node(first)
    heartbeat_reply = await engine.heartbeat(first)
    assert (heartbeat_reply.known, [peer.id for peer in heartbeat_reply.peers]) == (False, [second])
    assert await other.peers(second) == []


async def test_looking_is_not_beating(engine: Engine, other: Engine) -> None:
    first, second = await node(engine), await node(other)
    before = await other.peers(second)
    assert await other.peers(second) == before
    await engine.peers(first)
    assert await other.peers(second) == before
    await engine.heartbeat(first)
    (peer,) = await other.peers(second)
    if engine.name == "postgres":
        assert (peer.beat or 0) > (before[0].beat or 0)
    else:
        assert peer == Peer(first, None, False)


async def test_living_nodes_are_not_removed(engine: Engine, other: Engine) -> None:
    """PostgreSQL: the beat moved since it was seen. SQLite: the lock is held, by
    another engine or by this one.
    """
    first, second = await node(engine), await node(other)
    (seen,) = await other.peers(second)
    await engine.heartbeat(first)
    assert not await other.remove_dead_node(first, seen.beat)
    assert (await engine.heartbeat(first)).known
    if engine.name == "sqlite":
        assert not await engine.remove_dead_node(first, None)


async def test_a_dead_node_is_removed_once(engine: Engine, opened: Opener) -> None:
    dying = await opened()
    gone, here = await node(dying), await node(engine)
    await put(engine)
    await fetch(dying, gone)
    await dying.close()
    (peer,) = await engine.peers(here)
    assert (peer.id, peer.dead) == (gone, engine.name == "sqlite")
    assert await engine.remove_dead_node(gone, peer.beat)
    assert not await engine.remove_dead_node(gone, peer.beat)
    assert await engine.peers(here) == []
    assert len(await engine.rescue(10)) == 1


async def test_a_dead_node_is_marked_until_its_row_is_removed(
    engine: Engine, opened: Opener, raw: Raw
) -> None:
    dying = await opened()
    dead, here = await node(dying), await node(engine)

    async def marks() -> dict[str, bool]:
        return {row.id: row.dead for row in await engine.nodes()}

    assert await marks() == {dead: False, here: False}
    await dying.close()
    if engine.name == "postgres":
        await raw.execute("UPDATE node SET beat_at = now() - interval '1 h' WHERE id = %s", dead)
    for _ in range(2):
        assert await marks() == {dead: True, here: False}
    assert (await engine.heartbeat(here)).known


async def test_a_removed_node_learns_it(engine: Engine, other: Engine) -> None:
    first, second = await node(engine), await node(other)
    await other.deregister_node(first)
    assert not (await engine.heartbeat(first)).known
    assert (await other.heartbeat(second)).known


async def test_only_the_observed_heartbeat_can_be_removed(engine: Engine) -> None:
    assert not await engine.remove_dead_node(str(uuid4()), 0)


@pytest.mark.parametrize("number", [12])
async def test_many_nodes_of_many_engines(opened: Opener, engine: Engine, number: int) -> None:
    engines = [await opened() for _ in range(3)]
    ids = [await node(engines[turn % 3]) for turn in range(number)]
    for turn, id_ in enumerate(ids):
        heartbeat_reply = await engines[turn % 3].heartbeat(id_)
        assert heartbeat_reply.known
        assert sorted(peer.id for peer in heartbeat_reply.peers) == sorted(set(ids) - {id_})
        assert not any(peer.dead for peer in heartbeat_reply.peers)


async def test_a_node_silent_for_long_is_removed_unwatched(
    engine: Engine, other: Engine, opened: Opener, raw: Raw
) -> None:
    living = await node(engine)
    frozen = await node(other)
    dying = await opened()
    dead = await node(dying)
    await dying.close()
    if engine.name == "postgres":
        await raw.execute(
            f"UPDATE node SET beat_at = now() - interval '21 s' WHERE id IN ('{dead}', '{frozen}')"
        )
        assert sorted(await engine.remove_silent_nodes(20)) == sorted([dead, frozen])
    else:
        assert await engine.remove_silent_nodes(20) == [dead]
        assert (await other.heartbeat(frozen)).known
    assert living in {row.id for row in await engine.nodes()}
    assert await engine.remove_silent_nodes(20) == []


async def test_a_node_of_a_single_round_is_no_first_node_and_hides_none(engine: Engine) -> None:
    async def booted() -> object:
        return (await engine.crons()).booted_at

    await engine.register_node(str(uuid4()), "round", {"once": True})
    assert await booted() is None
    await engine.register_node(str(uuid4()), "first", {})
    first = await booted()
    assert first is not None
    await engine.register_node(str(uuid4()), "second", {})
    assert await booted() == first


async def test_the_digest_of_overrides_changes_with_those_that_apply(engine: Engine) -> None:
    first, second = await node(engine), await node(engine)

    async def digest() -> str:
        return (await engine.heartbeat(first)).overrides

    before = await digest()
    assert await digest() == before
    await engine.set_queue(QueueOverride("mail", second, limit=3))
    assert await digest() == before, "of another node"
    await engine.set_queue(QueueOverride("mail", first, limit=3))
    own = await digest()
    await engine.set_queue(QueueOverride("mail", paused=True))
    assert len({before, own, await digest()}) == 3


async def test_a_leaders_digest_changes_with_cron_entries_and_nodes(
    engine: Engine, other: Engine
) -> None:
    first = await node(engine)

    async def digest() -> str | None:
        return (await engine.heartbeat(first, lease=10)).crons

    assert (await engine.heartbeat(first)).crons is None
    digests = [await digest()]
    assert await digest() == digests[0]
    await engine.create_cron("c", "{}", False)
    digests.append(await digest())
    assert await digest() == digests[1]
    (row,) = (await engine.crons()).rows
    await engine.fire_cron(row, [], row.last_tick + timedelta(seconds=1))
    digests.append(await digest())
    await engine.change_cron("c", row.rev, None, paused=True, anew=False)
    digests.append(await digest())
    await node(other)
    digests.append(await digest())
    assert len({*digests}) == 5


async def test_a_heartbeat_reads_the_databases_time(engine: Engine) -> None:
    reply = await engine.heartbeat(await node(engine))
    assert reply.now == pytest.approx((await engine.crons()).now.timestamp(), abs=60)
