"""Acknowledging: what each end of an attempt stores."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from elihu.engines.protocol import Ack, ClaimedJob, Engine
from elihu.job import Intent, JobState, RunOutcome
from tests.engines.builders import (
    acknowledge,
    cancelled,
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
from tests.engines.raw import Raw


async def test_a_plain_completion(engine: Engine, raw: Raw) -> None:
    here, claim = await claimed(engine)
    assert (await acknowledge(engine, here, completed(claim))).acked == [(claim.id, False)]
    stored = await job(engine, claim.id)
    assert (stored.state, stored.result, stored.reason, stored.attempt) == (
        JobState.COMPLETED,
        None,
        None,
        1,
    )
    assert stored.finished_at is not None
    assert await raw.number("SELECT count(*) FROM run") == 0


async def test_a_value_is_kept_as_the_result(engine: Engine) -> None:
    here, claim = await claimed(engine)
    await acknowledge(engine, here, completed(claim, value='{"b": [1, 2.5], "a": null}'))
    result = (await job(engine, claim.id)).result
    assert result == {"b": [1, 2.5], "a": None}
    assert list(result) == ["b", "a"]


async def test_a_completion_with_a_reason_keeps_it(engine: Engine) -> None:
    here, claim = await claimed(engine)
    await acknowledge(engine, here, completed(claim, reason="the value could not be kept"))
    assert (await job(engine, claim.id)).reason == "the value could not be kept"


async def test_a_completion_with_log_lines_is_stored_as_a_run(engine: Engine, raw: Raw) -> None:
    here, claim = await claimed(engine)
    await acknowledge(engine, here, completed(claim, log="line one\nline two"))
    assert await raw.number("SELECT count(*) FROM run") == 1
    (run,) = await engine.runs(claim.id)
    assert (run.id, run.outcome, run.log, run.node) == (
        f"{claim.id}.1",
        RunOutcome.COMPLETED,
        "line one\nline two",
        here,
    )


async def test_a_failure_waits_and_is_stored(engine: Engine) -> None:
    here, claim = await claimed(engine)
    await acknowledge(
        engine,
        here,
        failed(
            claim,
            delay=30.5,
            reason="why",
            error="ValueError: ß",
            traceback='File "x"\n{[',
            log="one",
        ),
    )
    stored = await job(engine, claim.id)
    (run,) = await engine.runs(claim.id)
    assert (stored.state, stored.attempt, stored.reason, stored.finished_at) == (
        JobState.RETRYABLE,
        1,
        "why",
        None,
    )
    assert run.ended_at is not None
    assert (stored.scheduled_at - run.ended_at).total_seconds() == pytest.approx(30.5, abs=0.01)
    assert (run.outcome, run.claim, run.attempt, run.reason, run.error) == (
        RunOutcome.FAILED,
        1,
        1,
        "why",
        "ValueError: ß",
    )
    assert (run.traceback, run.log, run.node, run.started_at) == (
        'File "x"\n{[',
        "one",
        here,
        claim.started_at,
    )


async def test_without_a_delay_the_time_stays(engine: Engine) -> None:
    here, claim = await claimed(engine)
    await acknowledge(engine, here, released(claim))
    stored = await job(engine, claim.id)
    assert (stored.state, stored.scheduled_at) == (JobState.AVAILABLE, claim.scheduled_at)


@pytest.mark.parametrize("ending", [completed, cancelled, discarded])
async def test_an_end_leaves_the_time_it_was_due(engine: Engine, ending: Any) -> None:
    here, claim = await claimed(engine)
    await acknowledge(engine, here, ending(claim)._replace(delay=100.0))
    assert (await job(engine, claim.id)).scheduled_at == claim.scheduled_at


async def test_an_attempt_that_does_not_count_repeats_its_number(engine: Engine) -> None:
    here, claim = await claimed(engine)
    await acknowledge(engine, here, released(claim))
    (again,) = await fetch(engine, here)
    assert (again.attempt, again.claim) == (1, 2)
    await acknowledge(engine, here, snoozed(again, -5.0))
    await engine.stage(10)
    (third,) = await fetch(engine, here)
    assert (third.attempt, third.claim) == (1, 3)
    await acknowledge(engine, here, completed(third))
    assert [(run.claim, run.attempt) for run in await engine.runs(claim.id)] == [
        (1, 1),
        (2, 1),
        (3, 1),
    ]
    assert await results(engine, claim.id) == ["returned", "snoozed", "completed"]


async def test_ends_of_every_kind_in_one_exchange(engine: Engine) -> None:
    here = await node(engine)
    await put(engine, *(new() for _ in range(9)))
    claims = await fetch(engine, here)
    kinds: list[Callable[[ClaimedJob], Ack]] = [
        completed,
        failed,
        discarded,
        released,
        snoozed,
        cancelled,
    ]
    acks = [kinds[number % 6](claim) for number, claim in enumerate(claims[:8])]
    acks.append(completed(claims[8], value='"kept"', log="l"))
    answer = await acknowledge(engine, here, *acks)
    assert sorted(answer.acked) == [(claim.id, False) for claim in claims]
    assert await states(engine, [claim.id for claim in claims]) == [
        "completed", "retryable", "discarded", "available", "scheduled", "cancelled",
        "completed", "retryable", "completed",
    ]  # fmt: skip


async def test_a_batch_larger_than_any_statement(engine: Engine) -> None:
    here = await node(engine)
    await put(engine, *(new() for _ in range(1_700)))
    claims = await fetch(engine, here, 1_700)
    assert [claim.id for claim in claims] == sorted(claim.id for claim in claims)
    acks = [
        failed(claim, error=f"error {claim.id}")
        if claim.id % 2
        else completed(claim, value=str(claim.id))
        for claim in claims
    ]
    answer = await acknowledge(engine, here, *acks)
    assert {id_ for id_, _ in answer.acked} == {claim.id for claim in claims}
    for claim in claims[::171]:
        stored = await job(engine, claim.id)
        assert stored.result == (None if claim.id % 2 else claim.id)
        assert [run.error for run in await engine.runs(claim.id)] == [
            f"error {claim.id}" if claim.id % 2 else None
        ]


async def test_an_end_wakes_its_waiters(engine: Engine, raw: Raw) -> None:
    here = await node(engine)
    ids = await put(engine, *(new() for _ in range(4)))
    await raw.put(ids[1], awaited=1 if engine.name == "sqlite" else True)
    await raw.put(ids[3], awaited=1 if engine.name == "sqlite" else True)
    claims = await fetch(engine, here)
    assert [claim.awaited for claim in claims] == [False, True, False, True]
    answer = await acknowledge(
        engine,
        here,
        completed(claims[0]),
        completed(claims[1]),
        failed(claims[2]),
        failed(claims[3]),
    )
    assert sorted(answer.acked) == [
        (ids[0], False),
        (ids[1], True),
        (ids[2], False),
        (ids[3], True),
    ]


@pytest.mark.parametrize("ending", [failed, released, snoozed])
async def test_an_intent_to_cancel_wins_over_another_attempt(engine: Engine, ending: Any) -> None:
    here, claim = await claimed(engine)
    await engine.cancel(only(claim.id))
    await acknowledge(engine, here, ending(claim))
    stored = await job(engine, claim.id)
    assert (stored.state, stored.finished_at is None) == (JobState.CANCELLED, False)
    assert await engine.intents(here) == []
    assert await results(engine, claim.id) == [ending(claim).outcome]


@pytest.mark.parametrize("ending", [completed, discarded])
async def test_an_intent_to_cancel_comes_too_late_for_an_end(engine: Engine, ending: Any) -> None:
    here, claim = await claimed(engine)
    await engine.cancel(only(claim.id))
    await acknowledge(engine, here, ending(claim))
    assert (await job(engine, claim.id)).state is ending(claim).state


async def test_an_end_clears_the_intent(engine: Engine) -> None:
    here, claim = await claimed(engine)
    await engine.cancel(only(claim.id))
    assert await engine.intents(here) == [(claim.id, claim.claim, Intent.CANCEL)]
    await acknowledge(engine, here, cancelled(claim))
    await engine.retry(only(claim.id))
    await fetch(engine, here)
    assert await engine.intents(here) == []


@pytest.mark.parametrize(
    ("outcome", "state", "due"),
    [
        (RunOutcome.FAILED, JobState.AVAILABLE, "why"),
        (RunOutcome.KILLED, JobState.AVAILABLE, "why"),
        (RunOutcome.TIMED_OUT, JobState.AVAILABLE, "why"),
        (RunOutcome.FAILED, JobState.RETRYABLE, None),
        (RunOutcome.FAILED, JobState.DISCARDED, None),
        (RunOutcome.RETURNED, JobState.AVAILABLE, None),
    ],
)
async def test_a_failed_attempt_of_an_available_job_makes_its_on_error_due(
    engine: Engine, raw: Raw, outcome: RunOutcome, state: JobState, due: str | None
) -> None:
    here, claim = await claimed(engine, raw, options='{"on_error": true}')
    await acknowledge(engine, here, Ack(claim.id, claim.claim, outcome, state, reason="why"))
    (options,) = await raw.look(claim.id, "options")
    assert json.loads(options).get("on_error_due") == due
    if due:
        (again,) = await fetch(engine, here)
        assert json.loads(again.options or "{}")["on_error_due"] == due
        await acknowledge(engine, here, discarded(again))
        await engine.retry(only(claim.id))
        (options,) = await raw.look(claim.id, "options")
        assert json.loads(options) == {"on_error": True}


async def test_no_intent_is_left_after_the_end(engine: Engine, raw: Raw) -> None:
    here, claim = await claimed(engine)
    await engine.cancel(only(claim.id))
    await acknowledge(engine, here, cancelled(claim))
    assert await raw.look(claim.id, "intent") == (None,)


async def test_an_orphaned_job_that_ends_is_no_orphan_any_more(engine: Engine, raw: Raw) -> None:
    here, claim = await claimed(engine, raw, orphans=2)
    assert claim.orphans == 2
    await acknowledge(engine, here, released(claim))
    (claim,) = await fetch(engine, here)
    assert claim.orphans == 2
    await acknowledge(engine, here, failed(claim, state=JobState.AVAILABLE, delay=None))
    (claim,) = await fetch(engine, here)
    assert claim.orphans == 0


async def test_a_job_given_back_unstarted_can_still_expire(engine: Engine) -> None:
    here, claim = await claimed(engine)
    await acknowledge(engine, here, released(claim, state=JobState.SCHEDULED, delay=30.0))
    stored = await job(engine, claim.id)
    assert (stored.state, stored.started_at, stored.attempt) == (JobState.SCHEDULED, None, 0)
    assert stored.scheduled_at > claim.scheduled_at + timedelta(seconds=29)


async def test_a_job_that_once_started_never_expires(engine: Engine) -> None:
    here, claim = await claimed(engine)
    await acknowledge(engine, here, failed(claim, delay=-1.0))
    await engine.stage(10)
    (claim,) = await fetch(engine, here)
    await acknowledge(engine, here, released(claim, state=JobState.SCHEDULED, delay=30.0))
    assert (await job(engine, claim.id)).started_at is not None
