"""Fetching: the order, the limits, and that no claim is given twice."""

import asyncio
from datetime import timedelta

import pytest

from elihu.engines.protocol import Ack, AckStatus, ClaimedJob, Engine, Position
from elihu.job import INCOMPLETE, JobState
from tests.engines.builders import (
    completed,
    fetch,
    job,
    new,
    node,
    put,
    released,
)
from tests.engines.exchanges import claimed
from tests.engines.raw import Ago, Raw


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
        occurrence=None,
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
