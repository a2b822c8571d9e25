"""Unique jobs that change the one that is there, in single, bulk and concurrent
inserts.
"""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from elihu.engines.protocol import Engine, Inserted
from elihu.job import JobFilter, JobState, NewJob
from tests.engines.builders import ANY, fetch, in_state, job, new, node, put
from tests.engines.raw import Raw

ALL = ("args", "priority", "scheduled_at", "meta", "tags", "queue", "max_attempts")
OTHER: dict[str, Any] = {
    "args": '{"n": 2}',
    "priority": 7,
    "meta": '{"by": "me"}',
    "tags": ("b", "a"),
    "queue": "other",
    "max_attempts": 3,
}


def unique(key: bytes = b"key", fields: tuple[str, ...] = (), **values: Any) -> NewJob:
    return new(unique_key=key, unique_scope=values.pop("unique_scope", 0), replace=fields, **values)


async def one(engine: Engine, job: NewJob) -> Inserted:
    (inserted,) = await engine.insert([job])
    return inserted


async def test_the_fields_named_are_replaced_and_no_others(engine: Engine) -> None:
    first = await one(engine, unique(args='{"n": 1}', template="kind", expires=600))
    before = await job(engine, first.id)
    answer = await one(engine, unique(fields=("args", "priority"), **OTHER))
    stored = first._replace(conflict=True, woken="default", announced=answer.announced)
    assert answer == stored
    changed = await job(engine, first.id)
    assert changed == replace(before, args={"n": 2}, priority=7)
    answer = await one(engine, unique(fields=ALL, **OTHER, delay=60))
    assert (answer.id, answer.state, answer.conflict, answer.woken) == (
        first.id,
        JobState.SCHEDULED,
        True,
        None,
    )
    changed = await job(engine, first.id)
    assert (changed.args, changed.priority, changed.meta, changed.tags) == (
        {"n": 2},
        7,
        {"by": "me"},
        ("b", "a"),
    )
    assert (changed.queue, changed.max_attempts, changed.state) == ("other", 3, JobState.SCHEDULED)
    assert changed.scheduled_at == answer.scheduled_at > before.scheduled_at
    assert (changed.template, changed.inserted_at, changed.expires_at) == (
        "kind",
        before.inserted_at,
        None,
    )
    assert await engine.count(ANY) == 1


async def test_empty_tags_and_meta_replace_too(engine: Engine) -> None:
    first = await one(engine, unique(tags=("a",), meta='{"a": 1}'))
    await one(engine, unique(fields=("tags", "meta")))
    changed = await job(engine, first.id)
    assert (changed.tags, changed.meta) == ((), {})


async def test_without_fields_nothing_changes(engine: Engine) -> None:
    first = await one(engine, unique())
    before = await job(engine, first.id)
    assert (await one(engine, unique(**OTHER))).woken is None
    assert await job(engine, first.id) == before


@pytest.mark.parametrize(
    ("state", "soon", "later"),
    [
        (JobState.SUSPENDED, JobState.SUSPENDED, JobState.SUSPENDED),
        (JobState.SCHEDULED, JobState.AVAILABLE, JobState.SCHEDULED),
        (JobState.AVAILABLE, JobState.AVAILABLE, JobState.SCHEDULED),
        (JobState.RETRYABLE, JobState.AVAILABLE, JobState.SCHEDULED),
    ],
)
async def test_a_new_time_decides_the_state_again(
    engine: Engine, state: JobState, soon: JobState, later: JobState
) -> None:
    first = await in_state(engine, state, unique_key=b"key", unique_scope=0)
    before = await job(engine, first)
    kept = await one(engine, unique(fields=("args",), args='{"n": 3}'))
    assert (kept.id, kept.state) == (first, state)
    assert (await job(engine, first)).scheduled_at == before.scheduled_at
    at = datetime.now(UTC) + timedelta(days=1)
    moved = await one(engine, unique(fields=("scheduled_at",), run_at=at, expires=5))
    assert (moved.state, moved.woken) == (later, None)
    assert abs((moved.scheduled_at - at).total_seconds()) < 1e-5
    assert (await job(engine, first)).expires_at == moved.scheduled_at + timedelta(seconds=5)
    now = await one(engine, unique(fields=("scheduled_at",)))
    assert (now.state, now.woken) == (soon, before.queue if soon is JobState.AVAILABLE else None)
    assert (await job(engine, first)).expires_at is None


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.DISCARDED, JobState.CANCELLED])
async def test_a_finished_holder_is_not_changed(engine: Engine, state: JobState) -> None:
    first = await in_state(engine, state, unique_key=b"key", unique_scope=2)
    before = await job(engine, first)
    answer = await one(engine, unique(fields=ALL, unique_scope=2, **OTHER))
    assert (answer.id, answer.state, answer.conflict, answer.woken) == (first, state, True, None)
    assert await job(engine, first) == before


async def test_an_executing_holder_is_not_changed(engine: Engine) -> None:
    (first,) = await put(engine, unique())
    await fetch(engine, await node(engine))
    before = await job(engine, first)
    answer = await one(engine, unique(fields=ALL, **OTHER, delay=60))
    assert (answer.id, answer.state, answer.conflict, answer.woken) == (
        first,
        JobState.EXECUTING,
        True,
        None,
    )
    assert await job(engine, first) == before


async def test_a_batch_replaces_in_its_order(engine: Engine) -> None:
    there, executing = await put(engine, unique(b"there"), unique(b"executing", queue="busy"))
    await fetch(engine, await node(engine), queue="busy")
    answers = await engine.insert(
        [
            new("plain"),
            unique(b"new", args='{"n": 1}', priority=1),
            unique(b"there", ("args", "queue"), args='{"n": 2}', queue="moved"),
            unique(b"new", ("args",), args='{"n": 3}'),
            unique(b"there", args='{"n": 99}', queue="unheard"),
            unique(b"new", ("args", "priority"), args='{"n": 4}', priority=5),
            unique(b"executing", ALL, args='{"n": 5}'),
            unique(b"there", ("priority",), priority=9),
        ]
    )
    assert [answer.conflict for answer in answers] == [
        False,
        False,
        True,
        True,
        True,
        True,
        True,
        True,
    ]
    assert len({answer.id for answer in answers}) == 4
    assert {answer.woken for answer in answers if answer.id == there and answer.woken} == {"moved"}
    made, changed, busy = [await job(engine, id_) for id_ in (answers[1].id, there, executing)]
    assert (made.args, made.priority) == ({"n": 4}, 5)
    assert (changed.args, changed.queue, changed.priority) == ({"n": 2}, "moved", 9)
    assert (busy.state, busy.args) == (JobState.EXECUTING, {})


async def test_a_race_leaves_one_job_with_one_callers_fields(engine: Engine, other: Engine) -> None:
    for round_ in range(5):
        key = bytes([round_])
        answers = await asyncio.gather(
            *(
                (engine, other)[turn % 2].insert(
                    [
                        unique(key, ("args", "priority"), args=f'{{"n": {turn}}}', priority=turn),
                        unique(b"x" + key, ("args",)),
                    ]
                )
                for turn in range(8)
            )
        )
        (id_,) = {answer[0].id for answer in answers}
        assert sorted(answer[0].conflict for answer in answers) == [False] + [True] * 7
        stored = await job(engine, id_)
        assert stored.args == {"n": stored.priority}
    assert await engine.count(ANY) == 10


async def test_a_race_with_a_fetch_changes_no_running_job(engine: Engine, other: Engine) -> None:
    here = await node(other)
    for round_ in range(10):
        queue = f"q{round_}"
        (id_,) = await put(engine, unique(queue=queue, args='{"n": 1}'))
        (answer,), claims = await asyncio.gather(
            engine.insert([unique(queue=queue, fields=("args", "scheduled_at"), args='{"n": 2}')]),
            fetch(other, here, queue=queue),
        )
        assert (answer.id, answer.conflict) == (id_, True)
        stored = await job(engine, id_)
        if claims:
            assert stored.state is JobState.EXECUTING
            assert claims[0].args == ('{"n": 2}' if stored.args == {"n": 2} else '{"n": 1}')
        else:
            assert (stored.state, stored.args) == (JobState.AVAILABLE, {"n": 2})
        await engine.cancel(JobFilter(ids=(id_,)))
        if claims:
            await other.deregister_node(here)
            await other.rescue(10)
            here = await node(other)


async def test_many_at_once(engine: Engine, raw: Raw) -> None:
    await engine.insert([unique(number.to_bytes(2, "big")) for number in range(1_500)])
    answers = await engine.insert(
        [
            unique(number.to_bytes(2, "big"), ("priority",), priority=4)
            for number in reversed(range(1_500))
        ]
    )
    assert all(answer.conflict and answer.woken == "default" for answer in answers)
    assert await raw.number("SELECT count(*) FROM job WHERE priority = 4") == 1_500
