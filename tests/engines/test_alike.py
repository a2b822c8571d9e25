"""Jobs that differ in arguments and unique key alone: what ``insert`` stores, counted."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from elihu.engines.protocol import Engine, are_alike
from elihu.errors import DataRefused
from elihu.job import JobState, NewJob
from tests.engines.builders import ANY, in_state, new
from tests.engines.raw import Raw

DAY = 86_400.0
COLUMNS = (
    "state", "queue", "task", "priority", "max_attempts", "args", "options", "meta", "tags",
    "unique_key", "unique_scope", "awaited", "template", "expires_at", "identifier",
)  # fmt: skip


def alike(*keys: bytes, **fields: Any) -> list[NewJob]:
    return [
        new(unique_key=key, args=f'{{"at":{place}}}', **{"unique_scope": 0, **fields})
        for place, key in enumerate(keys)
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"unique_scope": 1, "unique_period": DAY},
        {"unique_scope": 2, "tags": ("a", 'b"'), "meta": '{"m":1}', "options": '{"record":true}'},
        {"queue": "mail", "priority": 9, "max_attempts": 3, "awaited": True, "template": "t"},
    ],
)
async def test_they_are_stored_as_single_ones_are(
    engine: Engine, raw: Raw, fields: dict[str, Any]
) -> None:
    jobs = alike(*(bytes([number]) * 32 for number in range(3)), **fields)
    assert are_alike(jobs)
    single = [(await engine.insert([job]))[0].id for job in jobs]
    expected = [await raw.look(id_, *COLUMNS) for id_ in single]
    kept = [await raw.look(id_, "keep_until") for id_ in single]
    await raw.execute("DELETE FROM job")
    assert await engine.insert_bulk(jobs) == 3
    ids = sorted(stored.id for stored in (await engine.find(ANY, None, 10)).items)
    assert [await raw.look(id_, *COLUMNS) for id_ in ids] == expected, "also in this order"
    for id_, (before,) in zip(ids, kept, strict=True):
        inserted, scheduled, until = await raw.look(
            id_, "inserted_at", "scheduled_at", "keep_until"
        )
        assert inserted == scheduled
        assert until == before if before is None else abs(until - before) < 60


@pytest.mark.parametrize("scope", [0, 1, 2])
@pytest.mark.parametrize("state", [JobState.AVAILABLE, JobState.RETRYABLE, JobState.COMPLETED])
async def test_a_key_that_is_taken_is_left_out(
    engine: Engine, raw: Raw, state: JobState, scope: int
) -> None:
    holder = await in_state(engine, state, unique_key=b"b", unique_scope=scope)
    before = await raw.look(holder, "args", "state", "scheduled_at")
    taken = scope >= (1 if state is JobState.COMPLETED else 0)
    assert await engine.insert_bulk(alike(b"c", b"b", b"a", b"c")) == 3 - taken
    assert await raw.look(holder, "args", "state", "scheduled_at") == before
    assert await engine.count(ANY) == 4 - taken


async def test_a_thousand_at_once_and_again(engine: Engine) -> None:
    jobs = alike(*(number.to_bytes(32) for number in range(1_000)))
    assert await engine.insert_bulk(jobs[:300]) == 300
    assert await engine.insert_bulk(jobs) == 700


async def test_two_batches_in_opposite_orders_store_each_once(
    engine: Engine, other: Engine
) -> None:
    jobs = alike(*(number.to_bytes(32) for number in range(200)))
    stored = await asyncio.gather(
        *((engine, other)[turn % 2].insert_bulk(jobs[:: 1 - 2 * (turn % 2)]) for turn in range(6))
    )
    assert sum(stored) == await engine.count(ANY) == 200


async def test_one_that_cannot_be_stored_keeps_all_out(engine: Engine) -> None:
    first, second = alike(b"a", b"b")
    with pytest.raises(DataRefused):
        await engine.insert_bulk([first, replace(second, args="{")])
    assert await engine.count(ANY) == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"delay": 1.0},
        {"run_at": datetime(2030, 1, 1, tzinfo=UTC)},
        {"hold": True},
        {"expires": 5.0},
        {"identifier": "i"},
        {"replace": ("args",)},
    ],
)
def test_jobs_that_are_not_due_at_once_or_change_others_are_not_alike(
    fields: dict[str, Any],
) -> None:
    assert not are_alike(alike(b"a", b"b", **fields))


def test_jobs_with_another_field_or_without_a_key_are_not_alike() -> None:
    first, second = alike(b"a", b"b")
    assert are_alike([first, second])
    assert not are_alike([first, replace(second, queue="mail")])
    assert not are_alike([first, replace(second, unique_key=None)])
    assert not are_alike([replace(first, unique_key=None), second])
