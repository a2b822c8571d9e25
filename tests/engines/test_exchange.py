"""Acknowledge and fetch: no claim twice, no end over a newer state, nothing waits."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from elihu.engines.protocol import Ack, AckStatus, ClaimedJob, Engine, Position
from elihu.errors import DataRefused
from elihu.job import INCOMPLETE, Intent, JobState, RunOutcome
from tests.engines.builders import (
    ANY,
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
from tests.engines.raw import Ago, Raw


async def claimed(engine: Engine, raw: Raw | None = None, **columns: Any) -> tuple[str, ClaimedJob]:
    """A node, and a job it executes; ``columns`` were changed before the fetch."""
    here = await node(engine)
    (id_,) = await put(engine)
    if raw is not None and columns:
        await raw.put(id_, **columns)
    (claim,) = await fetch(engine, here)
    return here, claim


# fetch


async def test_a_fetch_claims_and_says_all_about_it(engine: Engine) -> None:
    here = await node(engine)
    (id_,) = await put(
        engine,
        new(
            "work",
            args='{"a":1}',
            priority=2,
            max_attempts=3,
            unique_key=b"k",
            unique_scope=0,
            expires=60,
            template="kind",
            identifier="n-1",
        ),
    )
    (claim,) = await fetch(engine, here)
    stored = await job(engine, id_)
    assert claim == ClaimedJob(
        id=id_,
        claim=1,
        task="work",
        args='{"a":1}',
        attempt=1,
        max_attempts=3,
        orphans=0,
        priority=2,
        scheduled_at=stored.scheduled_at,
        inserted_at=stored.inserted_at,
        started_at=stored.started_at or stored.inserted_at,
        tags=(),
        options=None,
        meta=None,
        unique_key=stored.unique_key,
        awaited=False,
        template="kind",
        identifier="n-1",
        expires_at=stored.expires_at,
    )
    assert stored.expires_at == stored.scheduled_at + timedelta(seconds=60)
    assert (stored.state, stored.attempt, stored.node) == (JobState.EXECUTING, 1, here)
    assert stored.started_at is not None


async def test_order_is_priority_then_time_then_id(engine: Engine, raw: Raw) -> None:
    here = await node(engine)
    late, early, urgent, tie_one, tie_two = await put(
        engine, new(priority=5), new(priority=5), new(priority=0), new(priority=7), new(priority=7)
    )
    await raw.put(early, scheduled_at=Ago(60))
    await raw.put(late, scheduled_at=Ago(30))
    assert [claim.id for claim in await fetch(engine, here)] == [
        urgent,
        early,
        late,
        tie_one,
        tie_two,
    ]


async def test_no_more_than_free_slots_and_only_of_the_queue(engine: Engine) -> None:
    here = await node(engine)
    ids = await put(engine, *(new() for _ in range(5)), new(queue="other"))
    assert [claim.id for claim in await fetch(engine, here, 3)] == ids[:3]
    assert [claim.id for claim in await fetch(engine, here, 9)] == ids[3:5]
    assert await fetch(engine, here) == []
    assert await fetch(engine, here, 0, queue="other") == []
    assert (await job(engine, ids[5])).state is JobState.AVAILABLE


@pytest.mark.parametrize("state", sorted(INCOMPLETE - {JobState.AVAILABLE, JobState.EXECUTING}))
async def test_only_available_jobs_are_fetched(engine: Engine, raw: Raw, state: JobState) -> None:
    (id_,) = await put(engine)
    await raw.put(id_, state=state.value)
    assert await fetch(engine, await node(engine)) == []


async def test_tasks_left_out_stay(engine: Engine) -> None:
    here = await node(engine)
    await put(engine, new("unknown"), new("known"), new("strange"))
    claims = (await engine.exchange(here, "default", 9, [], exclude=["unknown", "strange"])).claims
    assert [claim.task for claim in claims] == ["known"]
    assert [claim.task for claim in await fetch(engine, here)] == ["unknown", "strange"]


async def test_a_fetch_can_begin_behind_a_position(engine: Engine) -> None:
    here = await node(engine)
    ids = await put(engine, *(new(priority=3) for _ in range(4)), new(priority=4), new(priority=0))
    second = await job(engine, ids[1])
    behind = Position(3, second.scheduled_at, second.id)
    claims = (await engine.exchange(here, "default", 2, [], after=behind)).claims
    assert [claim.id for claim in claims] == ids[2:4]
    last = claims[-1]
    claims = (
        await engine.exchange(
            here, "default", 2, [], after=Position(last.priority, last.scheduled_at, last.id)
        )
    ).claims
    assert [claim.id for claim in claims] == [ids[4]]
    assert [claim.id for claim in await fetch(engine, here)] == [ids[5], ids[0], ids[1]]


async def test_a_position_is_exact_whatever_the_delay(engine: Engine) -> None:
    """The time in a position is the time in the database, to the last digit."""
    here = await node(engine)
    ids = await put(
        engine,
        *(new(delay=-1 / 3) for _ in range(3)),
        *(new(delay=-1 / 7, queue="other") for _ in range(3)),
    )
    for queue, (_, second, third) in (("default", ids[:3]), ("other", ids[3:])):
        stored = await job(engine, second)
        answer = await engine.exchange(
            here, queue, 9, [], after=Position(0, stored.scheduled_at, second)
        )
        assert [claim.id for claim in answer.claims] == [third]


async def test_an_expired_job_is_not_started(engine: Engine, raw: Raw) -> None:
    here = await node(engine)
    expired, started_once, in_time = await put(engine, new(), new(), new())
    await raw.put(expired, expires_at=Ago(1))
    await raw.put(started_once, expires_at=Ago(1), started_at=Ago(60))
    await raw.put(in_time, expires_at=Ago(-60))
    assert [claim.id for claim in await fetch(engine, here)] == [started_once, in_time]


async def test_a_node_whose_row_is_gone_gets_nothing_and_still_acknowledges(engine: Engine) -> None:
    here, claim = await claimed(engine)
    (waiting,) = await put(engine)
    await engine.deregister_node(here)
    answer = await engine.exchange(here, "default", 5, [completed(claim)])
    assert answer.claims == []
    assert answer.acked == [(claim.id, False)]
    assert (await job(engine, waiting)).state is JobState.AVAILABLE


async def test_no_claim_is_given_twice(engine: Engine, other: Engine) -> None:
    """Six fetchers on two engines give back every fifth job. An end that meets a row
    held by somebody is sent again.
    """
    ids = await put(engine, *(new() for _ in range(600)))
    seen: list[tuple[int, int]] = []

    async def work(engine: Engine, turn: int) -> None:
        here, idle = await node(engine), 0
        acks: list[Ack] = []
        while idle < 3:
            answer = await engine.exchange(here, "default", 7 + turn, acks)
            written = {id_ for id_, _ in answer.acked}
            busy = [ack for ack in acks if ack.id not in written]
            assert set((await engine.ack_statuses(here, busy)).values()) <= {AckStatus.BUSY}
            seen.extend((claim.id, claim.claim) for claim in answer.claims)
            idle = 0 if answer.claims or busy else idle + 1
            acks = busy + [
                released(claim)
                if claim.claim == 1 and (claim.id + turn) % 5 == 0
                else completed(claim)
                for claim in answer.claims
            ]

    await asyncio.gather(*(work((engine, other)[turn % 2], turn) for turn in range(6)))
    assert len(seen) == len(set(seen))
    assert {id_ for id_, _ in seen} == set(ids)
    assert await engine.counts() == {"default": {"completed": 600}}
    for id_ in ids[::50]:
        assert len(await engine.runs(id_)) == max(
            claim for seen_id, claim in seen if seen_id == id_
        )


# acknowledge


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
        "completed", "retryable", "discarded", "available", "scheduled", "cancelled", "completed", "retryable", "completed",
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


async def test_who_waits_is_told(engine: Engine, raw: Raw) -> None:
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
async def test_a_wish_to_cancel_wins_over_another_attempt(engine: Engine, ending: Any) -> None:
    here, claim = await claimed(engine)
    await engine.cancel(only(claim.id))
    await acknowledge(engine, here, ending(claim))
    stored = await job(engine, claim.id)
    assert (stored.state, stored.finished_at is None) == (JobState.CANCELLED, False)
    assert await engine.intents(here) == []
    assert await results(engine, claim.id) == [ending(claim).outcome]


@pytest.mark.parametrize("ending", [completed, discarded])
async def test_a_wish_to_cancel_comes_too_late_for_an_end(engine: Engine, ending: Any) -> None:
    here, claim = await claimed(engine)
    await engine.cancel(only(claim.id))
    await acknowledge(engine, here, ending(claim))
    assert (await job(engine, claim.id)).state is ending(claim).state


async def test_an_end_takes_the_wish_with_it(engine: Engine) -> None:
    here, claim = await claimed(engine)
    await engine.cancel(only(claim.id))
    assert await engine.intents(here) == [(claim.id, claim.claim, Intent.CANCEL)]
    await acknowledge(engine, here, cancelled(claim))
    await engine.retry(only(claim.id))
    await fetch(engine, here)
    assert await engine.intents(here) == []


@pytest.mark.parametrize(
    ("ending", "left"),
    [(completed, None), (failed, "on_error"), (released, "on_error"), (discarded, None)],
)
async def test_what_is_still_to_be_delivered_survives_another_attempt(
    engine: Engine, raw: Raw, ending: Any, left: str | None
) -> None:
    here, claim = await claimed(engine, raw, intent="on_error")
    await acknowledge(engine, here, ending(claim))
    assert await raw.look(claim.id, "intent") == (left,)


async def test_a_wish_is_gone_with_the_end(engine: Engine, raw: Raw) -> None:
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


# the guard


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
    assert await engine.find(ANY, None, 10) == []
