"""How attempts end: outcomes, retries and backoff."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from elihu import (
    Cancel,
    Discard,
    Elihu,
    Job,
    JobState,
    Retry,
    RunOutcome,
    Snooze,
    Task,
)
from elihu.telemetry.events import JobRaised
from tests.features.outcomes import Boom, end_of, wait_of
from tests.support import EventRecorder

ENDS: dict[str, tuple[Callable[[], Exception], JobState, RunOutcome, str | None]] = {
    "cancel": (
        lambda: Cancel("not needed"),
        JobState.CANCELLED,
        RunOutcome.CANCELLED,
        "not needed",
    ),
    "cancel without a reason": (Cancel, JobState.CANCELLED, RunOutcome.CANCELLED, None),
    "discard": (lambda: Discard("hopeless"), JobState.DISCARDED, RunOutcome.FAILED, "hopeless"),
    "snooze": (lambda: Snooze(600), JobState.SCHEDULED, RunOutcome.SNOOZED, None),
    "retry": (
        lambda: Retry("not ready", delay=600),
        JobState.RETRYABLE,
        RunOutcome.FAILED,
        "not ready",
    ),
    "retry after the backoff": (
        lambda: Retry("not ready"),
        JobState.RETRYABLE,
        RunOutcome.FAILED,
        "not ready",
    ),
}


class Bang(Boom):
    pass


async def test_an_outcome_is_returned_or_raised(app: Elihu, events: EventRecorder):
    def give(name: str, how: str) -> Exception:
        outcome = ENDS[name][0]()
        if how == "raise":
            raise outcome
        return outcome

    @app.task(name="in loop")
    async def in_loop(name: str, how: str):
        return give(name, how)

    @app.task(name="in thread")
    def in_thread(name: str, how: str):
        return give(name, how)

    tasks: tuple[Task[..., Any], ...] = (in_loop, in_thread)
    jobs = [
        (name, await task.aenqueue(name, how))
        for name in ENDS
        for how in ("return", "raise")
        for task in tasks
    ]
    async with app.running():
        for _, job in jobs:
            await events.ended(job.id)
    for name, job in jobs:
        _, state, result, reason = ENDS[name]
        stored, (run,) = await app.jobs.get(job.id), await app.jobs.runs(job.id)
        assert (stored.state, stored.attempt, stored.reason) == (
            state,
            0 if name == "snooze" else 1,
            reason,
        ), name
        assert (run.outcome, run.attempt, run.reason, run.id) == (
            result,
            1,
            reason,
            f"{job.id}.1",
        ), name
        assert (stored.finished_at is None) == (
            state in {JobState.SCHEDULED, JobState.RETRYABLE}
        ), name
        assert run.ended_at is not None
        assert run.node is not None
        if name in {"snooze", "retry"}:
            assert 599.9 < wait_of(stored, run) < 600.1, name
        if name == "retry after the backoff":
            assert 17 <= wait_of(stored, run) < 18.8


async def test_a_plain_return_completes_and_stores_no_run(app: Elihu, events: EventRecorder):
    @app.task(name="t")
    async def t(): ...

    job, (run,) = await end_of(app, events, await t.aenqueue())
    assert (job.state, job.attempt, job.result, job.reason) == (JobState.COMPLETED, 1, None, None)
    assert (run.id, run.outcome, run.attempt, run.error, run.log) == (
        f"{job.id}.1",
        RunOutcome.COMPLETED,
        1,
        None,
        None,
    )
    assert job.started_at
    assert job.finished_at
    assert job.inserted_at <= job.started_at <= job.finished_at


async def test_an_exception_is_retried_and_at_last_discarded(app: Elihu, events: EventRecorder):
    @app.task(name="t", max_attempts=3, backoff=0)
    def t():
        raise Boom("it broke")

    job, runs = await end_of(app, events, await t.aenqueue(), 3)
    assert (job.state, job.attempt, job.reason) == (JobState.DISCARDED, 3, "Boom: it broke")
    assert job.finished_at
    assert [(run.attempt, run.claim, run.outcome, run.error) for run in runs] == [
        (n, n, RunOutcome.FAILED, "Boom: it broke") for n in (1, 2, 3)
    ]
    for run in runs:
        assert run.traceback is not None
        assert "in t\n" in run.traceback
        assert run.traceback.endswith("Boom: it broke\n")
    assert [type(event.error) for event in events.of(JobRaised)] == [Boom] * 3


async def test_one_attempt_is_the_last(app: Elihu, events: EventRecorder):
    @app.task(name="t")
    async def t():
        raise Boom("x")

    job, (run,) = await end_of(app, events, await t.using(max_attempts=1).aenqueue())
    assert (job.state, job.max_attempts, run.outcome) == (JobState.DISCARDED, 1, RunOutcome.FAILED)


async def test_a_retry_on_the_last_attempt_discards(app: Elihu, events: EventRecorder):
    @app.task(name="t", max_attempts=1)
    async def t():
        return Retry("again", delay=5)

    job, (run,) = await end_of(app, events, await t.aenqueue())
    assert (job.state, job.reason, run.outcome) == (JobState.DISCARDED, "again", RunOutcome.FAILED)


async def test_backoff_grows_and_a_snooze_uses_up_no_attempt(app: Elihu, events: EventRecorder):
    plan = iter([Snooze(0), Snooze("0s"), Boom("1"), Snooze(timedelta(0)), Boom("2")])

    @app.task(name="t", backoff=lambda job, error: 0 if str(error) == "1" else 1000 * job.attempt)
    def t():
        raise next(plan)

    job, runs = await end_of(app, events, await t.aenqueue(), 5)
    assert (job.state, job.attempt) == (JobState.RETRYABLE, 2)
    snoozed, failed = RunOutcome.SNOOZED, RunOutcome.FAILED
    assert [(run.claim, run.attempt, run.outcome) for run in runs] == [
        (1, 1, snoozed), (2, 1, snoozed), (3, 1, failed), (4, 2, snoozed), (5, 2, failed),
    ]  # fmt: skip
    assert 1999 < wait_of(job, runs[-1]) < 2001


async def test_a_backoff_that_fails_falls_back_and_says_so(app: Elihu, events: EventRecorder):
    def raises(error: BaseException) -> Callable[..., Any]:
        def backoff(job: Job, error_of_job: BaseException) -> Any:
            raise error

        return backoff

    broken: list[Callable[..., Any]] = [
        raises(error) for error in (ValueError("b"), SystemExit(3), KeyboardInterrupt(), Boom("b"))
    ]
    broken += [
        lambda job, error, answer=answer: answer for answer in (-1, None, "soon", float("nan"))
    ]
    broken += [lambda: 1]
    jobs = []
    for number, backoff in enumerate(broken):

        @app.task(name=f"t{number}", backoff=backoff)
        async def t():
            raise Boom("x")

        jobs.append(await t.aenqueue())
    async with app.running():
        for job in jobs:
            await events.ended(job.id)
    for number, job in enumerate(jobs):
        stored, (run,) = await app.jobs.get(job.id), await app.jobs.runs(job.id)
        assert stored.state is JobState.RETRYABLE, number
        assert 17 <= wait_of(stored, run) < 18.8, number
        assert run.error is not None
        assert run.error.startswith(f"backoff of task 't{number}' failed: ")
        assert run.error.endswith("\nBoom: x")


async def test_a_backoff_given_with_the_job_wins(app: Elihu, events: EventRecorder):
    @app.task(name="t", backoff=lambda job, error: 5)
    async def t():
        raise Boom("x")

    job, (run,) = await end_of(app, events, await t.using(backoff="2m").aenqueue())
    assert 119.9 < wait_of(job, run) < 120.1


async def test_retry_on_and_discard_on(app: Elihu, events: EventRecorder):
    @app.task(name="t", retry_on=(Boom, LookupError), discard_on=Bang)
    def t(kind: str):
        raise {
            "boom": Boom,
            "bang": Bang,
            "key": KeyError,
            "value": ValueError,
            "exit": SystemExit,
        }[kind]("x")

    jobs = {kind: await t.aenqueue(kind) for kind in ("boom", "bang", "key", "value", "exit")}
    async with app.running():
        for job in jobs.values():
            await events.ended(job.id)
    states = {kind: (await app.jobs.get(job.id)).state for kind, job in jobs.items()}
    retryable, discarded = JobState.RETRYABLE, JobState.DISCARDED
    assert states == {
        "boom": retryable,
        "bang": discarded,
        "key": retryable,
        "value": discarded,
        "exit": discarded,
    }


async def test_a_retry_asked_for_is_none_of_retry_on_s_business(app: Elihu, events: EventRecorder):
    @app.task(name="t", retry_on=Boom, discard_on=RuntimeError)
    async def t():
        raise Retry("later", delay=60)

    job, (run,) = await end_of(app, events, await t.aenqueue())
    assert (job.state, run.outcome, run.reason) == (JobState.RETRYABLE, RunOutcome.FAILED, "later")


async def test_no_exception_of_a_task_ends_the_node(app: Elihu, events: EventRecorder):
    errors = [
        SystemExit(1),
        KeyboardInterrupt(),
        asyncio.CancelledError(),
        GeneratorExit(),
        StopIteration(1),
        StopAsyncIteration(),
        BaseException("b"),
    ]

    @app.task(name="in loop")
    async def in_loop(number: int):
        raise errors[number]

    @app.task(name="in thread")
    def in_thread(number: int):
        raise errors[number]

    @app.task(name="after")
    async def after(): ...

    async with app.running():
        jobs = [
            (error, await task.aenqueue(number))
            for number, error in enumerate(errors)
            for task in (in_loop, in_thread)
        ]
        for _, job in jobs:
            await events.ended(job.id)
        later = await after.aenqueue()
        await events.ended(later.id)
    for error, job in jobs:
        (run,) = await app.jobs.runs(job.id)
        assert (await app.jobs.get(job.id)).state is JobState.RETRYABLE, error
        assert run.outcome is RunOutcome.FAILED
        assert run.error is not None
        assert type(error).__name__ in run.error
    assert (await app.jobs.get(later.id)).state is JobState.COMPLETED
