"""What is said of queues: to every node, and to one."""

from uuid import uuid4

from elihu.engines.base import Engine, QueueLoad, QueueRule
from tests.engines.making import fetch, new, node, put
from tests.engines.raw import Raw


async def test_what_is_said_to_every_node_adds_up(engine: Engine) -> None:
    assert await engine.queue_rules() == []
    assert await engine.set_queue(QueueRule("mail", paused=True))
    assert await engine.queue_rules() == [QueueRule("mail", None, None, None, True)]
    assert await engine.set_queue(QueueRule("mail", limit=3))
    assert await engine.set_queue(QueueRule("mail", served=True))
    assert await engine.set_queue(QueueRule("ä", served=False))
    assert await engine.queue_rules() == [QueueRule("mail", None, True, 3, True), QueueRule("ä", None, False, None, False)]
    assert await engine.set_queue(QueueRule("mail", served=False, paused=False))
    assert (await engine.queue_rules())[0] == QueueRule("mail", None, False, 3, False)


async def test_what_is_said_to_one_node_is_for_it_alone(engine: Engine, other: Engine) -> None:
    here, there = await node(engine), await node(other)
    assert await engine.set_queue(QueueRule("mail", here, paused=True))
    assert await engine.set_queue(QueueRule("mail", here, limit=7))
    assert await other.queue_rules(here) == [QueueRule("mail", here, None, 7, True)]
    assert await engine.queue_rules(there) == []
    assert await engine.set_queue(QueueRule("mail", served=True, limit=2))
    assert await engine.queue_rules(there) == [QueueRule("mail", None, True, 2, False)]


async def test_the_last_word_counts(engine: Engine) -> None:
    """Said to every node, it ends what was said of the same to single nodes, and nothing else."""
    here = await node(engine)
    await engine.set_queue(QueueRule("mail", here, served=True, limit=7, paused=True))
    await engine.set_queue(QueueRule("other", here, limit=1))
    await engine.set_queue(QueueRule("mail", limit=2))
    assert QueueRule("mail", here, True, None, True) in await engine.queue_rules(here)
    await engine.set_queue(QueueRule("mail", paused=False))
    assert QueueRule("mail", here, True, None, None) in await engine.queue_rules(here)
    await engine.set_queue(QueueRule("mail", served=False))
    assert await engine.queue_rules(here) == [
        QueueRule("mail", None, False, 2, False),
        QueueRule("mail", here, None, None, None),
        QueueRule("other", here, None, 1, None),
    ]


async def test_it_is_gone_with_the_node(engine: Engine, raw: Raw) -> None:
    retired, buried = await node(engine), await node(engine)
    for each in (retired, buried):
        await engine.set_queue(QueueRule("mail", each, paused=True))
    await engine.retire(retired)
    assert await engine.queue_rules() == [QueueRule("mail", buried, None, None, True)]
    await raw.execute(f"DELETE FROM node WHERE id = '{buried}'")
    assert await engine.queue_rules() == []


async def test_a_node_that_is_no_more_hears_nothing(engine: Engine) -> None:
    assert not await engine.set_queue(QueueRule("mail", str(uuid4()), paused=True))
    assert await engine.queue_rules() == []


async def test_loads(engine: Engine) -> None:
    here, there = await node(engine), await node(engine)
    await put(engine, *(new(queue="mail") for _ in range(6)), new(queue="other"), new(queue="mail", delay=60))
    await fetch(engine, here, 2, "mail")
    await fetch(engine, there, 1, "mail")
    await fetch(engine, here, 1, "other")
    assert sorted(await engine.queue_loads(), key=str) == sorted(
        [QueueLoad("mail", None, 3), QueueLoad("mail", here, 2), QueueLoad("mail", there, 1), QueueLoad("other", here, 1)], key=str
    )
