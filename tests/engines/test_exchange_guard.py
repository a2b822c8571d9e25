"""Acknowledgements of claims that are lost, values that cannot be stored, and progress."""

import json

import pytest

from elihu.engines.protocol import AckStatus, Engine
from elihu.errors import DataRefused
from elihu.job import JobState
from tests.engines.builders import (
    ANY,
    acknowledge,
    completed,
    discarded,
    failed,
    fetch,
    job,
    new,
    node,
    only,
    put,
    released,
    results,
    snoozed,
    states,
)
from tests.engines.exchanges import claimed


async def test_the_wrong_claim_node_or_state_changes_nothing(engine: Engine) -> None:
    here, claim = await claimed(engine)
    elsewhere = await node(engine)
    assert (await acknowledge(engine, elsewhere, completed(claim))).acked == []
    assert (
        await acknowledge(
            engine,
            here,
            completed(claim._replace(claim=2)),
            failed(claim._replace(id=claim.id + 1)),
        )
    ).acked == []
    assert (await job(engine, claim.id)).state is JobState.EXECUTING
    assert await results(engine, claim.id) == [None]
    await acknowledge(engine, here, failed(claim))
    assert (await acknowledge(engine, here, completed(claim))).acked == []
    assert await results(engine, claim.id) == ["failed"]


async def test_a_stale_end_does_not_touch_a_newer_attempt(engine: Engine) -> None:
    here, stale = await claimed(engine)
    await acknowledge(engine, here, released(stale))
    (newer,) = await fetch(engine, here)
    assert (newer.id, newer.claim) == (stale.id, stale.claim + 1)
    assert (await acknowledge(engine, here, discarded(stale, error="stale"))).acked == []
    assert (await job(engine, stale.id)).state is JobState.EXECUTING
    assert await results(engine, stale.id) == ["returned", None]
    assert (await acknowledge(engine, here, completed(newer))).acked == [(newer.id, False)]


async def test_one_refused_end_does_not_stop_the_others(engine: Engine) -> None:
    here = await node(engine)
    await put(engine, new(), new(), new())
    one, two, three = await fetch(engine, here)
    answer = await acknowledge(
        engine, here, completed(one), failed(two._replace(claim=9)), failed(three)
    )
    assert sorted(answer.acked) == [(one.id, False), (three.id, False)]
    assert await states(engine, [one.id, two.id, three.id]) == [
        "completed",
        "executing",
        "retryable",
    ]


async def test_why_an_end_did_not_come_back(engine: Engine) -> None:
    here = await node(engine)
    await put(engine, *(new() for _ in range(6)))
    plain, lost, ended_otherwise, newer, running, deleted = claims = await fetch(engine, here)
    await acknowledge(
        engine,
        here,
        completed(plain),
        failed(lost),
        discarded(ended_otherwise),
        released(newer),
        completed(deleted),
    )
    await fetch(engine, here)
    await engine.delete(only(deleted.id))
    acks = [
        completed(plain),
        failed(lost),
        snoozed(ended_otherwise),
        failed(newer),
        completed(running),
        completed(deleted),
    ]
    assert await engine.ack_statuses(here, acks) == {
        (plain.id, 1): AckStatus.WRITTEN,
        (lost.id, 1): AckStatus.WRITTEN,
        (ended_otherwise.id, 1): AckStatus.REFUSED,
        (newer.id, 1): AckStatus.REFUSED,
        (running.id, 1): AckStatus.BUSY,
        (deleted.id, 1): AckStatus.REFUSED,
    }
    assert len({claim.id for claim in claims}) == 6
    assert await engine.ack_statuses(here, []) == {}


async def test_a_completion_of_another_claim_is_not_the_one_that_was_written(
    engine: Engine,
) -> None:
    here, stale = await claimed(engine)
    await acknowledge(engine, here, released(stale))
    (claim,) = await fetch(engine, here)
    await acknowledge(engine, here, completed(claim))
    ack_statuses = await engine.ack_statuses(here, [completed(stale), completed(claim)])
    assert ack_statuses == {(stale.id, 1): AckStatus.REFUSED, (claim.id, 2): AckStatus.WRITTEN}


async def test_the_claim_of_a_rescued_job_is_refused(engine: Engine) -> None:
    here, claim = await claimed(engine)
    await engine.deregister_node(here)
    await engine.rescue(10)
    for ack in (completed(claim), failed(claim)):
        assert (await acknowledge(engine, here, ack)).acked == []
        assert await engine.ack_statuses(here, [ack]) == {(claim.id, 1): AckStatus.REFUSED}
    assert await results(engine, claim.id) == ["orphaned"]


async def test_a_job_that_completed_and_runs_again_shows_both_runs(engine: Engine) -> None:
    here, claim = await claimed(engine)
    await acknowledge(engine, here, completed(claim))
    await engine.retry(only(claim.id))
    assert await results(engine, claim.id) == ["completed"]
    (again,) = await fetch(engine, here)
    assert await results(engine, claim.id) == ["completed", None]
    await acknowledge(engine, here, failed(again))
    assert await results(engine, claim.id) == ["completed", "failed"]


# bad data


@pytest.mark.parametrize(
    "bad",
    [{"value": "{"}, {"error": "lone \ud800"}, {"log": "lone \ud800"}, {"reason": "lone \ud800"}],
    ids=str,
)
async def test_a_value_that_cannot_be_stored_writes_nothing(
    engine: Engine, bad: dict[str, str]
) -> None:
    here = await node(engine)
    ids = await put(engine, new(), new(), new())
    one, two = await fetch(engine, here, 2)
    with pytest.raises(DataRefused):
        await engine.exchange(here, "default", 5, [completed(one), completed(two, **bad)])
    assert await states(engine, ids) == ["executing", "executing", "available"]
    assert (await acknowledge(engine, here, completed(one))).acked == [(one.id, False)]
    assert (await acknowledge(engine, here, failed(two))).acked == [(two.id, False)]


async def test_texts_come_back_as_they_were(engine: Engine) -> None:
    here, claim = await claimed(engine)
    text = (
        "".join(map(chr, range(1, 0x250)))
        + "\u2028 😀 \\u0041 \\ud800 \"quoted\" 'single' $1 ?1 :name %s"
    )
    await acknowledge(
        engine,
        here,
        failed(claim, error=text, traceback=text, log=text, reason=text, value=json.dumps(text)),
    )
    (run,) = await engine.runs(claim.id)
    assert (run.error, run.traceback, run.log, run.reason) == (text,) * 4
    assert (await job(engine, claim.id)).result == text


async def test_a_large_value(engine: Engine) -> None:
    here, claim = await claimed(engine)
    value = json.dumps("x" * 4_000_000)
    await acknowledge(engine, here, completed(claim, value=value))
    assert len((await job(engine, claim.id)).result) == 4_000_000


# progress


async def test_progress_is_kept_under_the_guard(engine: Engine) -> None:
    here, claim = await claimed(engine)
    await engine.record_progress(
        here, [(claim.id, claim.claim, '{"done": 1, "total": 2, "message": "ß"}')]
    )
    assert (await job(engine, claim.id)).progress == {"done": 1, "total": 2, "message": "ß"}
    await engine.record_progress(
        here, [(claim.id, claim.claim + 1, '{"done": 9}'), (claim.id + 1, 1, '{"done": 9}')]
    )
    await engine.record_progress(await node(engine), [(claim.id, claim.claim, '{"done": 9}')])
    assert (await job(engine, claim.id)).progress == {"done": 1, "total": 2, "message": "ß"}
    await engine.record_progress(here, [])


async def test_nothing_at_all(engine: Engine) -> None:
    here = await node(engine)
    assert await engine.exchange(here, "default", 0, []) == ([], [])
    assert await engine.exchange(here, "default", 10, []) == ([], [])
    assert (await engine.find(ANY, None, 10)).items == []
