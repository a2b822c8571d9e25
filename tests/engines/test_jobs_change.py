"""The bulk verbs and the update of a job."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from elihu.engines.protocol import BulkResult, Engine
from elihu.errors import DataRefused, InvalidTransition, UniqueConflict
from elihu.job import FINISHED, TRANSITIONS, Intent, JobChanges, JobFilter, JobState
from tests.engines.builders import (
    ANY,
    acknowledge,
    discarded,
    fetch,
    in_state,
    job,
    new,
    node,
    only,
    put,
    results,
    states,
)
from tests.engines.raw import Ago, Raw


async def one_in_each_state(engine: Engine) -> dict[JobState, int]:
    return {state: await in_state(engine, state) for state in JobState}


async def changed_states(engine: Engine, ids: dict[JobState, int]) -> dict[JobState, JobState]:
    """The jobs that are in another state now, from which to which."""
    return {
        state: now
        for state, id_ in ids.items()
        if (now := (await job(engine, id_)).state) is not state
    }


# bulk verbs


async def test_cancel(engine: Engine) -> None:
    ids = await one_in_each_state(engine)
    (running,) = (row.id for row in await engine.nodes() if row.running)
    touched = await engine.cancel(ANY)
    assert touched == BulkResult(5, frozenset(), frozenset({running}))
    waiting = (JobState.SUSPENDED, JobState.SCHEDULED, JobState.AVAILABLE, JobState.RETRYABLE)
    assert await changed_states(engine, ids) == dict.fromkeys(waiting, JobState.CANCELLED)
    for state in waiting:
        stored = await job(engine, ids[state])
        assert (stored.reason, stored.finished_at is None) == ("cancelled", False)
    assert await engine.intents(running) == [(ids[JobState.EXECUTING], 1, Intent.CANCEL)]
    assert (await job(engine, ids[JobState.EXECUTING])).reason is None
    assert (await engine.cancel(ANY)).changed == 0


async def test_intents_are_the_nodes_own(engine: Engine) -> None:
    here, elsewhere = await node(engine), await node(engine)
    ids = await put(engine, new(), new(), new())
    await fetch(engine, here, 2)
    await fetch(engine, elsewhere, 1)
    assert (await engine.cancel(only(*ids[1:]))).nodes == {here, elsewhere}
    assert await engine.intents(here) == [(ids[1], 1, Intent.CANCEL)]
    assert await engine.intents(elsewhere) == [(ids[2], 1, Intent.CANCEL)]


async def test_retry(engine: Engine) -> None:
    ids = await one_in_each_state(engine)
    touched = await engine.retry(ANY)
    again = set(JobState) - {JobState.AVAILABLE, JobState.EXECUTING}
    assert touched == BulkResult(6, frozenset({f"way-to-{state}" for state in again}), frozenset())
    assert await changed_states(engine, ids) == dict.fromkeys(again, JobState.AVAILABLE)
    for state in again:
        stored = await job(engine, ids[state])
        assert (stored.finished_at, stored.reason, stored.result) == (None, None, None)
    claims = [
        claim
        for queue in touched.queues
        for claim in await fetch(engine, await node(engine), queue=queue)
    ]
    assert {claim.id for claim in claims} == {ids[state] for state in again}


async def test_retry_begins_afresh(engine: Engine, raw: Raw) -> None:
    here = await node(engine)
    (id_,) = await put(engine, new(max_attempts=1))
    (claim,) = await fetch(engine, here)
    await acknowledge(engine, here, discarded(claim, reason="why", value="1"))
    await raw.put(id_, orphans=2, expires_at=Ago(3600), scheduled_at=Ago(3600), intent="cancel")
    before = datetime.now(UTC) - timedelta(seconds=60)
    await engine.retry(only(id_))
    stored = await job(engine, id_)
    assert (stored.max_attempts, stored.attempt, stored.reason, stored.result) == (2, 1, None, None)
    assert stored.scheduled_at > before
    assert await raw.look(id_, "orphans", "expires_at", "intent") == (0, None, None)
    (again,) = await fetch(engine, here)
    assert (again.attempt, again.claim) == (2, 2)
    assert await results(engine, id_) == ["failed", None]


async def test_retry_leaves_attempts_that_are_not_used_up(engine: Engine) -> None:
    id_ = await in_state(engine, JobState.DISCARDED, max_attempts=5)
    await engine.retry(only(id_))
    assert (await job(engine, id_)).max_attempts == 5


async def test_a_plain_completion_becomes_a_run_when_it_is_retried(engine: Engine) -> None:
    id_ = await in_state(engine, JobState.COMPLETED)
    (before,) = await engine.runs(id_)
    await engine.retry(only(id_))
    assert await engine.runs(id_) == [before]


async def test_retry_names_the_holder_and_changes_nothing(engine: Engine) -> None:
    finished = await in_state(engine, JobState.CANCELLED, unique_key=b"k", unique_scope=0)
    plain = await in_state(engine, JobState.COMPLETED)
    (holder,) = await put(engine, new(unique_key=b"k", unique_scope=0))
    with pytest.raises(UniqueConflict, match=f"{finished}.*{holder}") as caught:
        await engine.retry(only(plain, finished))
    assert (caught.value.job_id, caught.value.holder) == (finished, holder)
    assert await states(engine, [finished, plain, holder]) == [
        "cancelled",
        "completed",
        "available",
    ]
    assert await results(engine, plain) == ["completed"]
    await engine.delete(only(holder))
    assert (await engine.retry(only(plain, finished))).changed == 2


async def test_two_jobs_with_one_unique_key_in_one_retry(engine: Engine) -> None:
    first = await in_state(engine, JobState.DISCARDED, unique_key=b"k", unique_scope=0)
    second = await in_state(engine, JobState.CANCELLED, unique_key=b"k", unique_scope=0)
    with pytest.raises(UniqueConflict) as caught:
        await engine.retry(only(first, second))
    assert {caught.value.job_id, caught.value.holder} == {first, second}
    assert await states(engine, [first, second]) == ["discarded", "cancelled"]


async def test_delete(engine: Engine, raw: Raw) -> None:
    ids = await one_in_each_state(engine)
    assert (await engine.delete(ANY)).changed == 7
    assert [found.id for found in (await engine.find(ANY, None, 10)).items] == [
        ids[JobState.EXECUTING]
    ]
    assert await raw.number("SELECT count(*) FROM run") == 0


async def test_hold_and_release(engine: Engine, raw: Raw) -> None:
    ids = await one_in_each_state(engine)
    held = (JobState.SCHEDULED, JobState.AVAILABLE, JobState.RETRYABLE)
    assert (await engine.hold(ANY)).changed == 3
    assert await changed_states(engine, ids) == dict.fromkeys(held, JobState.SUSPENDED)
    assert await fetch(engine, await node(engine), queue="way-to-available") == []
    touched = await engine.release(ANY)
    assert touched == BulkResult(
        4, frozenset({"way-to-suspended", "way-to-available"}), frozenset()
    )
    now = await states(engine, [ids[state] for state in (JobState.SUSPENDED, *held)])
    assert now == ["available", "scheduled", "available", "scheduled"]
    assert (await engine.release(ANY)).changed == 0
    (id_,) = await put(engine, new(hold=True, delay=3_600))
    await raw.put(id_, scheduled_at=Ago(0))
    assert (await engine.release(only(id_))).queues == {"default"}


@pytest.mark.parametrize("verb", ["cancel", "retry", "hold", "release", "delete"])
async def test_a_verb_covers_what_its_filter_covers(engine: Engine, verb: str) -> None:
    state = {"retry": JobState.COMPLETED, "release": JobState.SUSPENDED}.get(
        verb, JobState.AVAILABLE
    )
    mine = await in_state(engine, state, task="mine")
    theirs = await in_state(engine, state, task="theirs")
    act = getattr(engine, verb)
    assert (await act(JobFilter(task=("nobody's",)))).changed == 0
    assert (await act(JobFilter(ids=()))).changed == 0
    assert (await act(JobFilter(task=("mine",), state=(JobState.EXECUTING,)))).changed == 0
    assert (await act(JobFilter(task=("mine",), state=(state,)))).changed == 1
    assert (await job(engine, theirs)).state is state
    assert (await engine.get(mine)) is None or (await job(engine, mine)).state is not state


@pytest.mark.parametrize("verb", ["cancel", "hold", "delete"])
async def test_more_jobs_than_one_transaction_takes(engine: Engine, verb: str) -> None:
    ids = await put(engine, *(new() for _ in range(2_345)), new(queue="other"))
    touched = await getattr(engine, verb)(JobFilter(queue=("default",)))
    assert touched.changed == 2_345
    left = (await engine.find(JobFilter(state=(JobState.AVAILABLE,)), None, 10)).items
    assert [found.id for found in left] == [ids[-1]]


async def test_touched_is_summed_over_all_pieces(engine: Engine) -> None:
    await put(engine, *(new(queue=f"queue{number % 3}", hold=True) for number in range(2_100)))
    touched = await engine.release(ANY)
    assert touched == BulkResult(2_100, frozenset({"queue0", "queue1", "queue2"}), frozenset())


async def test_a_bulk_verb_changes_each_job_once(engine: Engine, other: Engine) -> None:
    await put(engine, *(new() for _ in range(1_500)))
    touched = await asyncio.gather(*(one.cancel(ANY) for one in (engine, other, engine)))
    assert sum(one.changed for one in touched) == 1_500


# update


async def test_update_changes_what_is_given(engine: Engine) -> None:
    (id_,) = await put(engine, new(args='{"a": 1}', tags=("old",), meta='{"m": 1}'))
    same, _ = await engine.update(id_, JobChanges())
    assert same == await job(engine, id_)
    changes = JobChanges(
        args='{"b": 2}',
        queue="mail",
        priority=7,
        max_attempts=3,
        tags=("new", "er"),
        meta='{"n": 2}',
    )
    updated, touched = await engine.update(id_, changes)
    assert updated == await job(engine, id_)
    assert (updated.args, updated.queue, updated.priority, updated.max_attempts) == (
        {"b": 2},
        "mail",
        7,
        3,
    )
    assert (updated.tags, updated.meta, updated.state, updated.scheduled_at) == (
        ("new", "er"),
        {"n": 2},
        JobState.AVAILABLE,
        same.scheduled_at,
    )
    assert touched == BulkResult(1, frozenset({"mail"}), frozenset())
    updated, _ = await engine.update(id_, JobChanges(tags=(), meta="{}", priority=0))
    assert (updated.tags, updated.meta, updated.priority) == ((), {}, 0)


@pytest.mark.parametrize(
    ("state", "ahead", "then"),
    [
        (JobState.AVAILABLE, 3_600, JobState.SCHEDULED),
        (JobState.AVAILABLE, -3_600, JobState.AVAILABLE),
        (JobState.SCHEDULED, -3_600, JobState.AVAILABLE),
        (JobState.SCHEDULED, 3_600, JobState.SCHEDULED),
        (JobState.RETRYABLE, -3_600, JobState.AVAILABLE),
        (JobState.RETRYABLE, 3_600, JobState.SCHEDULED),
        (JobState.SUSPENDED, -3_600, JobState.SUSPENDED),
        (JobState.SUSPENDED, 3_600, JobState.SUSPENDED),
    ],
)
async def test_a_new_time_determines_the_state_again(
    engine: Engine, state: JobState, ahead: float, then: JobState
) -> None:
    id_ = await in_state(engine, state)
    run_at = datetime.now(UTC) + timedelta(seconds=ahead)
    updated, touched = await engine.update(id_, JobChanges(run_at=run_at))
    assert (updated.state, updated.scheduled_at) == (then, run_at)
    assert then is state or then in TRANSITIONS[state]
    assert touched.queues == ({updated.queue} if then is JobState.AVAILABLE else set())


async def test_without_a_new_time_the_state_stays(engine: Engine) -> None:
    for state in (JobState.SUSPENDED, JobState.SCHEDULED, JobState.AVAILABLE, JobState.RETRYABLE):
        id_ = await in_state(engine, state)
        before = await job(engine, id_)
        updated, _ = await engine.update(id_, JobChanges(priority=3))
        assert (updated.state, updated.scheduled_at, updated.priority) == (
            state,
            before.scheduled_at,
            3,
        )


@pytest.mark.parametrize("state", sorted(FINISHED | {JobState.EXECUTING}))
async def test_what_runs_or_has_ended_is_not_changed(engine: Engine, state: JobState) -> None:
    id_ = await in_state(engine, state)
    before = await job(engine, id_)
    with pytest.raises(InvalidTransition, match=f"{id_}.*{state}"):
        await engine.update(id_, JobChanges(priority=3))
    assert await job(engine, id_) == before


@pytest.mark.parametrize(
    "changes",
    [JobChanges(args="{"), JobChanges(priority=10), JobChanges(queue="lone \ud800")],
    ids=str,
)
async def test_an_update_that_cannot_be_stored(engine: Engine, changes: JobChanges) -> None:
    (id_,) = await put(engine)
    before = await job(engine, id_)
    with pytest.raises(DataRefused):
        await engine.update(id_, changes)
    assert await job(engine, id_) == before
