"""Claims that wait in their node for a slot: what the database shows and stores of them."""

from datetime import datetime, timedelta

from elihu.engines.protocol import ClaimedJob, Engine
from elihu.job import JobState
from tests.engines.builders import (
    acknowledge,
    completed,
    failed,
    job,
    new,
    node,
    only,
    put,
    released,
    results,
    snoozed,
)
from tests.engines.raw import Ago, Raw

WAITED = 0.25


async def ahead(engine: Engine, here: str, free: int = 1, ahead: int = 1) -> list[ClaimedJob]:
    return (await engine.exchange(here, "default", free, [], ahead=ahead)).claims


async def started_at(engine: Engine, job_id: int) -> datetime | None:
    return (await job(engine, job_id)).started_at


async def test_the_last_claims_wait_and_have_not_started(engine: Engine) -> None:
    here = await node(engine)
    ids = await put(engine, *(new(priority=priority) for priority in (3, 1, 4, 0, 2)))
    claims = await ahead(engine, here, 4, 2)
    order = [ids[place] for place in (3, 1, 4, 0)]
    assert [claim.id for claim in claims] == order
    jobs = [await job(engine, id_) for id_ in order]
    assert {each.state for each in jobs} == {JobState.EXECUTING}
    assert [each.started_at is None for each in jobs] == [False, False, True, True]
    assert [claim.attempt for claim in claims] == [1] * 4
    assert [await results(engine, id_) for id_ in order] == [[None], [None], [], []]
    (page,) = [await engine.find(only(order[3]), None, 5)]
    assert [each.started_at for each in page.items] == [None]


async def test_the_end_of_an_attempt_brings_its_start(engine: Engine) -> None:
    here = await node(engine)
    ids = await put(engine, *(new() for _ in range(3)))
    claims = await ahead(engine, here, 3, 3)
    first, second, third = claims
    acks = [
        completed(first, waited=WAITED),
        failed(second, waited=WAITED),
        completed(third, waited=WAITED, value="7", log="a line"),
    ]
    assert sorted((await acknowledge(engine, here, *acks)).acked) == [(id_, False) for id_ in ids]
    expected = first.started_at + timedelta(seconds=WAITED)
    for id_ in ids:
        assert await started_at(engine, id_) == expected
        assert [run.started_at for run in await engine.runs(id_)] == [expected]
    assert (await job(engine, ids[2])).result == 7


async def test_an_end_without_a_wait_keeps_the_start(engine: Engine) -> None:
    here = await node(engine)
    (id_,) = await put(engine)
    (claim,) = await ahead(engine, here, 1, 0)
    await acknowledge(engine, here, completed(claim, waited=WAITED))
    assert await started_at(engine, id_) == claim.started_at


async def test_a_start_is_recorded_once(engine: Engine) -> None:
    here, other = await node(engine), await node(engine, "other")
    ids = await put(engine, new(), new())
    first, second = await ahead(engine, here, 2, 2)
    expected = first.started_at + timedelta(seconds=WAITED)
    starts = [(first.id, first.claim, WAITED), (second.id, second.claim + 1, WAITED)]
    assert await engine.record_starts(other, starts) == []
    assert await engine.record_starts(here, starts) == [first.id]
    assert await engine.record_starts(here, starts) == []
    assert [await started_at(engine, id_) for id_ in ids] == [expected, None]
    assert await results(engine, first.id) == [None]
    await acknowledge(engine, here, completed(first, waited=WAITED))
    assert await started_at(engine, first.id) == expected


async def test_a_claim_given_back_before_its_start_can_expire(engine: Engine, raw: Raw) -> None:
    here = await node(engine)
    (id_,) = await put(engine, new(expires=60.0))
    (claim,) = await ahead(engine, here)
    assert claim.expires_at is not None
    await acknowledge(engine, here, released(claim))
    given_back = await job(engine, id_)
    assert (given_back.state, given_back.attempt) == (JobState.AVAILABLE, 0)
    assert given_back.started_at is None
    await raw.put(id_, expires_at=Ago(1))
    assert await ahead(engine, here) == []
    assert [expired.id for expired in await engine.expire(5)] == [id_]


async def test_a_claim_given_back_after_its_start_cannot_expire(engine: Engine) -> None:
    here = await node(engine)
    (id_,) = await put(engine, new(expires=60.0))
    (claim,) = await ahead(engine, here)
    await acknowledge(engine, here, released(claim, waited=WAITED))
    assert await started_at(engine, id_) == claim.started_at + timedelta(seconds=WAITED)


async def test_a_waiting_job_that_has_started_before_has_no_expiry(
    engine: Engine, raw: Raw
) -> None:
    here = await node(engine)
    (id_,) = await put(engine, new(expires=60.0))
    (claim,) = await ahead(engine, here, 1, 0)
    assert claim.expires_at is not None
    await acknowledge(engine, here, snoozed(claim, 0.0))
    await raw.put(id_, state="available")
    (claim,) = await ahead(engine, here)
    assert claim.expires_at is None
    assert (await job(engine, id_)).expires_at is None


async def test_a_later_claim_does_not_wait(engine: Engine) -> None:
    here = await node(engine)
    (id_,) = await put(engine)
    (claim,) = await ahead(engine, here)
    await acknowledge(engine, here, released(claim))
    await ahead(engine, here, 1, 0)
    assert await started_at(engine, id_) is not None


async def test_a_cancelled_claim_that_waits_is_cancelled_when_it_is_given_back(
    engine: Engine,
) -> None:
    here = await node(engine)
    (id_,) = await put(engine)
    (claim,) = await ahead(engine, here)
    await engine.cancel(only(id_))
    await acknowledge(engine, here, released(claim))
    ended = await job(engine, id_)
    assert (ended.state, ended.started_at, ended.attempt) == (JobState.CANCELLED, None, 0)


async def test_a_waiting_claim_of_a_dead_node_counts_as_an_attempt(engine: Engine) -> None:
    here, other = await node(engine), await node(engine, "other")
    again, last = await put(engine, new(), new(max_attempts=1))
    await ahead(engine, here, 2, 2)
    await engine.deregister_node(here)
    await engine.rescue(5)
    first, second = await job(engine, again), await job(engine, last)
    assert (first.state, first.attempt) == (JobState.AVAILABLE, 1)
    assert (second.state, second.reason) == (JobState.DISCARDED, "orphaned")
    assert await results(engine, again) == ["orphaned"]
    (claim,) = await ahead(engine, other, 1, 0)
    assert claim.id == again


async def test_a_lost_claim_that_waits_is_reconciled(engine: Engine) -> None:
    here = await node(engine)
    (id_,) = await put(engine)
    await ahead(engine, here)
    assert [each.id for each in await engine.reconcile(here, [], -1)] == [id_]
    assert (await job(engine, id_)).state is JobState.AVAILABLE
