"""Insert: in order, all or nothing, exactly what was given."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from elihu.engines.protocol import Engine
from elihu.errors import DataRefused
from elihu.job import JobState, NewJob
from tests.engines.builders import ANY, fetch, job, new, node
from tests.engines.raw import Raw


async def test_nothing_in_nothing_out(engine: Engine) -> None:
    assert await engine.insert([]) == []


async def test_ids_ascend_in_the_order_given(engine: Engine) -> None:
    inserted = await engine.insert([new(f"task{number}") for number in range(1_337)])
    ids = [one.id for one in inserted]
    assert ids == sorted(set(ids))
    assert len(ids) == 1_337
    found = {one.id: one.task for one in (await engine.find(ANY, None, 2_000)).items}
    assert [found[id_] for id_ in ids] == [f"task{number}" for number in range(1_337)]


async def test_a_bulk_stores_what_single_inserts_store(engine: Engine, raw: Raw) -> None:
    backslashes = json.dumps({"t": 'a\tb\nc\r "q" \\ \\N \\. {x} \u0007 ß'}, ensure_ascii=False)
    given = [
        NewJob(task="t", args=backslashes),
        NewJob(task="t", args='{\n\t"spaced" : [1.50, 12345678901234567890]\r\n}'),
        NewJob(task="\\N", queue='q "\\.', priority=9, max_attempts=3, awaited=True),
        NewJob(task="t", options='{"record": true}', meta='{"who": "a\\\\b"}', template="\\N"),
        NewJob(task="t", tags=("vip", 'quote"d, {brace}', "back\\slash", "NULL", " ", "naïve")),
        NewJob(task="t"),
    ] * 3
    assert all(each.is_plain for each in given)
    await engine.insert(given)
    await engine.insert_bulk(given)
    jobs = [await job(engine, id_) for id_ in range(1, 2 * len(given) + 1)]
    single, bulk = jobs[: len(given)], jobs[len(given) :]
    for one, other in zip(single, bulk, strict=True):
        times: dict[str, Any] = {"inserted_at": one.inserted_at, "scheduled_at": one.scheduled_at}
        assert replace(other, id=one.id, **times) == one
    assert all(each.inserted_at == each.scheduled_at for each in bulk)
    assert [each.state for each in bulk] == [JobState.AVAILABLE] * len(given)
    claims = await fetch(engine, await node(engine), 100)
    assert [each.options for each in claims if each.template] == ['{"record": true}'] * 6


@pytest.mark.parametrize("args", ["{", '{"a": "\0"}', '{"a": "\x1f"}', ""])
async def test_a_bulk_with_a_job_that_cannot_be_stored_stores_none(
    engine: Engine, args: str
) -> None:
    with pytest.raises(DataRefused):
        await engine.insert_bulk([new("a"), NewJob(task="b", args=args), new("c")])
    assert await engine.count(ANY) == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"delay": 1.0},
        {"run_at": datetime(2030, 1, 1, tzinfo=UTC)},
        {"hold": True},
        {"expires": 5.0},
        {"unique_key": b"1", "unique_scope": 0},
        {"identifier": "i"},
    ],
)
def test_a_job_that_is_not_due_at_once_is_not_plain(fields: dict[str, Any]) -> None:
    assert not NewJob(task="t", **fields).is_plain


def test_a_job_with_other_arguments_is_the_same_otherwise() -> None:
    first = NewJob(task="t", queue="mail", tags=("a",), meta="{}", delay=3.0)
    assert first.with_args("[]") == replace(first, args="[]")
    assert first.args == "{}"


async def test_what_is_stored_is_what_was_given(engine: Engine) -> None:
    given = NewJob(
        task="mail.sänd",
        args='{"b": 1, "a": ["ß", "\\u0007", {"z": null}], "big": 12345678901234567890}',
        queue="mail",
        priority=9,
        max_attempts=3,
        options='{"record": true}',
        meta='{"who": "me"}',
        tags=("vip", 'quote"d, {brace}', "naïve"),
    )
    (inserted,) = await engine.insert([given])
    stored = await job(engine, inserted.id)
    assert (stored.task, stored.queue, stored.priority, stored.max_attempts) == (
        "mail.sänd",
        "mail",
        9,
        3,
    )
    assert stored.args == json.loads(given.args)
    assert list(stored.args) == ["b", "a", "big"]
    assert stored.meta == {"who": "me"}
    assert stored.tags == given.tags
    assert (
        stored.attempt,
        stored.unique_key,
        stored.result,
        stored.reason,
        stored.progress,
        stored.node,
    ) == (
        0,
        None,
        None,
        None,
        None,
        None,
    )
    assert (stored.started_at, stored.finished_at, stored.conflict) == (None, None, False)
    (claim,) = await fetch(engine, await node(engine), queue="mail")
    assert (claim.args, claim.options, claim.meta, claim.tags) == (
        given.args,
        given.options,
        given.meta,
        given.tags,
    )


async def test_the_answer_says_what_was_stored(engine: Engine) -> None:
    for inserted in await engine.insert(
        [new(), new(delay=60), new(hold=True), new(unique_key=b"k", unique_scope=0)]
    ):
        stored = await job(engine, inserted.id)
        assert inserted.state is stored.state
        assert (inserted.inserted_at, inserted.scheduled_at) == (
            stored.inserted_at,
            stored.scheduled_at,
        )
        assert inserted.inserted_at.tzinfo is UTC
        assert (inserted.conflict, inserted.unique_key) == (False, stored.unique_key)


@pytest.mark.parametrize(
    ("fields", "state", "offset"),
    [
        ({}, JobState.AVAILABLE, 0),
        ({"delay": 0.0}, JobState.AVAILABLE, 0),
        ({"delay": 90.5}, JobState.SCHEDULED, 90.5),
        ({"hold": True}, JobState.SUSPENDED, 0),
        ({"hold": True, "delay": 60.0}, JobState.SUSPENDED, 60),
    ],
)
async def test_a_delay_counts_from_the_databases_now(
    engine: Engine, fields: dict[str, Any], state: JobState, offset: float
) -> None:
    (inserted,) = await engine.insert([new(**fields)])
    assert inserted.state is state
    assert (inserted.scheduled_at - inserted.inserted_at).total_seconds() == pytest.approx(
        offset, abs=1e-5
    )
    assert abs((inserted.inserted_at - datetime.now(UTC)).total_seconds()) < 5


@pytest.mark.parametrize(
    ("ahead", "state"),
    [(timedelta(hours=-1), JobState.AVAILABLE), (timedelta(hours=1), JobState.SCHEDULED)],
)
async def test_run_at_is_kept_to_the_microsecond(
    engine: Engine, ahead: timedelta, state: JobState
) -> None:
    exact = (datetime.now(UTC) + ahead).replace(microsecond=123_457)
    inserted = (await engine.insert([new(run_at=exact)]))[0]
    assert (inserted.state, inserted.scheduled_at) == (state, exact)
    assert (await job(engine, inserted.id)).scheduled_at == exact


@pytest.mark.parametrize(
    "bad",
    [
        {"args": "{"},
        {"args": '{"a": NaN}'},
        {"meta": "nonsense"},
        {"options": "nonsense"},
        {"task": "lone \ud800 surrogate"},
        {"args": '"lone \ud800 surrogate"'},
        {"tags": ("lone \ud800",)},
        {"priority": 10},
        {"priority": 2**70},
        {"max_attempts": 0},
        {"unique_key": b"k", "unique_scope": 7},
        {"unique_key": b"k"},
    ],
    ids=str,
)
@pytest.mark.parametrize("size", [1, 3, 700])
async def test_a_refused_value_stores_nothing(
    engine: Engine, bad: dict[str, Any], size: int
) -> None:
    jobs = [new() for _ in range(size - 1)] + [new(**bad)]
    with pytest.raises(DataRefused):
        await engine.insert(jobs)
    assert await engine.count(ANY) == 0
    await engine.insert([new()])


async def test_many_callers_at_once(engine: Engine, other: Engine) -> None:
    answers = await asyncio.gather(
        *((engine, other)[number % 2].insert([new(f"task{number}")]) for number in range(60))
    )
    ids = {answer[0].id for answer in answers}
    assert len(ids) == 60
    for number, answer in enumerate(answers):
        assert (await job(engine, answer[0].id)).task == f"task{number}"


async def test_one_transaction_for_all(engine: Engine, raw: Raw) -> None:
    """Other connections see all of a batch or none of it."""
    seen: set[int] = set()
    async with asyncio.TaskGroup() as group:
        insert = group.create_task(engine.insert([new() for _ in range(3_000)]))
        while not insert.done():
            seen.add(await raw.number("SELECT count(*) FROM job"))
            await asyncio.sleep(0)
    assert seen <= {0, 3_000}


async def test_a_batch_shares_its_time(engine: Engine) -> None:
    inserted = await engine.insert([new() for _ in range(600)])
    assert len({one.scheduled_at for one in inserted}) == 1
    claims = await fetch(engine, await node(engine), free=600)
    assert [claim.id for claim in claims] == [one.id for one in inserted]
