"""Exception groups: a group whose leaves agree counts as its leaf."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from elihu import Cancel, Context, Discard, Elihu, JobState, Retry, RunOutcome, Snooze
from tests.features import surrounded_app as s
from tests.support import BUSY_MACHINE, QUICK, EventRecorder

pytestmark = pytest.mark.sqlite_first

busy, reset = ConnectionError("the server is busy"), ConnectionResetError("gone")
nested = ExceptionGroup("outer", [ExceptionGroup("inner", [Cancel("enough")]), Cancel("enough")])

WAITING, ENDED = JobState.RETRYABLE, JobState.DISCARDED
CASES: dict[str, tuple[Any, dict[str, Any], JobState, RunOutcome]] = {
    "snooze": (ExceptionGroup("g", [Snooze("1h")]), {}, JobState.SCHEDULED, RunOutcome.SNOOZED),
    "nested cancel": (nested, {}, JobState.CANCELLED, RunOutcome.CANCELLED),
    "discard": (ExceptionGroup("g", [Discard("no")] * 2), {}, ENDED, RunOutcome.FAILED),
    "retry": (ExceptionGroup("g", [Retry(delay="1h")]), {}, WAITING, RunOutcome.FAILED),
    "retry_on": (
        ExceptionGroup("g", [busy]),
        {"retry_on": ConnectionError},
        WAITING,
        RunOutcome.FAILED,
    ),
    "retry_on both": (
        ExceptionGroup("g", [busy, reset]),
        {"retry_on": ConnectionError},
        WAITING,
        RunOutcome.FAILED,
    ),
    "retry_on not all": (
        ExceptionGroup("g", [busy, KeyError("x")]),
        {"retry_on": ConnectionError},
        ENDED,
        RunOutcome.FAILED,
    ),
    "retry_on the group": (
        ExceptionGroup("g", [busy, KeyError("x")]),
        {"retry_on": ExceptionGroup},
        WAITING,
        RunOutcome.FAILED,
    ),
    "discard_on": (
        ExceptionGroup("g", [busy]),
        {"discard_on": ConnectionError},
        ENDED,
        RunOutcome.FAILED,
    ),
    "discard_on not all": (
        ExceptionGroup("g", [busy, KeyError("x")]),
        {"discard_on": ConnectionError},
        WAITING,
        RunOutcome.FAILED,
    ),
    "outcome and error": (
        ExceptionGroup("g", [Snooze("1h"), busy]),
        {},
        WAITING,
        RunOutcome.FAILED,
    ),
}


def raises(error: Exception, *, run_in: str) -> Callable[[], Any]:
    def in_thread() -> None:
        raise error

    async def in_loop() -> None:
        raise error

    return in_thread if run_in == "thread" else in_loop


@pytest.mark.parametrize("run_in", ["loop", "thread"])
@pytest.mark.parametrize("case", CASES)
async def test_a_group_counts_as_its_leaf(
    app: Elihu, events: EventRecorder, case: str, run_in: str
):
    error, options, state, outcome = CASES[case]
    task = app.task(name="t", max_attempts=3, backoff=3600, **options)(raises(error, run_in=run_in))
    job = await task.aenqueue()
    async with app.running():
        await events.ended(job.id)
        await events.stored(job.id, {state})
    stored, (run,) = await app.jobs.get(job.id), await app.jobs.runs(job.id)
    assert (stored.state, run.outcome) == (state, outcome)
    assert stored.attempt == (0 if outcome is RunOutcome.SNOOZED else 1)


async def test_a_task_group_and_a_middleware_are_seen_through(app: Elihu, events: EventRecorder):
    @app.middleware
    async def grouped(ctx: Context, call_next: Callable[[Context], Any]) -> Any:
        async with asyncio.TaskGroup() as group:
            return await group.create_task(call_next(ctx))

    @app.task(name="t")
    async def t() -> None:
        raise Snooze("1h")

    job = await t.aenqueue()
    async with app.running():
        await events.stored(job.id, {JobState.SCHEDULED})
    assert (await app.jobs.get(job.id)).attempt == 0


async def test_the_stored_error_names_the_causes(app: Elihu, events: EventRecorder):
    @app.task(name="one", max_attempts=1)
    async def one() -> None:
        raise ExceptionGroup("steps", [busy])

    @app.task(name="two", max_attempts=1)
    async def two() -> None:
        raise ExceptionGroup("steps", [busy, ExceptionGroup("more", [KeyError("x")])])

    async with app.running():
        with pytest.raises(ConnectionError, match="the server is busy"):
            await (await one.asubmit()).aresult(20)
        job = await two.aenqueue()
        await events.stored(job.id, {JobState.DISCARDED})
    (run,) = await app.jobs.runs(job.id)
    for words in ("steps", "ConnectionError: the server is busy", "KeyError: 'x'"):
        assert words in (run.error or "")
    assert "ExceptionGroup" in (run.traceback or "")


async def test_a_group_crosses_from_a_child_process(database_url: str):
    app, events = s.app, EventRecorder(s.app)
    app.override(database_url=database_url, **QUICK | BUSY_MACHINE)
    await app.migrate()
    jobs = [await s.group.aenqueue(), await s.mixed.aenqueue(False), await s.mixed.aenqueue(True)]
    states = [JobState.SCHEDULED, JobState.RETRYABLE, JobState.DISCARDED]
    async with app.running({"default": 1}):
        for job, state in zip(jobs, states, strict=True):
            await events.stored(job.id, {state})
    for job, words in zip(jobs[1:], ("ConnectionResetError: gone", "KeyError: 'x'"), strict=True):
        assert words in ((await app.jobs.runs(job.id))[0].error or "")
    snoozed = await app.jobs.get(jobs[0].id)
    assert snoozed.attempt == 0
    await app.aclose()
