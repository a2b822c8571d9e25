"""Kill, stop, what was taken from a node, and expiry."""

import asyncio
import json
import math
from typing import Any

import pytest

from elihu.engines.protocol import Ack, BulkResult, ClaimedJob, Engine
from elihu.errors import InvalidTransition, JobNotFound
from elihu.job import Intent, JobFilter, JobState, RunOutcome
from tests.engines.builders import (
    ANY,
    acknowledge,
    cancelled,
    completed,
    discarded,
    failed,
    fetch,
    in_state,
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


def killed(claim: ClaimedJob, **fields: Any) -> Ack:
    return Ack(
        claim.id, claim.claim, RunOutcome.KILLED, JobState.RETRYABLE, delay=60.0, reason="killed"
    )._replace(**fields)


# kill


async def test_kill_marks_what_executes_and_nothing_else(engine: Engine) -> None:
    ids = {state: await in_state(engine, state) for state in JobState}
    (running,) = (row.id for row in await engine.nodes() if row.running)
    assert await engine.kill(ANY) == BulkResult(1, frozenset(), frozenset({running}))
    assert [(await job(engine, id_)).state for id_ in ids.values()] == list(ids)
    assert await engine.intents(running) == [(ids[JobState.EXECUTING], 1, Intent.KILL)]
    assert (await engine.kill(ANY)).changed == 0


async def test_kill_covers_what_its_filter_covers(engine: Engine) -> None:
    mine = await in_state(engine, JobState.EXECUTING, task="mine")
    await in_state(engine, JobState.EXECUTING, task="theirs")
    for where in (
        JobFilter(task=("nobody's",)),
        JobFilter(ids=()),
        JobFilter(task=("mine",), state=(JobState.AVAILABLE,)),
    ):
        assert (await engine.kill(where)).changed == 0
    touched = await engine.kill(JobFilter(task=("mine",)))
    assert touched.changed == 1
    (here,) = touched.nodes
    assert await engine.intents(here) == [(mine, 1, Intent.KILL)]


async def test_an_intent_to_cancel_wins_over_one_to_kill(engine: Engine) -> None:
    here = await node(engine)
    first, second = await put(engine, new(), new())
    claims = await fetch(engine, here)
    await engine.cancel(only(first))
    assert (await engine.kill(only(first, second))).changed == 1
    assert (await engine.cancel(only(first, second))).changed == 1
    assert [intent for *_, intent in await engine.intents(here)] == [Intent.CANCEL] * 2
    await acknowledge(engine, here, *map(killed, claims))
    assert await states(engine, [first, second]) == ["cancelled"] * 2
    assert await results(engine, first) == ["killed"]


@pytest.mark.parametrize(
    "ending", [killed, completed, failed, discarded, released, snoozed, cancelled]
)
async def test_any_end_clears_the_intent_to_kill(engine: Engine, raw: Raw, ending: Any) -> None:
    here = await node(engine)
    (id_,) = await put(engine)
    (claim,) = await fetch(engine, here)
    await engine.kill(only(id_))
    await acknowledge(engine, here, ending(claim))
    assert (await job(engine, id_)).state is ending(claim).state
    assert await raw.look(id_, "intent") == (None,)


async def test_an_intent_to_kill_is_cleared_when_its_node_dies(engine: Engine, raw: Raw) -> None:
    here = await node(engine)
    (id_,) = await put(engine)
    await fetch(engine, here)
    await engine.kill(only(id_))
    await engine.deregister_node(here)
    assert [rescued.state for rescued in await engine.rescue(10)] == [JobState.AVAILABLE]
    assert await raw.look(id_, "intent") == (None,)
    assert await results(engine, id_) == ["orphaned"]


async def test_an_intent_to_kill_is_cleared_when_the_claim_never_arrived(
    engine: Engine, raw: Raw
) -> None:
    here = await node(engine)
    (id_,) = await put(engine)
    await fetch(engine, here)
    await engine.kill(only(id_))
    await raw.put(id_, started_at=Ago(100))
    assert await engine.reconcile(here, [], 20) == [(id_, "default", JobState.AVAILABLE, False)]
    assert await raw.look(id_, "state", "intent") == ("available", None)


# stop


async def test_stop_gives_back_at_once_and_refuses_the_old_end(engine: Engine, raw: Raw) -> None:
    here, elsewhere = await node(engine), await node(engine)
    (id_,) = await put(engine, new(queue="default", max_attempts=1))
    (claim,) = await fetch(engine, here)
    await raw.put(id_, orphans=2, intent="kill")
    assert await engine.stop(id_) == BulkResult(1, frozenset({"default"}), frozenset({here}))
    stored = await job(engine, id_)
    assert (stored.state, stored.attempt, stored.reason, stored.finished_at) == (
        JobState.AVAILABLE,
        0,
        None,
        None,
    )
    assert await raw.look(id_, "orphans", "intent") == (0, None)
    (run,) = await engine.runs(id_)
    assert (run.outcome, run.claim, run.attempt, run.node, run.started_at) == (
        "stopped",
        1,
        1,
        here,
        claim.started_at,
    )
    assert (await acknowledge(engine, here, completed(claim))).acked == []
    (again,) = await fetch(engine, elsewhere)
    assert (again.claim, again.attempt) == (2, 1)
    assert (await acknowledge(engine, here, completed(claim))).acked == []
    ack_statuses = await engine.ack_statuses(here, [completed(claim), released(claim)])
    assert set(ack_statuses.values()) == {"refused"}
    await acknowledge(engine, elsewhere, completed(again))
    assert await results(engine, id_) == ["stopped", "completed"]


async def test_an_intent_to_cancel_wins_over_a_stop(engine: Engine) -> None:
    here = await node(engine)
    (id_,) = await put(engine, new(awaited=True))
    await fetch(engine, here)
    await engine.cancel(only(id_))
    assert await engine.stop(id_) == BulkResult(1, frozenset(), frozenset({here}), frozenset({id_}))
    stored = await job(engine, id_)
    assert (stored.state, stored.reason, stored.finished_at is None) == (
        JobState.CANCELLED,
        "cancelled",
        False,
    )
    assert await results(engine, id_) == ["stopped"]


async def test_an_on_error_that_is_due_survives_a_stop(engine: Engine, raw: Raw) -> None:
    (id_,) = await put(engine)
    await fetch(engine, await node(engine))
    await raw.put(id_, options='{"on_error": true, "on_error_due": "why"}')
    await engine.stop(id_)
    state, options = await raw.look(id_, "state", "options")
    assert (state, json.loads(options)["on_error_due"]) == ("available", "why")


@pytest.mark.parametrize("state", sorted(set(JobState) - {JobState.EXECUTING}))
async def test_what_does_not_run_cannot_be_stopped(engine: Engine, state: JobState) -> None:
    id_ = await in_state(engine, state)
    before, runs = await job(engine, id_), await engine.runs(id_)
    with pytest.raises(
        InvalidTransition,
        match=f"stop: expected a job that is executing, got job {id_}, which is {state}",
    ):
        await engine.stop(id_)
    assert (await job(engine, id_), await engine.runs(id_)) == (before, runs)


async def test_stopping_an_unknown_job(engine: Engine) -> None:
    for id_ in (1, 0, -1, 2**80):
        with pytest.raises(JobNotFound, match=str(id_)):
            await engine.stop(id_)


async def test_an_end_and_a_stop_at_once_are_one_end(engine: Engine, other: Engine) -> None:
    here = await node(engine)
    ids = await put(engine, *(new() for _ in range(30)))
    claims = {claim.id: claim for claim in await fetch(engine, here)}

    async def end(id_: int) -> bool:
        return bool((await acknowledge(engine, here, completed(claims[id_]))).acked)

    async def stop(id_: int) -> bool:
        try:
            return bool((await other.stop(id_)).changed)
        except InvalidTransition:
            return False

    answers = await asyncio.gather(*map(end, ids), *map(stop, ids))
    for id_, won, stopped in zip(ids, answers[:30], answers[30:], strict=True):
        assert stopped is not won
        assert await results(engine, id_) == ["completed" if won else "stopped"]


# what was taken from a node


async def test_taken_are_the_claims_that_are_no_longer_the_nodes_own(engine: Engine) -> None:
    here, elsewhere = await node(engine), await node(engine)
    ids = await put(engine, *(new() for _ in range(5)))
    held = [(claim.id, claim.claim) for claim in await fetch(engine, here)]
    assert await engine.lost_claims(here, held) == []
    assert await engine.lost_claims(elsewhere, held) == held
    assert await engine.lost_claims(here, []) == []
    await engine.stop(ids[0])
    await engine.stop(ids[1])
    await fetch(engine, elsewhere, 1)
    await engine.stop(ids[2])
    await fetch(engine, here)
    assert await engine.lost_claims(here, [*held, (10**6, 1)]) == [*held[:3], (10**6, 1)]


# expiry


async def test_what_has_not_started_in_time_expires(engine: Engine, raw: Raw) -> None:
    late, scheduled, soon, endless, held = await put(
        engine,
        new(expires=60),
        new(expires=60, delay=3_600),
        new(expires=60),
        new(),
        new(expires=60, hold=True),
    )
    for id_ in (late, scheduled, held):
        await raw.put(id_, expires_at=Ago(1))
    assert await engine.expire(10) == [(late, "default", False), (scheduled, "default", False)]
    assert await states(engine, [late, scheduled, soon, endless, held]) == [
        "cancelled",
        "cancelled",
        "available",
        "available",
        "suspended",
    ]
    stored = await job(engine, late)
    assert (stored.reason, stored.finished_at is None, stored.attempt) == ("expired", False, 0)
    assert await engine.runs(late) == []
    assert await engine.expire(10) == []


async def test_what_started_once_never_expires(engine: Engine, raw: Raw) -> None:
    here = await node(engine)
    ids = await put(engine, *(new(expires=60) for _ in range(4)))
    running, again, snooze, retried = await fetch(engine, here)
    await acknowledge(engine, here, released(again), snoozed(snooze), failed(retried))
    for id_ in ids:
        await raw.put(id_, expires_at=Ago(1))
    assert await engine.expire(10) == []
    assert await states(engine, ids) == ["executing", "available", "scheduled", "retryable"]
    assert running.id == ids[0]


async def test_a_retry_clears_the_expiry(engine: Engine, raw: Raw) -> None:
    (id_,) = await put(engine, new(expires=60))
    await raw.put(id_, expires_at=Ago(1))
    await engine.expire(10)
    await engine.retry(only(id_))
    assert await engine.expire(10) == []
    assert [claim.id for claim in await fetch(engine, await node(engine))] == [id_]


async def test_those_over_longest_expire_first_and_no_more_than_the_limit(
    engine: Engine, raw: Raw
) -> None:
    ids = await put(engine, *(new(expires=60) for _ in range(5)))
    for id_, seconds in zip(ids, (1, 50, 20, 40, 30), strict=True):
        await raw.put(id_, expires_at=Ago(seconds))
    assert [expired.id for expired in await engine.expire(2)] == [ids[1], ids[3]]
    assert [expired.id for expired in await engine.expire(2)] == [ids[2], ids[4]]
    assert [expired.id for expired in await engine.expire(2)] == [ids[0]]


async def test_an_expired_job_wakes_its_waiters(engine: Engine, raw: Raw) -> None:
    (id_,) = await put(engine, new(queue="mail", expires=60, awaited=True))
    await raw.put(id_, expires_at=Ago(1))
    assert await engine.expire(10) == [(id_, "mail", True)]


async def test_two_sweepers_expire_each_job_once(engine: Engine, other: Engine, raw: Raw) -> None:
    ids = await put(engine, *(new(expires=60) for _ in range(60)))
    await raw.execute(f"UPDATE job SET expires_at = {raw.moment(1)}")
    found = await asyncio.gather(
        *(one.expire(20) for one in (engine, other) for _ in range(math.ceil(60 / 20)))
    )
    assert sorted(expired.id for batch in found for expired in batch) == ids


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_the_sweep_skips_what_others_hold(engine: Engine, raw: Raw) -> None:
    first, second = await put(engine, new(expires=60), new(expires=60))
    await raw.execute(f"UPDATE job SET expires_at = {raw.moment(1)}")
    await raw.execute("BEGIN")
    await raw.execute("SELECT FROM job WHERE id = %s FOR UPDATE", first)
    async with asyncio.timeout(10):
        assert [expired.id for expired in await engine.expire(10)] == [second]
    await raw.execute("COMMIT")
    assert [expired.id for expired in await engine.expire(10)] == [first]
