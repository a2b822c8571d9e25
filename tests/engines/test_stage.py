"""Stage: due jobs become available, oldest first, and the queues that have some are
named.
"""

import asyncio

from elihu.engines.protocol import Engine
from elihu.job import JobFilter, JobState
from tests.engines.builders import acknowledge, failed, fetch, new, node, only, put, states
from tests.engines.raw import Ago, Raw


async def due(engine: Engine, raw: Raw, *seconds_ago: float, queue: str = "default") -> list[int]:
    """Scheduled jobs, due so many seconds ago."""
    ids = await put(engine, *(new(delay=3_600, queue=queue) for _ in seconds_ago))
    for id_, seconds in zip(ids, seconds_ago, strict=True):
        await raw.put(id_, scheduled_at=Ago(seconds))
    return ids


async def test_nothing_to_stage(engine: Engine) -> None:
    assert (await engine.stage(100)).queues == {}


async def test_only_what_is_due(engine: Engine, raw: Raw) -> None:
    past, now, future = await due(engine, raw, 60, 0, -60)
    (held,) = await put(engine, new(hold=True))
    assert (await engine.stage(100)).queues == {"default": 2}
    assert await states(engine, [past, now, future, held]) == [
        "available",
        "available",
        "scheduled",
        "suspended",
    ]


async def test_a_retryable_job_is_staged(engine: Engine) -> None:
    here = await node(engine)
    await put(engine)
    (claim,) = await fetch(engine, here)
    await acknowledge(engine, here, failed(claim, delay=0.0))
    assert (await engine.stage(100)).queues == {"default": 1}
    (again,) = await fetch(engine, here)
    assert (again.id, again.attempt) == (claim.id, 2)


async def test_oldest_first_and_no_more_than_the_limit(engine: Engine, raw: Raw) -> None:
    ids = await due(engine, raw, 10, 40, 20, 30)
    assert (await engine.stage(2)).queues == {"default": 2}
    assert await states(engine, ids) == ["scheduled", "available", "scheduled", "available"]
    assert (await engine.stage(2)).queues == {"default": 2}
    assert (await engine.stage(2)).queues == {"default": 0}


async def test_the_count_is_of_the_oldest(engine: Engine, raw: Raw) -> None:
    await due(engine, raw, 10, queue="young")
    await due(engine, raw, 30, 40, queue="old")
    assert (await engine.stage(2)).queues == {"old": 2}
    assert (await engine.stage(2)).queues == {"old": 0, "young": 1}


async def test_staging_keeps_the_time_and_so_the_order(engine: Engine, raw: Raw) -> None:
    ids = await due(engine, raw, 10, 40, 20)
    await engine.stage(10)
    claims = await fetch(engine, await node(engine))
    assert [claim.id for claim in claims] == [ids[1], ids[2], ids[0]]


async def test_every_queue_with_available_jobs_is_named(engine: Engine, raw: Raw) -> None:
    """A plain INSERT by other hands, too, is announced by the next tick."""
    await due(engine, raw, 5, 5, queue="mail")
    await due(engine, raw, -60, queue="later")
    await raw.execute("INSERT INTO job (task, queue) VALUES ('t', 'by hand')")
    await put(engine, new(queue="Zebra"), new(queue="mail"), new(queue="ümlaut"))
    assert (await engine.stage(100)).queues == {"mail": 2, "by hand": 0, "Zebra": 0, "ümlaut": 0}


async def test_a_queue_that_was_emptied_is_not_named(engine: Engine, raw: Raw) -> None:
    (id_,) = await due(engine, raw, 5)
    await engine.stage(100)
    await engine.cancel(only(id_))
    assert (await engine.stage(100)).queues == {}


async def test_two_stagers_move_each_job_once(engine: Engine, other: Engine, raw: Raw) -> None:
    await due(engine, raw, *([5.0] * 400))
    counts = await asyncio.gather(*((engine, other)[turn % 2].stage(150) for turn in range(8)))
    assert sum(count.queues.get("default", 0) for count in counts) == 400
    assert await engine.count(JobFilter(state=(JobState.AVAILABLE,))) == 400


async def test_without_ready_only_the_queues_of_staged_jobs_come_back(
    engine: Engine, raw: Raw
) -> None:
    due, _ = await put(engine, new(delay=60, queue="staged"), new(queue="ready"))
    await raw.put(due, scheduled_at=Ago(1))
    assert (await engine.stage(100, ready=False)).queues == {"staged": 1}
    assert (await engine.stage(100)).queues == {"staged": 0, "ready": 0}


async def test_says_whether_a_job_is_past_its_expiry(engine: Engine, raw: Raw) -> None:
    assert await engine.stage(10) == ({}, False)
    late, _ = await put(engine, new(expires=60), new(expires=60))
    await raw.put(late, expires_at=Ago(1))
    assert await engine.stage(10) == ({"default": 0}, True)
    assert await engine.stage(10, ready=False) == ({}, None)
    await engine.expire(10)
    assert await engine.stage(10) == ({"default": 0}, False)
