"""What is said of queues: to every node, and to one."""

from uuid import uuid4

from elihu.engines.protocol import Engine, QueueLoad, QueueOverride
from tests.engines.builders import fetch, new, node, put
from tests.engines.raw import Raw


async def test_what_is_said_to_every_node_adds_up(engine: Engine) -> None:
    assert await engine.queue_overrides() == []
    assert await engine.set_queue(QueueOverride("mail", paused=True))
    assert await engine.queue_overrides() == [QueueOverride("mail", None, None, None, True)]
    assert await engine.set_queue(QueueOverride("mail", limit=3))
    assert await engine.set_queue(QueueOverride("mail", served=True))
    assert await engine.set_queue(QueueOverride("ä", served=False))
    assert await engine.queue_overrides() == [
        QueueOverride("mail", None, True, 3, True),
        QueueOverride("ä", None, False, None, False),
    ]
    assert await engine.set_queue(QueueOverride("mail", served=False, paused=False))
    assert (await engine.queue_overrides())[0] == QueueOverride("mail", None, False, 3, False)


async def test_what_is_said_to_one_node_is_for_it_alone(engine: Engine, other: Engine) -> None:
    here, there = await node(engine), await node(other)
    assert await engine.set_queue(QueueOverride("mail", here, paused=True))
    assert await engine.set_queue(QueueOverride("mail", here, limit=7))
    assert await other.queue_overrides(here) == [QueueOverride("mail", here, None, 7, True)]
    assert await engine.queue_overrides(there) == []
    assert await engine.set_queue(QueueOverride("mail", served=True, limit=2))
    assert await engine.queue_overrides(there) == [QueueOverride("mail", None, True, 2, False)]


async def test_the_last_word_counts(engine: Engine) -> None:
    """Said to every node, it ends what was said of the same to single nodes, and
    nothing else.
    """
    here = await node(engine)
    await engine.set_queue(QueueOverride("mail", here, served=True, limit=7, paused=True))
    await engine.set_queue(QueueOverride("other", here, limit=1))
    await engine.set_queue(QueueOverride("mail", limit=2))
    assert QueueOverride("mail", here, True, None, True) in await engine.queue_overrides(here)
    await engine.set_queue(QueueOverride("mail", paused=False))
    assert QueueOverride("mail", here, True, None, None) in await engine.queue_overrides(here)
    await engine.set_queue(QueueOverride("mail", served=False))
    assert await engine.queue_overrides(here) == [
        QueueOverride("mail", None, False, 2, False),
        QueueOverride("mail", here, None, None, None),
        QueueOverride("other", here, None, 1, None),
    ]


async def test_it_is_gone_with_the_node(engine: Engine, raw: Raw) -> None:
    retired, removed = await node(engine), await node(engine)
    for each in (retired, removed):
        await engine.set_queue(QueueOverride("mail", each, paused=True))
    await engine.deregister_node(retired)
    assert await engine.queue_overrides() == [QueueOverride("mail", removed, None, None, True)]
    await raw.execute(f"DELETE FROM node WHERE id = '{removed}'")
    assert await engine.queue_overrides() == []


async def test_a_removed_node_gets_no_override(engine: Engine) -> None:
    assert not await engine.set_queue(QueueOverride("mail", str(uuid4()), paused=True))
    assert await engine.queue_overrides() == []


async def test_loads(engine: Engine) -> None:
    here, there = await node(engine), await node(engine)
    await put(
        engine,
        *(new(queue="mail") for _ in range(6)),
        new(queue="other"),
        new(queue="mail", delay=60),
    )
    await fetch(engine, here, 2, "mail")
    await fetch(engine, there, 1, "mail")
    await fetch(engine, here, 1, "other")
    assert sorted(
        (load._replace(longest_wait=None) for load in await engine.queue_loads(1_000)), key=str
    ) == sorted(
        [
            QueueLoad("mail", None, 3),
            QueueLoad("mail", here, 2),
            QueueLoad("mail", there, 1),
            QueueLoad("other", here, 1),
        ],
        key=str,
    )
