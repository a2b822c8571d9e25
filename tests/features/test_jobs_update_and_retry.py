"""``app.jobs.update`` and ``app.jobs.retry``."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from elihu import (
    Context,
    Elihu,
    InvalidArguments,
    InvalidOption,
    RunOutcome,
    Task,
    Unique,
    UniqueConflict,
)
from tests.features.job_states import (
    AVAILABLE,
    CANCELLED,
    COMPLETED,
    DISCARDED,
    SCHEDULED,
    SUSPENDED,
)
from tests.support import EventRecorder


async def test_update(app: Elihu, events: EventRecorder, t: Task[..., Any]):
    far = datetime(2100, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)
    job = await t.using(tags=["a"], meta={"a": 1}).aenqueue(1, "x")
    changed = await app.jobs.update(
        job.id,
        args={"number": "5"},
        queue="mail",
        priority=9,
        run_at=far,
        max_attempts=3,
        tags=[" B "],
        meta={"b": []},
    )
    assert await app.jobs.get(job.id) == changed
    assert (changed.args, changed.queue, changed.priority, changed.max_attempts) == (
        {"number": 5, "text": ""},
        "mail",
        9,
        3,
    )
    assert (changed.tags, changed.meta, changed.scheduled_at, changed.state) == (
        ("b",),
        {"b": []},
        far,
        SCHEDULED,
    )
    changed = await app.jobs.update(
        job.id, run_at=datetime.now(UTC) - timedelta(seconds=1), tags=[], meta={}, args={}
    )
    assert (changed.state, changed.tags, changed.meta, changed.args, changed.queue) == (
        AVAILABLE,
        (),
        {},
        {"number": 0, "text": ""},
        "mail",
    )
    assert await app.jobs.update(job.id) == changed
    held = await t.using(hold=True).aenqueue()
    assert (await app.jobs.update(held.id, run_at=far)).state is SUSPENDED
    assert await app.jobs.release(held.id) == 1
    assert (await app.jobs.get(held.id)).state is SCHEDULED


async def test_update_refuses_what_enqueue_refuses(app: Elihu, t: Task[..., Any]):
    job = await t.aenqueue(1)
    wrong: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"args": {"number": "many"}}, InvalidArguments, "t: number: expected a valid integer"),
        ({"args": {"nmber": 1}}, InvalidArguments, "nmber"),
        ({"args": {"text": "a\0"}}, InvalidArguments, "args: text: expected text without NUL"),
        (
            {"args": {"text": float("nan")}},
            InvalidArguments,
            "args: text: expected a finite number",
        ),
        ({"args": [1]}, InvalidArguments, "args: expected a dictionary"),
        ({"args": "x"}, InvalidArguments, "args: expected a dictionary"),
        ({"queue": ""}, InvalidOption, "queue: expected"),
        ({"priority": 10}, InvalidOption, "priority: expected"),
        (
            {"run_at": datetime(2030, 1, 1)},  # noqa: DTZ001
            InvalidOption,
            "run_at: expected a datetime with a time zone",
        ),
        ({"max_attempts": 0}, InvalidOption, "max_attempts: expected"),
        ({"tags": "vip"}, InvalidOption, "tags: expected"),
        ({"meta": {"a": float("nan")}}, InvalidOption, "meta: a: expected a finite number"),
    ]
    for changes, error, expected in wrong:
        with pytest.raises(error, match=expected):
            await app.jobs.update(job.id, **changes)
    with pytest.raises(TypeError):
        await app.jobs.update(job.id, colour="red")  # type: ignore[call-arg]
    assert await app.jobs.get(job.id) == job


async def test_updated_arguments_are_those_that_run(app: Elihu, events: EventRecorder):
    got: list[Any] = []

    @app.task(name="rest")
    async def rest(first: int, /, *others: int, **named: int):
        got.append((first, others, named))

    job = await rest.using(hold=True).aenqueue(1, 2, 3, x=4)
    same = await app.jobs.update(job.id, args=job.args)
    assert same.args == job.args
    await app.jobs.release(job.id)
    async with app.running():
        await events.ended(job.id)
    assert got == [(1, (2, 3), {"x": 4})]


async def test_a_retry_meets_a_newer_holder(app: Elihu, t: Task[..., Any]):
    unique = t.using(unique=Unique())
    old = await unique.aenqueue(1)
    await app.jobs.cancel(old.id)
    new = await unique.aenqueue(1)
    other = await t.using(hold=True).aenqueue(2)
    assert not new.conflict
    with pytest.raises(UniqueConflict, match=f"{old.id}.*{new.id}") as caught:
        await app.jobs.retry(old.id, other.id)
    assert (caught.value.job_id, caught.value.holder) == (old.id, new.id)
    assert [(await app.jobs.get(job.id)).state for job in (old, new, other)] == [
        CANCELLED,
        AVAILABLE,
        SUSPENDED,
    ]
    await app.jobs.cancel(new.id)
    assert await app.jobs.retry(old.id) == 1
    with pytest.raises(UniqueConflict):
        await app.jobs.retry(new.id)


async def test_two_jobs_with_one_unique_key_are_not_retried_together(app: Elihu, t: Task[..., Any]):
    unique = t.using(unique=Unique())
    jobs = []
    for _ in range(2):
        jobs.append(await unique.aenqueue(1))
        await app.jobs.cancel(jobs[-1].id)
    with pytest.raises(UniqueConflict):
        await app.jobs.retry(*(job.id for job in jobs))
    assert await app.jobs.count(state="cancelled") == 2


async def test_a_retry_starts_afresh(app: Elihu, events: EventRecorder):
    attempts: list[int] = []

    @app.task(name="t", max_attempts=1, record=True)
    async def t(*, ctx: Context = Context()):
        attempts.append(ctx.attempt)
        if len(attempts) == 2:
            return "well"
        raise ValueError("x")

    job = await t.aenqueue()
    async with app.running():
        discarded = await events.stored(job.id, {DISCARDED})
        assert discarded.reason == "ValueError: x"
        assert await app.jobs.retry(job.id) == 1
        completed = await events.stored(job.id, {COMPLETED})
        assert (completed.attempt, completed.max_attempts, completed.reason, completed.result) == (
            2,
            2,
            None,
            "well",
        )
        await app.jobs.retry(job.id)
        again = await events.stored(job.id, {DISCARDED})
    assert (again.attempt, again.max_attempts, again.result) == (3, 3, None)
    assert attempts == [1, 2, 3]
    runs = await app.jobs.runs(job.id)
    assert [(run.claim, run.attempt, run.outcome) for run in runs] == [
        (1, 1, RunOutcome.FAILED),
        (2, 2, RunOutcome.COMPLETED),
        (3, 3, RunOutcome.FAILED),
    ]
    assert all(run.ended_at and run.started_at <= run.ended_at for run in runs)
