"""Inserts on PostgreSQL: order, holders that appear and vanish meanwhile, locks in one
order.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest

from elihu.engines.postgres.engine import PostgresEngine
from elihu.errors import DatabaseTimeout, UniqueConflict
from elihu.job import JobFilter, JobState, NewJob
from tests.engines.postgres_support import Watcher, engine_on, locked, psql


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[PostgresEngine]:
    async with engine_on(postgres_url) as engine:
        yield engine


@pytest.fixture
async def watcher(postgres_url: str) -> AsyncIterator[Watcher]:
    async with psql(postgres_url) as connection:
        yield Watcher(connection)


def unique(key: str, task: str = "a") -> NewJob:
    return NewJob(task=task, unique_key=key.encode(), unique_scope=0)


async def test_ids_ascend_in_the_order_of_a_large_batch(engine: PostgresEngine) -> None:
    inserted = await engine.insert(
        [NewJob(task=f"t{number}", priority=number % 10) for number in range(5_000)]
    )
    assert [one.id for one in inserted] == list(range(1, 5_001))
    for number in (0, 1_234, 4_999):
        job = await engine.get(inserted[number].id)
        assert job is not None
        assert job.task == f"t{number}"


async def test_ids_ascend_in_the_callers_order_where_keys_do_not(engine: PostgresEngine) -> None:
    inserted = await engine.insert(
        [unique("c", "0"), NewJob(task="1"), unique("a", "2"), unique("b", "3")]
    )
    assert [one.id for one in inserted] == sorted(one.id for one in inserted)
    assert [job.task for job in reversed((await engine.find(JobFilter(), None, 10)).items)] == [
        "0",
        "1",
        "2",
        "3",
    ]


async def test_a_holder_that_is_committed_meanwhile_is_the_conflict(
    engine: PostgresEngine, postgres_url: str, watcher: Watcher
) -> None:
    insertion = "INSERT INTO elihu.job (task, unique_key, unique_scope) VALUES ('holder', 'k', 0)"
    for jobs in ([unique("k")], [unique("j"), unique("k"), NewJob(task="b")]):
        async with locked(postgres_url, insertion) as connection:
            call = asyncio.create_task(engine.insert(jobs))
            await watcher.until_waiting(1)
            holder = await connection.fetchval("SELECT id FROM elihu.job WHERE task = 'holder'")
        inserted = await call
        assert [one.id for one in inserted if one.conflict] == [holder]
        await engine.delete(JobFilter(task=("a", "b", "holder")))


async def test_a_holder_that_is_rolled_back_is_none(
    engine: PostgresEngine, postgres_url: str, watcher: Watcher
) -> None:
    async with psql(postgres_url) as connection:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute(
            "INSERT INTO elihu.job (task, unique_key, unique_scope) VALUES ('holder', 'k', 0)"
        )
        call = asyncio.create_task(engine.insert([unique("k")]))
        await watcher.until_waiting(1)
        await transaction.rollback()
        (inserted,) = await call
        assert not inserted.conflict


async def test_a_holder_removed_before_it_is_read_gives_way(
    engine: PostgresEngine, postgres_url: str, watcher: Watcher
) -> None:
    """The holder is committed, met, and gone before the second statement: a trigger on
    the first removes it.
    """
    await engine.insert([unique("k", "holder")])
    await watcher.execute(
        """
        CREATE FUNCTION vanish() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN DELETE FROM elihu.job WHERE task = 'holder'; RETURN NULL; END $$;
        CREATE TRIGGER vanish AFTER INSERT ON elihu.job FOR EACH STATEMENT
          EXECUTE FUNCTION vanish();
        """
    )
    inserted = await engine.insert([unique("j"), unique("k", "new"), unique("k", "newer")])
    assert [one.conflict for one in inserted] == [False, False, True]
    assert inserted[1].id == inserted[2].id
    assert [job.task for job in (await engine.find(JobFilter(), None, 10)).items] == ["new", "a"]


async def test_batches_with_the_same_keys_in_opposite_orders_do_not_deadlock(
    engine: PostgresEngine, watcher: Watcher
) -> None:
    keys = [f"{number:03}" for number in range(200)]
    batches = [[unique(key) for key in (keys if turn % 2 else reversed(keys))] for turn in range(8)]
    answers = await asyncio.gather(*(engine.insert(batch) for batch in batches))
    assert await engine.count(JobFilter()) == len(keys)
    assert sum(not one.conflict for answer in answers for one in answer) == len(keys)
    for batch, answer in zip(batches, answers, strict=True):
        assert [one.unique_key for one in answer] == [
            (job.unique_key or b"").hex() for job in batch
        ]
    async with asyncio.timeout(10):
        await watcher.until_waiting(0)


async def test_an_insert_that_waits_for_a_holder_has_a_deadline(postgres_url: str) -> None:
    async with engine_on(postgres_url, call_timeout=0.3) as engine:
        async with locked(
            postgres_url,
            "INSERT INTO elihu.job (task, unique_key, unique_scope) VALUES ('a', 'k', 0)",
        ):
            with pytest.raises(DatabaseTimeout):
                await engine.insert([unique("j"), unique("k")])
        assert await engine.count(JobFilter()) == 1, "nothing of the batch stays"


async def test_windows_and_keeping_are_of_the_databases_clock(
    engine: PostgresEngine, postgres_url: str
) -> None:
    for scope, period in ((0, 3600.0), (1, 3600.0), (2, None), (0, None)):
        await engine.insert(
            [
                NewJob(
                    task="a",
                    unique_key=bytes([scope, period is None]),
                    unique_scope=scope,
                    unique_period=period,
                )
            ]
        )
    async with psql(postgres_url) as connection:
        rows = await connection.fetch(
            """
            SELECT unique_key, extract(epoch FROM keep_until)::float8 AS kept,
              extract(epoch FROM inserted_at)::float8 AS inserted
            FROM elihu.job ORDER BY id
            """
        )
    hour = int(rows[0]["inserted"] // 3600)
    assert rows[0]["unique_key"] == b"\0\0" + hour.to_bytes(8, "big")
    assert [row["kept"] for row in rows] == [
        None,
        (hour + 1) * 3600.0,
        pytest.approx(rows[2]["inserted"] + 30 * 86_400),
        None,
    ]
    assert rows[3]["unique_key"] == b"\0\1"


async def test_plain_inserts_of_other_languages_are_jobs_too(
    engine: PostgresEngine, watcher: Watcher
) -> None:
    await watcher.execute(
        """INSERT INTO elihu.job (task, queue, args) VALUES ('a', 'mail', '{"b": 1, "a": 2}')"""
    )
    job = await engine.get(1)
    assert job is not None
    assert (job.state, job.queue, list(job.args), job.tags, job.meta) == (
        JobState.AVAILABLE,
        "mail",
        ["b", "a"],
        (),
        {},
    )
    assert (await engine.stage(10)).queues == {"mail": 0}


async def test_a_retry_that_meets_a_holder_names_it_and_changes_nothing(
    engine: PostgresEngine,
) -> None:
    old, other = [one.id for one in await engine.insert([unique("k"), unique("l")])]
    await engine.cancel(JobFilter(ids=(old, other)))
    (holder,) = await engine.insert([unique("k")])
    with pytest.raises(UniqueConflict) as caught:
        await engine.retry(JobFilter(ids=(old, other)))
    assert (caught.value.job_id, caught.value.holder) == (old, holder.id)
    assert await engine.count(JobFilter(state=(JobState.CANCELLED,))) == 2
    assert (await engine.retry(JobFilter(ids=(other,)))).changed == 1


async def test_bulk_verbs_work_in_pieces_and_do_not_chase_new_jobs(
    engine: PostgresEngine, watcher: Watcher
) -> None:
    await engine.insert([NewJob(task="a") for _ in range(2_500)])
    await watcher.execute(
        """
        CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS $$
          BEGIN INSERT INTO elihu.job (task) SELECT 'more' FROM generate_series(1, 1000);
            RETURN NULL; END $$;
        CREATE TRIGGER more AFTER UPDATE ON elihu.job FOR EACH STATEMENT EXECUTE FUNCTION more();
        """
    )
    touched = await engine.cancel(JobFilter(state=(JobState.AVAILABLE,)))
    assert touched.changed == 3_500, "all there were, and those of the first piece"
    await watcher.execute("DROP TRIGGER more ON elihu.job")
    ids = tuple(range(1, 2_501))
    assert (await engine.delete(JobFilter(ids=ids + ids[:10]))).changed == 2_500
