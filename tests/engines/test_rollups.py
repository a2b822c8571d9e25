"""Roll-ups: written by a writer for each minute, summed, and thinned to hours."""

import time
from datetime import UTC, datetime, timedelta

from elihu.engines.protocol import Engine
from elihu.engines.protocol.rollups import NUMBERS, RollUp

ONE = "00000000-0000-0000-0000-000000000001"
TWO = "00000000-0000-0000-0000-000000000002"
HOUR = 3_600
DAY = 24 * HOUR


def counted(
    minute: int, jobs: int, outcome: str = "completed", queue: str = "default", task: str = "t"
) -> RollUp:
    return RollUp(minute, queue, task, outcome, (jobs, *(1 for _ in NUMBERS[1:])))


def at(minute: int) -> datetime:
    return datetime.fromtimestamp(minute, UTC)


async def sums(
    engine: Engine, since: int, until: int, step: int = 60, **asked: str
) -> list[tuple[int, str, int]]:
    rows = await engine.rollups(
        at(since), at(until), step, by="all", limit=1_000, queue=asked.get("queue")
    )
    return [(int(row.at.timestamp()), row.outcome, row.numbers[0]) for row in rows]


async def test_a_repeated_write_counts_nothing_twice(engine: Engine) -> None:
    await engine.write_rollups(ONE, [counted(600, 3)])
    await engine.write_rollups(ONE, [counted(600, 5)])
    await engine.write_rollups(ONE, [])
    await engine.write_rollups(TWO, [counted(600, 2), counted(660, 1, "failed")])
    assert await sums(engine, 600, 720) == [(600, "completed", 7), (660, "failed", 1)]


async def test_sums_by_key_and_step(engine: Engine) -> None:
    await engine.write_rollups(
        ONE, [counted(600, 3), counted(660, 4, queue="mail"), counted(1_200, 1)]
    )
    assert await sums(engine, 600, 1_300, 600) == [(600, "completed", 7), (1_200, "completed", 1)]
    assert await sums(engine, 600, 1_300, queue="mail") == [(660, "completed", 4)]
    by_queue = await engine.rollups(at(0), at(3_600), 3_600, by="queue", limit=10)
    assert [(row.key, row.numbers[0]) for row in by_queue] == [("default", 4), ("mail", 4)]
    (by_task,) = await engine.rollups(at(0), at(3_600), 3_600, by="task", limit=10)
    assert (by_task.key, by_task.numbers) == ("t", (8, *(3 for _ in NUMBERS[1:])))


async def test_old_minutes_become_an_hour(engine: Engine) -> None:
    now = int(time.time())
    old = (now - 3 * DAY) // HOUR * HOUR
    new = now // 60 * 60
    await engine.write_rollups(
        ONE, [counted(old, 1), counted(old + 60, 2), counted(old + HOUR, 4), counted(new, 8)]
    )
    await engine.write_rollups(TWO, [counted(old, 16)])
    assert await engine.thin_rollups(2 * DAY, 90 * DAY, 100) == 3
    assert await engine.thin_rollups(2 * DAY, 90 * DAY, 100) == 1
    assert await engine.thin_rollups(2 * DAY, 90 * DAY, 100) == 0
    assert await sums(engine, old, now + 60) == [
        (old, "completed", 19),
        (old + HOUR, "completed", 4),
        (new, "completed", 8),
    ]


async def test_a_late_minute_is_added_to_its_hour(engine: Engine) -> None:
    old = (int(time.time()) - 3 * DAY) // HOUR * HOUR
    for writer in (ONE, TWO):
        await engine.write_rollups(writer, [counted(old, 1)])
        await engine.thin_rollups(2 * DAY, 90 * DAY, 100)
    assert await sums(engine, old, old + HOUR) == [(old, "completed", 2)]


async def test_old_hours_are_removed_in_pieces(engine: Engine) -> None:
    old = (int(time.time()) - 91 * DAY) // HOUR * HOUR
    await engine.write_rollups(
        ONE, [counted(old, 1, task="a"), counted(old, 1, task="b"), counted(old, 1, task="c")]
    )
    assert await engine.thin_rollups(2 * DAY, 92 * DAY, 100) == 3
    assert await engine.thin_rollups(2 * DAY, 90 * DAY, 2) == 2
    assert await engine.thin_rollups(2 * DAY, 90 * DAY, 2) == 1
    assert await sums(engine, old, old + 2 * HOUR) == []


async def test_a_time_of_another_zone_names_the_same_minute(engine: Engine) -> None:
    await engine.write_rollups(ONE, [counted(600, 3)])
    there = at(600).astimezone(datetime.now().astimezone().tzinfo)
    rows = await engine.rollups(there, there + timedelta(minutes=1), 60, by="all", limit=10)
    assert [row.numbers[0] for row in rows] == [3]
