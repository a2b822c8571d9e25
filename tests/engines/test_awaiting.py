"""Waiting for ends: what is marked, what comes back, and what is kept."""

from typing import Any

import pytest

from elihu.config import RetentionConfig
from elihu.engines.protocol import Engine
from elihu.engines.protocol.waits import JobEnd, LateResult, Wait
from elihu.job import JobState, RunOutcome
from tests.engines.builders import (
    acknowledge,
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
    snoozed,
)
from tests.engines.raw import Ago, Raw, RawPostgres

ROOM = 1_000_000


async def end(
    engine: Engine, job_id: int, since: int = 0, *, only_job: bool = False
) -> JobEnd | None:
    """What one wait has come to."""
    found = await engine.ends([Wait(job_id, since, only_job)], ROOM)
    assert len(found) < 2
    return found[0] if found else None


async def test_a_job_that_has_not_ended_has_no_end(engine: Engine):
    for state in (JobState.SUSPENDED, JobState.SCHEDULED, JobState.AVAILABLE):
        assert await end(engine, await in_state(engine, state)) is None
    here = await node(engine)
    (id_,) = await put(engine, new(queue="q"))
    (claim,) = await fetch(engine, here, queue="q")
    assert await end(engine, id_) is None
    await acknowledge(engine, here, released(claim))
    assert await end(engine, id_) is None


async def test_an_end_tells_how(engine: Engine):
    here = await node(engine)
    ids = await put(engine, *(new() for _ in range(4)))
    one, two, three, four = await fetch(engine, here)
    await acknowledge(
        engine, here, completed(one, value='{"a": [1]}'),
        failed(two, reason="r", error="E: x", error_type="m:E", traceback="tb"),
        snoozed(three), completed(four, reason="too big", error_type="m:Big"),
    )  # fmt: skip
    ends = {
        ids[found.place]: found
        for found in await engine.ends([Wait(id_, 0, False) for id_ in ids], ROOM)
    }
    assert ends[one.id] == JobEnd(
        0, JobState.COMPLETED, 1, None, '{"a": [1]}', None, None, None, None, None, True
    )
    assert ends[two.id] == JobEnd(
        1, JobState.RETRYABLE, 1, "r", None, RunOutcome.FAILED, "r", "E: x", "m:E", "tb", True
    )
    assert ends[three.id][1:6] == (JobState.SCHEDULED, 1, None, None, RunOutcome.SNOOZED)
    assert ends[four.id][1:9] == (
        JobState.COMPLETED,
        1,
        "too big",
        None,
        RunOutcome.COMPLETED,
        "too big",
        None,
        "m:Big",
    )


async def test_an_attempt_counts_only_after_the_claim_from_which_one_waits(engine: Engine):
    here = await node(engine)
    (id_,) = await put(engine)
    (claim,) = await fetch(engine, here)
    await acknowledge(engine, here, failed(claim))
    assert await end(engine, id_, 0)
    assert await end(engine, id_, 1) is None
    assert await end(engine, id_, 0, only_job=True) is None
    await engine.retry(only(id_))
    (claim,) = await fetch(engine, here)
    assert (await end(engine, id_, 0)).claim == 1  # type: ignore[union-attr]
    assert await end(engine, id_, 1) is None
    await acknowledge(engine, here, discarded(claim))
    for since, only_job in ((0, False), (2, False), (99, True)):
        found = await end(engine, id_, since, only_job=only_job)
        assert found is not None
        assert (found.state, found.outcome, found.claim) == (
            JobState.DISCARDED,
            RunOutcome.FAILED,
            2,
        )


async def test_a_job_that_is_gone(engine: Engine):
    (id_,) = await put(engine)
    await engine.delete(only(id_))
    found = await engine.ends([Wait(id_, 0, False), Wait(id_ + 1, 0, True)], ROOM)
    assert sorted((each.place, each.state, each.whole) for each in found) == [
        (0, None, True),
        (1, None, True),
    ]
    assert await engine.ends([], ROOM) == []


async def test_results_beyond_the_room_are_left_for_the_next_call(engine: Engine):
    here = await node(engine)
    ids = await put(engine, *(new() for _ in range(3)))
    claims = await fetch(engine, here)
    await acknowledge(
        engine, here, *(completed(claim, value=f'"{claim.id:0>200}"') for claim in claims)
    )
    waits = [Wait(id_, 0, False) for id_ in ids]
    found = sorted(await engine.ends(waits, 1))
    assert [(each.whole, each.value is None) for each in found] == [
        (True, False),
        (False, True),
        (False, True),
    ]
    assert all(each.whole for each in await engine.ends(waits, ROOM))


async def test_attaching_marks_and_reads(engine: Engine, raw: Raw):
    here = await node(engine)
    waiting, running, ended = await put(engine, new(queue="other"), new(priority=1), new())
    claims = await fetch(engine, here)
    await acknowledge(engine, here, completed(claims[0]))
    found = {
        attached.job.id: attached for attached in await engine.attach([waiting, running, ended, 99])
    }
    assert sorted(found) == [waiting, running, ended]
    assert {id_: found[id_].since for id_ in found} == {waiting: 0, running: 0, ended: 1}
    assert found[running].job == await job(engine, running)
    assert [await raw.look(id_, "awaited") for id_ in (waiting, running, ended)] == [(True,)] * 3
    assert (await engine.exchange(here, "default", 0, [completed(claims[1])])).acked == [
        (running, True)
    ]
    assert await engine.attach([]) == []
    assert {attached.job.id for attached in await engine.attach([waiting, running])} == {
        waiting,
        running,
    }


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_attaching_waits_for_nobody(engine: Engine, raw: RawPostgres):
    one, two = await put(engine, new(), new())
    transaction = raw.connection.transaction()
    await transaction.start()
    await raw.put(one, priority=3)
    assert [attached.job.id for attached in await engine.attach([one, two])] == [two]
    await transaction.rollback()
    assert [attached.job.id for attached in await engine.attach([one, two])] == [one, two]


async def test_verbs_tell_which_awaited_jobs_they_ended(engine: Engine):
    here = await node(engine)
    (running,) = await put(engine, new(awaited=True))
    await fetch(engine, here)
    awaited, plain, deleted = await put(engine, new(awaited=True), new(), new(awaited=True))
    assert (await engine.cancel(only(running, awaited, plain))).ended == {awaited}
    assert (await engine.delete(only(deleted, plain))).ended == {deleted}
    assert (await engine.hold(only(awaited))).ended == frozenset()


async def test_an_awaited_job_is_kept_for_an_hour_after_its_end(engine: Engine, raw: Raw):
    here = await node(engine)
    ids = await put(engine, *(new(awaited=n % 2 == 0) for n in range(4)))
    for claim in await fetch(engine, here):
        await acknowledge(engine, here, completed(claim))
    for id_, age in zip(ids, (3_500, 3_500, 3_700, 3_700), strict=True):
        await raw.put(id_, finished_at=Ago(age), prune_at=None)
    short = RetentionConfig(states={"completed": 1.0})
    assert await engine.prune(short, 100) == (3, 1)
    assert (await job(engine, ids[0])).state is JobState.COMPLETED


async def test_a_run_keeps_the_type_of_its_error(engine: Engine, raw: Raw):
    here = await node(engine)
    (id_,) = await put(engine)
    (claim,) = await fetch(engine, here)
    await acknowledge(engine, here, failed(claim, error_type="builtins:ValueError"))
    rows: list[Any] = await raw.execute("SELECT error_type FROM run WHERE job_id = %s", id_)
    assert rows == [("builtins:ValueError",)]


async def test_a_result_can_be_added_in_the_moment_after_the_end(engine: Engine, raw: Raw):
    here = await node(engine)
    ids = await put(engine, *(new() for _ in range(6)))
    claims = await fetch(engine, here)
    await engine.attach([*ids[:4], ids[5]])
    await acknowledge(
        engine, here, *(completed(claim) for claim in claims[:3]),
        completed(claims[3], value="3"), completed(claims[4]),
        completed(claims[5], log="a line"),
    )  # fmt: skip
    found = sorted(await engine.ends([Wait(id_, 0, False) for id_ in ids], ROOM))
    assert [each.whole for each in found] == [False, False, False, True, False, False]
    await engine.add_results(
        [
            LateResult(ids[0], 1, '{"a": 1}', None, None),
            LateResult(ids[1], 1, None, "odd", "m:Odd"),
            LateResult(ids[2], 9, "2", None, None),
            LateResult(ids[3], 1, "9", None, None),
            LateResult(ids[4], 1, "4", None, None),
            LateResult(ids[5], 1, None, "big", "m:Big"),
        ]
    )
    for id_ in (ids[2], ids[4]):
        await raw.put(id_, finished_at=Ago(2))
    found = sorted(await engine.ends([Wait(id_, 0, False) for id_ in ids], ROOM))
    assert [(each.value, each.reason, each.error_type, each.whole) for each in found] == [
        ('{"a": 1}', None, None, True),
        (None, "odd", "m:Odd", True),
        (None, None, None, True),
        ("3", None, None, True),
        (None, None, None, True),
        (None, "big", "m:Big", True),
    ]
    (run,) = await engine.runs(ids[1])
    assert (run.claim, run.outcome, run.reason, run.node) == (1, RunOutcome.COMPLETED, "odd", here)
    assert run.started_at <= run.ended_at  # type: ignore[operator]
    (run,) = await engine.runs(ids[5])
    assert (run.reason, run.log) == ("big", "a line")
