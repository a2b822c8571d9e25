"""The verbs of ``app.jobs`` while nodes work."""

import asyncio
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from elihu import (
    Elihu,
    Job,
    Snooze,
    Task,
)
from elihu.telemetry.events import JobStarted
from tests.features.job_states import CANCELLED, COMPLETED, DISCARDED
from tests.support import BUSY_MACHINE, QUICK, EventRecorder, Stopwatch


async def test_a_running_attempt_is_among_the_runs(app: Elihu, events: EventRecorder):
    let_go = asyncio.Event()

    @app.task(name="t")
    async def t():
        await let_go.wait()

    job = await t.aenqueue()
    async with app.running() as node:
        await events.count(JobStarted, 1)
        (run,) = await app.jobs.runs(job.id)
        assert (run.id, run.attempt, run.outcome, run.ended_at, run.node) == (
            f"{job.id}.1",
            1,
            None,
            None,
            node.id,
        )
        assert [each.id for each in (await app.jobs.list(node=node.id)).items] == [job.id]
        (row,) = await app.nodes.list()
        assert (row.id, row.running, row.leader) == (node.id, 1, True)
        let_go.set()


async def test_an_intent_to_cancel_outlives_a_failure_and_a_snooze(
    app: Elihu, events: EventRecorder
):
    """The wish is stored while the attempt is about to end by itself: whatever comes
    first, the job is not tried again.
    """
    ends = {"fails": ValueError("x"), "snoozes": Snooze(0)}
    intended = threading.Event()
    began = threading.Semaphore(0)

    @app.task(name="t", backoff=0)
    def t(what: str):
        began.release()
        intended.wait(20)
        raise ends[what]

    jobs = [await t.aenqueue(what) for what in ends]
    async with app.running():
        for _ in jobs:
            assert await asyncio.to_thread(began.acquire, timeout=20)
        assert await app.jobs.cancel(*(job.id for job in jobs)) == 2
        intended.set()
        stored = [await events.stored(job.id, {CANCELLED}) for job in jobs]
    assert [job.attempt for job in stored] in ([1, 1], [1, 0])
    assert all(job.finished_at for job in stored)
    assert [len(await app.jobs.runs(job.id)) for job in jobs] == [1, 1]


async def test_cancel_racing_a_failure(app: Elihu, events: EventRecorder):
    for turn in range(5):
        gate = asyncio.Event()

        async def fails(gate: asyncio.Event = gate):
            await gate.wait()
            raise ValueError("x")

        @app.task(name=f"t{turn}", backoff=0)
        async def t():
            await fails()

        job = await t.aenqueue()
        async with app.running():
            await events.count(JobStarted, turn + 1)
            gate.set()
            changed = await app.jobs.cancel(job.id)
            if changed:
                stored = await events.stored(job.id, {CANCELLED})
                assert stored.finished_at


async def test_an_async_task_may_end_in_its_own_way_when_cancelled(
    app: Elihu, events: EventRecorder
):
    cleaned: list[str] = []

    @app.task(name="t")
    async def t(how: str):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
            cleaned.append(how)
            match how:
                case "raises":
                    raise ValueError("while cleaning up") from None
                case "snoozes":
                    return Snooze(0)
                case "cancels":
                    raise
                case "returns":
                    return None

    jobs = {how: await t.aenqueue(how) for how in ("raises", "snoozes", "cancels", "returns")}
    async with app.running():
        await events.count(JobStarted, 4)
        assert await app.jobs.cancel(*(job.id for job in jobs.values())) == 4
        for how, job in jobs.items():
            assert (await events.stored(job.id, {CANCELLED})).finished_at, how
    assert sorted(cleaned) == ["cancels", "raises", "returns", "snoozes"]


@pytest.fixture
async def patient(database_url: str) -> AsyncIterator[Elihu]:
    """An app whose nodes find work by announcements or not at all."""
    app = Elihu(
        database_url,
        **QUICK
        | BUSY_MACHINE
        | {"poll": 60.0, "poll_fallback": 60.0, "heartbeat": 1.0, "stager": {"interval": 60.0}},
    )
    await app.migrate()
    yield app
    await app.aclose()


async def test_what_becomes_available_starts_at_once_on_an_idle_node(patient: Elihu):
    app, events = patient, EventRecorder(patient)

    @app.task(name="t", max_attempts=1)
    async def t(fails: bool = False):
        if fails:
            raise ValueError("x")

    held = await t.using(hold=True).aenqueue()
    scheduled = await t.using(delay=600).aenqueue()
    updated = await t.using(delay=600).aenqueue()
    moved = await t.using(queue="unserved").aenqueue()
    async with app.running():
        failing = await t.aenqueue(fails=True)
        await events.stored(failing.id, {DISCARDED})
        watch = Stopwatch()
        for act, job, end in (
            (t.aenqueue, None, COMPLETED),
            (lambda: app.jobs.release(held.id), held, COMPLETED),
            (lambda: app.jobs.retry(scheduled.id), scheduled, COMPLETED),
            (
                lambda: app.jobs.update(
                    updated.id, run_at=datetime.now(UTC) - timedelta(seconds=1)
                ),
                updated,
                COMPLETED,
            ),
            (lambda: app.jobs.update(moved.id, queue="default"), moved, COMPLETED),
        ):
            done = await act()
            target = job or done
            assert isinstance(target, Job)
            await events.stored(target.id, {end}, within=5)
        await app.jobs.retry(failing.id)
        await events.ended(failing.id, 2)
        await app.enqueue_many([t.build(), t.build()])
        await events.until(lambda: len([e for e in events.of(JobStarted) if e.task == "t"]) >= 9)
        assert watch.seconds < 10


async def test_what_another_app_makes_available_starts_at_once(patient: Elihu, database_url: str):
    events = EventRecorder(patient)

    async def fn(): ...

    t: Task[..., Any] = patient.task(fn, name="t")
    held = await t.using(hold=True).aenqueue()
    done = await t.using(hold=True).aenqueue()
    await patient.jobs.cancel(done.id)
    other = Elihu(database_url, **QUICK | BUSY_MACHINE)
    theirs: Task[..., Any] = other.task(fn, name="t")
    async with patient.running(), other:
        watch = Stopwatch()
        for job_id in ((await theirs.aenqueue()).id, held.id, done.id):
            if job_id == held.id:
                await other.jobs.release(job_id)
            if job_id == done.id:
                await other.jobs.retry(job_id)
            await events.ended(job_id)
        assert watch.seconds < 5


async def test_a_cancel_by_another_app_arrives_at_once(patient: Elihu, database_url: str):
    events = EventRecorder(patient)

    @patient.task(name="t")
    async def t():
        await asyncio.sleep(60)

    job = await t.aenqueue()
    other = Elihu(database_url, **QUICK | BUSY_MACHINE)
    async with patient.running(), other:
        await events.count(JobStarted, 1)
        watch = Stopwatch()
        assert await other.jobs.cancel(job.id) == 1
        await events.ended(job.id)
        assert watch.seconds < 3
    assert (await patient.jobs.get(job.id)).state is CANCELLED
