"""Acknowledge and fetch on PostgreSQL: rows that others hold, concurrent nodes, and
what only several connections can show.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import pytest

from elihu.config import RetentionConfig
from elihu.engines.postgres.engine import PostgresEngine
from elihu.engines.protocol import Ack, AckStatus, ClaimedJob
from elihu.engines.protocol.exchange import plain_ack
from elihu.errors import DataRefused
from elihu.job import JobFilter, JobState, NewJob, RunOutcome
from tests.engines.postgres_support import engine_on, locked, psql, registered


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[PostgresEngine]:
    async with engine_on(postgres_url, call_timeout=2.0) as engine:
        yield engine


def done(claim: ClaimedJob) -> Ack:
    return Ack(claim.id, claim.claim, RunOutcome.COMPLETED, JobState.COMPLETED)


def failed(claim: ClaimedJob) -> Ack:
    return Ack(claim.id, claim.claim, RunOutcome.FAILED, JobState.RETRYABLE, delay=0.0, error="no")


async def claims_of(engine: PostgresEngine, node: str, free: int) -> list[ClaimedJob]:
    return (await engine.exchange(node, "default", free, [])).claims


async def test_a_locked_row_is_busy_and_the_others_are_written(
    engine: PostgresEngine, postgres_url: str
) -> None:
    node = await registered(engine)
    await engine.insert([NewJob(task="a") for _ in range(6)])
    claims = await claims_of(engine, node, 4)
    held = claims[1]
    async with locked(
        postgres_url,
        f"SELECT FROM elihu.job WHERE id IN ({held.id}, {claims[-1].id + 1}) FOR UPDATE",
    ):
        answer = await engine.exchange(
            node,
            "default",
            10,
            [done(claim) for claim in claims[:2]] + [failed(claim) for claim in claims[2:]],
        )
        assert sorted(answer.acked) == sorted(
            (claim.id, False) for claim in claims if claim is not held
        )
        assert len(answer.claims) == 1, "the held one of the two that are left is passed over"
        assert await engine.ack_statuses(node, [done(held)]) == {
            (held.id, held.claim): AckStatus.BUSY
        }
    answer = await engine.exchange(node, "default", 0, [done(held)])
    assert answer.acked == [(held.id, False)]


async def test_services_skip_locked_rows(engine: PostgresEngine, postgres_url: str) -> None:
    node = await registered(engine)
    await engine.insert([NewJob(task="a") for _ in range(3)])
    claims = await claims_of(engine, node, 3)
    await engine.insert([NewJob(task="a", delay=3600) for _ in range(2)])
    async with psql(postgres_url) as connection:
        await connection.execute(
            "UPDATE elihu.job SET scheduled_at = now() - interval '1 s' WHERE state = 'scheduled'"
        )
    await engine.deregister_node(node)
    async with locked(
        postgres_url,
        f"SELECT FROM elihu.job WHERE id IN ({claims[0].id}, {claims[-1].id + 1}) FOR UPDATE",
    ):
        assert (await engine.stage(10)).queues == {"default": 1}
        assert [rescued.id for rescued in await engine.rescue(10)] == [
            claim.id for claim in claims[1:]
        ]
        await engine.record_progress(node, [(claims[0].id, 1, "{}")])
        assert await engine.reconcile(node, [], 0) == []
    assert (await engine.stage(10)).queues == {"default": 1}
    assert [rescued.id for rescued in await engine.rescue(10)] == [claims[0].id]


async def test_what_is_released_is_fetched_by_the_next_call(engine: PostgresEngine) -> None:
    node = await registered(engine)
    await engine.insert([NewJob(task="a")])
    (claim,) = await claims_of(engine, node, 1)
    released = Ack(claim.id, claim.claim, RunOutcome.RETURNED, JobState.AVAILABLE, refund_attempt=1)
    assert (await engine.exchange(node, "default", 1, [released])).claims == []
    (again,) = await claims_of(engine, node, 1)
    assert (again.id, again.claim, again.attempt) == (claim.id, 2, 1)


async def test_one_bad_value_refuses_the_whole_batch(engine: PostgresEngine) -> None:
    node = await registered(engine)
    await engine.insert([NewJob(task="a") for _ in range(3)])
    claims = await claims_of(engine, node, 2)
    bad = done(claims[1])._replace(value="{")
    with pytest.raises(DataRefused):
        await engine.exchange(node, "default", 1, [done(claims[0]), bad])
    assert await engine.counts() == {"default": {"executing": 2, "available": 1}}
    assert (await engine.exchange(node, "default", 0, [done(claims[0])])).acked == [
        (claims[0].id, False)
    ]


async def test_a_bad_row_does_not_stop_the_rescue_of_others(
    engine: PostgresEngine, postgres_url: str
) -> None:
    node = await registered(engine)
    await engine.insert(
        [NewJob(task="a", options='{"max_orphans": "many"}'), NewJob(task="bad"), NewJob(task="a")]
    )
    claims = await claims_of(engine, node, 3)
    async with psql(postgres_url) as connection:
        await connection.execute(
            """
            CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
              AS $$ BEGIN RAISE 'not this one'; END $$;
            CREATE TRIGGER refuse BEFORE UPDATE ON elihu.job FOR EACH ROW
              WHEN (OLD.task = 'bad') EXECUTE FUNCTION refuse();
            """
        )
    await engine.deregister_node(node)
    rescued = await engine.rescue(10)
    assert [(one.id, one.state) for one in rescued] == [
        (claims[0].id, JobState.AVAILABLE),
        (claims[2].id, JobState.AVAILABLE),
    ]
    with pytest.raises(DataRefused, match="not this one"):
        await engine.rescue(10)


async def test_an_existing_run_does_not_stop_rescue_or_reconcile(
    engine: PostgresEngine, postgres_url: str
) -> None:
    node = await registered(engine)
    await engine.insert([NewJob(task="a"), NewJob(task="a")])
    first, second = await claims_of(engine, node, 2)
    async with psql(postgres_url) as connection:
        await connection.execute(
            "INSERT INTO elihu.run (job_id, claim, attempt, started_at, outcome) SELECT id, claim, "
            "attempt, now(), 'failed' FROM elihu.job"
        )
    assert await engine.reconcile(node, [(second.id, second.claim)], -1) == [
        (first.id, "default", JobState.AVAILABLE, False)
    ]
    await engine.deregister_node(node)
    assert [rescued.id for rescued in await engine.rescue(10)] == [second.id]


async def test_no_claim_is_given_twice_and_every_claim_ends_once(
    engine: PostgresEngine, postgres_url: str
) -> None:
    """Several nodes with random outcomes, stale acknowledgements, buried nodes and rows
    locked by others.
    """
    chance = random.Random(20)
    jobs = 600
    await engine.insert(
        [NewJob(task="a", max_attempts=50, priority=chance.randrange(10)) for _ in range(jobs)]
    )
    given: list[tuple[int, int]] = []
    ended: list[tuple[int, int]] = []

    def end_of(claim: ClaimedJob) -> Ack:
        match chance.randrange(6):
            case 0:
                return failed(claim)
            case 1:
                return Ack(
                    claim.id, claim.claim, RunOutcome.RETURNED, JobState.AVAILABLE, refund_attempt=1
                )
            case 2:
                return Ack(
                    claim.id,
                    claim.claim,
                    RunOutcome.SNOOZED,
                    JobState.SCHEDULED,
                    delay=0.0,
                    refund_attempt=1,
                )
        return done(claim)

    async def acknowledge(node: str, acks: Sequence[Ack]) -> list[Ack]:
        """Those that are to be sent again."""
        answer = await engine.exchange(node, "default", 0, acks)
        written = {id_ for id_, _ in answer.acked}
        ended.extend((ack.id, ack.claim) for ack in acks if ack.id in written)
        left = [ack for ack in acks if ack.id not in written]
        ack_statuses = await engine.ack_statuses(node, left)
        return [ack for ack in left if ack_statuses[ack.id, ack.claim] is AckStatus.BUSY]

    async def work() -> None:
        node = await registered(engine)
        stale: list[Ack] = []
        while await engine.count(JobFilter(state=(JobState.COMPLETED, JobState.DISCARDED))) < jobs:
            await engine.stage(50)
            claims = await claims_of(engine, node, 10)
            given.extend((claim.id, claim.claim) for claim in claims)
            if chance.random() < 0.1:
                await engine.deregister_node(node)
                await engine.rescue(100)
                assert (await engine.exchange(node, "default", 5, [])).claims == [], (
                    "a node whose row is gone gets nothing"
                )
                node = await registered(engine)
                assert (
                    await engine.exchange(node, "default", 0, [done(claim) for claim in claims])
                ).acked == []
                continue
            acks = [end_of(claim) for claim in claims]
            assert (await engine.exchange(str(uuid4()), "default", 0, acks)).acked == [], (
                "another node's"
            )
            assert (await engine.exchange(node, "default", 0, stale)).acked == [], "old claims"
            stale = list(acks)
            while acks:
                acks = await acknowledge(node, acks)
            await engine.rescue(100)
            async with psql(postgres_url) as connection:
                await connection.execute(
                    "UPDATE elihu.job SET scheduled_at = now() WHERE state IN "
                    "('retryable','scheduled')"
                )

    async def hold_rows() -> None:
        async with psql(postgres_url) as connection:
            while True:
                async with connection.transaction():
                    await connection.execute(
                        "SELECT FROM elihu.job WHERE id % 7 = $1 FOR NO KEY UPDATE SKIP LOCKED",
                        chance.randrange(7),
                    )

    disturbance = asyncio.create_task(hold_rows())
    await asyncio.gather(*(work() for _ in range(3)))
    disturbance.cancel()
    await asyncio.wait([disturbance])
    assert len(given) == len(set(given))
    assert len(ended) == len(set(ended))
    async with psql(postgres_url) as connection:
        runs = await connection.fetch("SELECT job_id, claim, outcome FROM elihu.run")
        states = await connection.fetch("SELECT id, claim, state FROM elihu.job")
    assert {row["state"] for row in states} <= {"completed", "discarded"}, (
        "discarded: orphaned three times in a row"
    )
    plain = {(row["id"], row["claim"]) for row in states if row["state"] == "completed"}
    stored = {(row["job_id"], row["claim"]) for row in runs}
    assert not plain & stored
    assert plain | stored == set(given)
    assert set(ended) == set(given) - {
        (row["job_id"], row["claim"]) for row in runs if row["outcome"] == "orphaned"
    }


async def test_a_vacant_time_keeps_a_given_back_job_able_to_expire(engine: PostgresEngine) -> None:
    node = await registered(engine)
    await engine.insert([NewJob(task="unknown")])
    (claim,) = await claims_of(engine, node, 1)
    given_back = Ack(
        claim.id,
        claim.claim,
        RunOutcome.RETURNED,
        JobState.SCHEDULED,
        delay=30.0,
        refund_attempt=1,
        reason="unknown task",
    )
    await engine.exchange(node, "default", 0, [given_back])
    job = await engine.get(claim.id)
    assert job is not None
    assert (job.state, job.started_at, job.attempt) == (JobState.SCHEDULED, None, 0)
    (run,) = await engine.runs(claim.id)
    assert (run.outcome, run.reason, run.started_at) == (
        RunOutcome.RETURNED,
        "unknown task",
        claim.started_at,
    )


@pytest.mark.parametrize(
    "retention",
    [
        RetentionConfig(states={"completed": 3_600.0}),
        RetentionConfig(states={}, queues={"default": {"completed": 7_200.0}}),
    ],
)
async def test_a_plain_completion_is_the_same_alone_and_among_other_ends(
    postgres_url: str, retention: RetentionConfig
) -> None:
    """exchange_plain.sql and exchange.sql."""
    written: list[list[object]] = []
    async with engine_on(postgres_url, retention=retention) as engine, psql(postgres_url) as raw:
        node = await registered(engine)
        for others in (0, 1):
            await raw.execute("TRUNCATE elihu.job, elihu.run RESTART IDENTITY")
            await engine.insert([NewJob(task="t")] * 6 + [NewJob(task="other")] * others)
            claims = await claims_of(engine, node, 10)
            await raw.execute(
                "UPDATE elihu.job SET awaited = id % 2 = 0, orphans = 1, reason = 'before',"
                " intent = 'cancel', keep_until = CASE WHEN id % 3 = 0 THEN now() + '9 d' END"
            )
            acks = [plain_ack((each.id, each.claim), "7") for each in claims[:6]]
            answer = await engine.exchange(node, "default", 0, [*acks, *map(failed, claims[6:])])
            assert sorted(answer.acked)[:6] == [(id_, id_ % 2 == 0) for id_ in range(1, 7)]
            written.append(
                await raw.fetch(
                    "SELECT id, state, attempt, intent, options::text, reason, result::text,"
                    " orphans, scheduled_at = inserted_at, finished_at > started_at, node,"
                    " round(extract(epoch FROM prune_at - finished_at))::bigint,"
                    " (SELECT count(*) FROM elihu.run WHERE job_id = id)"
                    " FROM elihu.job WHERE task = 't' ORDER BY id"
                )
            )
    assert len(written[0]) == 6
    assert written[0] == written[1]
