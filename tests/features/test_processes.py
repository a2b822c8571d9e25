"""Tasks in processes of their own."""

import asyncio
import logging
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psutil
import pytest

from elihu import Cancel, Context, Elihu, Job, JobState, ProcessDied, Run, RunOutcome
from elihu.task import Task
from elihu.telemetry.events import (
    AcknowledgementRefused,
    AttemptAbandoned,
    JobRaised,
    QueueBlockedByWaits,
)
from tests.features import process_app
from tests.features import process_tasks as p
from tests.support import BUSY_MACHINE, QUICK, EventRecorder

pytestmark = pytest.mark.sqlite_first


@pytest.fixture
def app(app: Elihu) -> Elihu:
    app.override(**BUSY_MACHINE)
    app.include(p.tasks)
    return app


def children() -> list[psutil.Process]:
    """The child processes of this one that run tasks."""
    return [
        each
        for each in psutil.Process().children()
        if "elihu.runtime.attempts.processes" in each.cmdline()
    ]


async def all_of(
    app: Elihu, events: EventRecorder, jobs: dict[str, Job], slots: int = 3
) -> dict[str, tuple[Job, Run]]:
    """Each job and its last run once a node has ended it."""
    async with app.running({"default": slots}):
        for job in jobs.values():
            await events.ended(job.id)
        assert 1 <= len(children()) <= slots
    assert children() == []
    return {
        name: (await app.jobs.get(job.id), (await app.jobs.runs(job.id))[-1])
        for name, job in jobs.items()
    }


def names(folder: Path, text: str) -> set[str]:
    """The names of the files there that hold this text."""
    return {path.name for path in folder.iterdir() if text in path.name}


async def until(found: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not found():  # noqa: ASYNC110 - another process makes it so
            await asyncio.sleep(0.02)


async def test_values_outcomes_and_errors(app: Elihu, events: EventRecorder):
    jobs = {
        "total": await p.total.aenqueue([p.Line("tea", Decimal("2.50"))], date(2030, 1, 31), 4, 5),
        "later": await p.later.aenqueue(date(2030, 1, 31)),
        "completes": await p.completes.aenqueue(),
        "dropped": await p.later.using(record=False).aenqueue(date(2030, 1, 31)),
        "looks": await p.looks.using(priority=2, tags=["a"], meta={"m": 1}).aenqueue(7),
    }
    outcomes = ("snooze", "cancel", "discard", "retry")
    jobs |= {
        f"{how} {name}": await p.give.aenqueue(name, how)
        for name in outcomes
        for how in ("return", "raise")
    }
    jobs |= {
        kind: await p.fails.aenqueue(kind)
        for kind in ("boom", "bang", "exit", "stop", "cancelled", "key")
    }
    jobs |= {
        f"chooses {kind}": await p.chooses.aenqueue(kind) for kind in ("boom", "bang", "value")
    }
    ends = await all_of(app, events, jobs)

    assert ends["total"][0].result == {
        "sum": "3.750",
        "next": "2030-02-01",
        "more": [4, 5],
        "in": "MainThread",
    }
    assert ends["later"][0].result == "2030-02-01"
    assert ends["dropped"][0].result is None
    refusal = (
        "InvalidOption: ctx.complete: expected a task that runs in its node, "
        'got one declared with run_in="process"'
    )
    assert (ends["completes"][0].state, ends["completes"][1].error) == (JobState.DISCARDED, refusal)
    for how in ("return", "raise"):
        found = {
            name: (job.state, run.outcome, job.reason)
            for name, (job, run) in ends.items()
            if name.startswith(how)
        }
        assert found == {
            f"{how} snooze": (JobState.SCHEDULED, RunOutcome.SNOOZED, None),
            f"{how} cancel": (JobState.CANCELLED, RunOutcome.CANCELLED, "not needed"),
            f"{how} discard": (JobState.DISCARDED, RunOutcome.FAILED, "hopeless"),
            f"{how} retry": (JobState.RETRYABLE, RunOutcome.FAILED, "later"),
        }
    errors = {
        kind: ends[kind][1].error for kind in ("boom", "bang", "exit", "stop", "cancelled", "key")
    }
    assert errors == {
        "boom": "Boom: it broke", "bang": "Bang: 7 since",
        "exit": "SystemExit: 3", "stop": "StopIteration: 1",
        "cancelled": "CancelledError", "key": "KeyError: 'nul \\x00 lone \\ud800'",
    }  # fmt: skip
    for kind in errors:
        traceback = ends[kind][1].traceback
        assert traceback is not None
        assert "ValueError: first" in traceback
        assert "in fails\n    raise errors[kind] from first" in traceback
        assert "elihu/runtime" not in traceback
    raised = {event.job_id: event.error for event in events.of(JobRaised)}
    assert type(raised[jobs["bang"].id]) is p.Bang
    assert vars(raised[jobs["bang"].id])["why"] == "since"
    states = {name: ends[f"chooses {name}"][0].state for name in ("boom", "bang", "value")}
    assert states == {
        "boom": JobState.RETRYABLE,
        "bang": JobState.DISCARDED,
        "value": JobState.DISCARDED,
    }

    job, run = ends["looks"]
    assert job.result["job"] == [
        job.id, p.looks.name, {"number": 7}, ["a"], {"m": 1}, 2, "default", run.node,
        job.inserted_at.isoformat()
    ]  # fmt: skip
    assert job.result["ctx"] == [1, False, False, None]
    assert job.progress == {"done": 10, "total": 10, "message": "nul ␀ lone ? 10"}
    assert run.log is not None
    lines = [line.partition(",")[2].partition(" ")[2] for line in run.log.splitlines()]
    assert lines[:3] == ["DEBUG fine detail 7", "WARNING nul ␀ lone ? å", "ERROR inner"]
    assert "KeyError: 'inner'" in run.log


async def test_a_child_that_dies_harms_its_own_job_alone(
    app: Elihu, events: EventRecorder, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "elihu.job")
    jobs = {how: await p.dies.aenqueue(how) for how in ("abort", "exit", "kill")}
    jobs["other"] = await p.later.aenqueue(date(2030, 1, 31))
    ends = await all_of(app, events, jobs, slots=2)
    assert ends["other"][0].state is JobState.COMPLETED
    assert {how: ends[how][1].error for how in ("abort", "exit", "kill")} == {
        "abort": "ProcessDied: the process of the task was ended by SIGABRT",
        "exit": "ProcessDied: the process of the task ended with exit status 3",
        "kill": (
            "ProcessDied: the process of the task was ended by SIGKILL, as the "
            "system does when memory runs out"
        ),
    }
    for how in ("abort", "exit", "kill"):
        job, run = ends[how]
        assert (job.state, run.outcome) == (JobState.DISCARDED, RunOutcome.FAILED)
        assert run.log is not None
        assert run.log.endswith("INFO last words")
    assert {type(event.error) for event in events.of(JobRaised)} == {ProcessDied}
    assert "last words" in [
        record.getMessage() for record in caplog.records if record.name == "elihu.job"
    ]


async def test_killing_and_cancelling_reach_functions_of_both_kinds(
    app: Elihu, events: EventRecorder, tmp_path: Path
):
    folder = str(tmp_path)
    app.override(kill_grace=1)
    jobs = [await task.aenqueue(folder) for task in (p.sync_until_told, p.async_until_told, p.deaf)]
    async with app.running():
        await until(lambda: len(names(tmp_path, " began")) == 3)
        killed, *cancelled = jobs
        assert await app.jobs.kill(killed.id) == 1
        assert await app.jobs.cancel(*(job.id for job in cancelled)) == 2
        for job in jobs:
            await events.ended(job.id)
        assert children() == []
    assert names(tmp_path, " ended") == {"sync ended", "async ended True"}
    (run,) = await app.jobs.runs(killed.id)
    assert (run.outcome, (await app.jobs.get(killed.id)).state) == (
        RunOutcome.KILLED,
        JobState.RETRYABLE,
    )
    assert run.traceback is not None
    assert "in sync_until_told\n    time.sleep(60)" in run.traceback
    for job in cancelled:
        assert (await app.jobs.get(job.id)).state is JobState.CANCELLED
        assert [run.outcome for run in await app.jobs.runs(job.id)] == [RunOutcome.CANCELLED]


async def test_kill_timeout_and_stop_reach_the_child(
    app: Elihu, events: EventRecorder, tmp_path: Path
):
    folder = str(tmp_path)
    app.override(kill_grace=0.5)
    killed = await p.sync_until_told.using(max_attempts=1).aenqueue(folder)
    late = await p.deaf.using(timeout=6, max_attempts=1).aenqueue(folder)
    stopped = await p.waits_to_be_told.aenqueue(folder, "wait")
    async with app.running():
        await until(lambda: len(names(tmp_path, " began")) == 3)
        assert await app.jobs.kill(killed.id) == 1
        await app.jobs.stop(stopped.id)
        await events.count(AcknowledgementRefused, 1)
        await app.jobs.cancel(stopped.id)
        for job in (killed, late):
            await events.stored(job.id, {JobState.DISCARDED})
    runs = {job.id: (await app.jobs.runs(job.id))[0] for job in (killed, late, stopped)}
    assert [run.outcome for run in runs.values()] == [
        RunOutcome.KILLED,
        RunOutcome.TIMED_OUT,
        RunOutcome.STOPPED,
    ]
    assert "sync_until_told" in (runs[killed.id].traceback or "")
    assert [(await app.jobs.get(job.id)).reason for job in (killed, late)] == [
        "killed",
        "timeout: ran longer than 6 s",
    ]
    assert not events.of(AttemptAbandoned)
    assert [event.job_id for event in events.of(AcknowledgementRefused)] == [stopped.id]
    assert children() == []


async def test_middlewares_work_around_the_child(app: Elihu, events: EventRecorder):
    values: list[Any] = []

    @app.middleware
    async def around(ctx: Context, call_next: Any) -> Any:
        try:
            value = await call_next(ctx)
        except BaseException as error:
            values.append(error)
            raise
        values.append(value)
        return value + timedelta(days=1) if isinstance(value, date) else value

    jobs = {
        "later": await p.later.aenqueue(date(2030, 1, 31)),
        "raised": await p.give.aenqueue("cancel", "raise"),
    }
    jobs |= {
        "returned": await p.give.aenqueue("cancel", "return"),
        "fails": await p.fails.aenqueue("boom"),
    }
    ends = await all_of(app, events, jobs, slots=1)
    assert [type(value) for value in values] == [date, Cancel, Cancel, p.Boom]
    assert values[0] == date(2030, 2, 1)
    assert ends["later"][0].result == "2030-02-02"
    assert {ends[name][0].state for name in ("raised", "returned")} == {JobState.CANCELLED}
    assert ends["fails"][1].traceback is not None
    assert "raise errors[kind] from first" in ends["fails"][1].traceback


async def test_each_child_has_a_lifespan_of_its_own_and_may_enqueue(database_url: str):
    app = process_app.app
    app.override(database_url=database_url, **QUICK | BUSY_MACHINE)
    events = EventRecorder(app)
    await app.migrate()
    job = await process_app.looks.aenqueue()
    async with app.running({"default": 1}):
        stored = await events.stored(job.id, {JobState.COMPLETED})
        own, follower = stored.result
        assert own
        assert (await events.stored(follower, {JobState.COMPLETED})).task == "app.follows"
    await app.aclose()


@pytest.mark.parametrize(
    "task", [process_app.waits, process_app.awaits], ids=lambda task: task.name
)
async def test_a_wait_in_a_process_for_a_job_of_its_own_full_queue_is_reported(
    database_url: str, task: Task[..., Any]
):
    app = process_app.app
    app.override(database_url=database_url, **QUICK | BUSY_MACHINE)
    events = EventRecorder(app)
    await app.migrate()
    text = "the only slot is held by attempts that wait for jobs of the same queue"
    job = await task.aenqueue(text)
    async with app.running({"default": 1}):
        said = (await events.stored(job.id, {JobState.COMPLETED}, within=40)).result
    assert text in said
    assert [event.queue for event in events.of(QueueBlockedByWaits)] == ["default"]
    await app.aclose()


async def test_a_node_that_stops_gives_back_what_its_children_do(
    app: Elihu, events: EventRecorder, tmp_path: Path
):
    jobs = [await task.aenqueue(str(tmp_path)) for task in (p.sync_until_told, p.deaf)]
    async with app.running() as node:
        await until(lambda: len(names(tmp_path, " began")) == 2)
        node.hurry()
    assert children() == []
    assert (tmp_path / "sync ended").exists()
    for job in jobs:
        stored = await app.jobs.get(job.id)
        assert (stored.state, stored.attempt) == (JobState.AVAILABLE, 0)
        assert [run.outcome for run in await app.jobs.runs(job.id)] == [RunOutcome.RETURNED]


@pytest.mark.parametrize("prefetch", [0, 100])
async def test_a_kill_and_a_time_limit_spare_the_short_jobs_around(
    app: Elihu, events: EventRecorder, tmp_path: Path, prefetch: int
):
    folder = str(tmp_path)
    app.override(kill_grace=0.3)
    before = [await p.pid.aenqueue() for _ in range(15)]
    killed = await p.deaf.using(max_attempts=1).aenqueue(folder)
    late = await p.deaf.using(timeout=2, max_attempts=1).aenqueue(folder)
    after = [await p.pid.aenqueue() for _ in range(30)]
    async with app.running({"default": {"limit": 3, "prefetch": prefetch}}):
        await until(lambda: bool(names(tmp_path, "deaf began")))
        assert await app.jobs.kill(killed.id) == 1
        for job in (killed, late):
            await events.stored(job.id, {JobState.DISCARDED})
        for job in (*before, *after):
            await events.stored(job.id, {JobState.COMPLETED})
        deaf = {int(name.split()[-1]) for name in names(tmp_path, "deaf began")}
        await until(lambda: deaf.isdisjoint(each.pid for each in children()))
    reasons = [(await app.jobs.get(job.id)).reason for job in (killed, late)]
    assert reasons == ["killed", "timeout: ran longer than 2 s"]
    assert children() == []
