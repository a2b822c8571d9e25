"""Rescue: attempts of nodes that are no more end as orphaned, each visible in the runs.
Reconcile: those a node does not know of.
"""

import asyncio
import json
from typing import Any

import pytest

from elihu.engines.protocol import ClaimedJob, Engine
from elihu.job import JobState
from tests.engines.builders import (
    acknowledge,
    completed,
    failed,
    fetch,
    job,
    new,
    node,
    only,
    put,
    results,
    states,
)
from tests.engines.raw import Ago, Raw


async def orphan(engine: Engine, raw: Raw, id_: int, **columns: Any) -> ClaimedJob:
    """Let a node fetch the job and be no more; ``columns`` are changed in between."""
    gone = await node(engine, "gone")
    (claim,) = [claim for claim in await fetch(engine, gone) if claim.id == id_]
    if columns:
        await raw.put(id_, **columns)
    await engine.deregister_node(gone)
    return claim


async def orphaned(engine: Engine, raw: Raw, options: str | None = None, **columns: Any) -> int:
    (id_,) = await put(engine, new(options=options))
    await orphan(engine, raw, id_, **columns)
    return id_


async def test_nothing_to_rescue(engine: Engine) -> None:
    assert await engine.rescue(10) == []


async def test_a_job_of_a_living_node_is_never_rescued(engine: Engine, raw: Raw) -> None:
    """However old it is."""
    here = await node(engine)
    (id_,) = await put(engine)
    await fetch(engine, here)
    await raw.put(id_, started_at=Ago(10_000_000))
    assert await engine.rescue(10) == []
    assert (await job(engine, id_)).state is JobState.EXECUTING


async def test_the_first_orphaning_gives_it_back_at_once(engine: Engine, raw: Raw) -> None:
    (id_,) = await put(engine, new(queue="default"))
    claim = await orphan(engine, raw, id_)
    assert await engine.rescue(10) == [(id_, "default", JobState.AVAILABLE, False)]
    stored = await job(engine, id_)
    (run,) = await engine.runs(id_)
    assert (stored.state, stored.attempt, stored.scheduled_at, stored.reason) == (
        JobState.AVAILABLE,
        1,
        claim.scheduled_at,
        None,
    )
    assert (run.claim, run.attempt, run.node, run.started_at, run.outcome) == (
        1,
        1,
        stored.node,
        claim.started_at,
        "orphaned",
    )
    assert run.ended_at is not None
    (again,) = await fetch(engine, await node(engine))
    assert (again.attempt, again.claim, again.orphans) == (2, 2, 1)


async def test_the_second_waits_and_the_third_in_a_row_discards(engine: Engine, raw: Raw) -> None:
    id_ = await orphaned(engine, raw)
    await engine.rescue(10)
    await orphan(engine, raw, id_)
    assert [rescued.state for rescued in await engine.rescue(10)] == [JobState.RETRYABLE]
    second = (await engine.runs(id_))[-1]
    assert second.ended_at is not None
    wait = ((await job(engine, id_)).scheduled_at - second.ended_at).total_seconds()
    assert 17 <= wait <= 34.1
    await raw.put(id_, scheduled_at=Ago(1))
    await engine.stage(10)
    await orphan(engine, raw, id_)
    assert [rescued.state for rescued in await engine.rescue(10)] == [JobState.DISCARDED]
    stored = await job(engine, id_)
    assert (stored.reason, stored.attempt) == ("orphaned", 3)
    assert stored.finished_at is not None
    assert await results(engine, id_) == ["orphaned"] * 3


async def test_the_wait_has_jitter(engine: Engine, raw: Raw) -> None:
    ids = await put(engine, *(new() for _ in range(8)))
    gone = await node(engine)
    await fetch(engine, gone)
    for id_ in ids:
        await raw.put(id_, orphans=1)
    await engine.deregister_node(gone)
    assert {rescued.state for rescued in await engine.rescue(10)} == {JobState.RETRYABLE}
    assert len({(await job(engine, id_)).scheduled_at for id_ in ids}) > 1


async def test_any_other_end_resets_the_count(engine: Engine, raw: Raw) -> None:
    id_ = await orphaned(engine, raw)
    await engine.rescue(10)
    here = await node(engine)
    (claim,) = await fetch(engine, here)
    await acknowledge(engine, here, failed(claim, delay=-1.0))
    await engine.stage(10)
    await orphan(engine, raw, id_)
    assert [rescued.state for rescued in await engine.rescue(10)] == [JobState.AVAILABLE]


@pytest.mark.parametrize(
    ("options", "orphans", "state"),
    [
        ('{"max_orphans": 1}', 0, JobState.DISCARDED),
        ('{"max_orphans": 5}', 3, JobState.RETRYABLE),
        ('{"max_orphans": 5}', 4, JobState.DISCARDED),
        ('{"record": true}', 1, JobState.RETRYABLE),
        ('{"record": true}', 2, JobState.DISCARDED),
        (None, 2, JobState.DISCARDED),
        ('{"max_orphans": "many"}', 2, JobState.DISCARDED),
        ('{"max_orphans": "many"}', 1, JobState.RETRYABLE),
        ('{"max_orphans": null}', 1, JobState.RETRYABLE),
        ('{"max_orphans": [1]}', 1, JobState.RETRYABLE),
        ('{"max_orphans": 1e30}', 1, JobState.RETRYABLE),
        ("[]", 1, JobState.RETRYABLE),
        ("7", 1, JobState.RETRYABLE),
    ],
)
async def test_how_many_orphanings_a_job_survives(
    engine: Engine, raw: Raw, options: str | None, orphans: int, state: JobState
) -> None:
    await orphaned(engine, raw, options, orphans=orphans)
    assert [rescued.state for rescued in await engine.rescue(10)] == [state]


async def test_one_attempt_means_at_most_once(engine: Engine, raw: Raw) -> None:
    (id_,) = await put(engine, new(max_attempts=1))
    await orphan(engine, raw, id_)
    assert [rescued.state for rescued in await engine.rescue(10)] == [JobState.DISCARDED]
    assert (await job(engine, id_)).reason == "orphaned"


async def test_a_transaction_that_was_rolled_back_does_not_count(engine: Engine, raw: Raw) -> None:
    (id_,) = await put(engine, new(max_attempts=1))
    await orphan(engine, raw, id_, options='{"transactional": true}')
    assert [rescued.state for rescued in await engine.rescue(10)] == [JobState.AVAILABLE]
    assert (await job(engine, id_)).attempt == 0


async def test_an_intent_to_cancel_outlives_the_node(engine: Engine, raw: Raw) -> None:
    id_ = await orphaned(engine, raw, intent="cancel")
    assert [rescued.state for rescued in await engine.rescue(10)] == [JobState.CANCELLED]
    stored = await job(engine, id_)
    assert (stored.reason, stored.finished_at is None) == ("cancelled", False)
    assert await results(engine, id_) == ["orphaned"]


async def test_the_last_orphaning_is_delivered_to_user_code_once(engine: Engine, raw: Raw) -> None:
    (id_,) = await put(engine, new(max_attempts=1))
    await orphan(engine, raw, id_, options='{"on_error": true}')
    assert [rescued.state for rescued in await engine.rescue(10)] == [JobState.AVAILABLE]
    (options,) = await raw.look(id_, "options")
    assert json.loads(options) == {"on_error": True, "on_error_due": "orphaned"}
    await orphan(engine, raw, id_)
    assert [rescued.state for rescued in await engine.rescue(10)] == [JobState.DISCARDED]


async def test_a_rescue_wakes_the_waiters(engine: Engine, raw: Raw) -> None:
    id_ = await orphaned(engine, raw, awaited=engine.name != "sqlite" or 1)
    assert await engine.rescue(10) == [(id_, "default", JobState.AVAILABLE, True)]


async def test_no_more_than_the_limit_and_then_the_rest(engine: Engine) -> None:
    gone = await node(engine)
    ids = await put(engine, *(new() for _ in range(25)))
    await fetch(engine, gone)
    await engine.deregister_node(gone)
    rounds = [[rescued.id for rescued in await engine.rescue(10)] for _ in range(4)]
    assert [len(round_) for round_ in rounds] == [10, 10, 5, 0]
    assert sorted(id_ for round_ in rounds for id_ in round_) == ids
    assert set(await states(engine, ids)) == {"available"}


async def test_two_rescuers_end_each_attempt_once(engine: Engine, other: Engine) -> None:
    gone = await node(engine)
    ids = await put(engine, *(new() for _ in range(90)))
    await fetch(engine, gone)
    await engine.deregister_node(gone)
    rescued: list[int] = []
    while found := await asyncio.gather(
        *(one.rescue(20) for one in (engine, other, engine, other))
    ):
        if not any(found):
            break
        rescued += [one.id for batch in found for one in batch]
    assert sorted(rescued) == ids
    assert [await results(engine, id_) for id_ in ids] == [["orphaned"]] * 90


async def test_an_existing_run_stops_no_rescue(engine: Engine, raw: Raw) -> None:
    gone = await node(engine)
    bad, good = await put(engine, new(), new())
    await fetch(engine, gone)
    await raw.execute(
        f"""INSERT INTO run (job_id, claim, attempt, started_at, ended_at, outcome)
        VALUES (%s, 1, 1, {raw.moment(9)}, {raw.moment(8)}, 'failed')""",
        bad,
    )
    await engine.deregister_node(gone)
    assert [rescued.id for rescued in await engine.rescue(10)] == [bad, good]
    assert await states(engine, [bad, good]) == ["available", "available"]


# reconcile


async def test_what_the_node_does_not_know_of_is_given_back(engine: Engine, raw: Raw) -> None:
    here, elsewhere = await node(engine), await node(engine)
    ids = await put(engine, *(new() for _ in range(4)))
    await fetch(engine, elsewhere, 1)
    held, lost, fresh = await fetch(engine, here)
    for id_ in (ids[0], held.id, lost.id):
        await raw.put(id_, started_at=Ago(100))
    assert await engine.reconcile(here, [(held.id, held.claim)], 20) == [
        (lost.id, "default", JobState.AVAILABLE, False)
    ]
    assert await states(engine, ids) == ["executing", "executing", "available", "executing"]
    assert await engine.reconcile(here, [(held.id, held.claim)], 20) == []
    (run,) = await engine.runs(lost.id)
    assert (run.outcome, run.claim, run.attempt, run.node) == ("returned", 1, 1, here)
    (again,) = await fetch(engine, here)
    assert (again.id, again.claim, again.attempt, again.orphans) == (lost.id, 2, 1, 0)
    assert fresh.id == ids[3]


async def test_another_claim_of_a_job_is_not_the_one_that_is_held(engine: Engine, raw: Raw) -> None:
    here = await node(engine)
    (id_,) = await put(engine)
    (claim,) = await fetch(engine, here)
    await raw.put(id_, started_at=Ago(100))
    assert await engine.reconcile(here, [(id_, claim.claim + 1), (id_ + 1, claim.claim)], 20) == [
        (id_, "default", JobState.AVAILABLE, False)
    ]
    assert (await acknowledge(engine, here, completed(claim))).acked == []


async def test_a_returned_job_keeps_its_intent_to_cancel(engine: Engine, raw: Raw) -> None:
    here = await node(engine)
    (id_,) = await put(engine)
    await fetch(engine, here)
    await engine.cancel(only(id_))
    await raw.put(id_, started_at=Ago(100))
    assert await engine.reconcile(here, [], 20) == [(id_, "default", JobState.CANCELLED, False)]
    stored = await job(engine, id_)
    assert (stored.state, stored.reason, stored.attempt) == (JobState.CANCELLED, "cancelled", 0)
