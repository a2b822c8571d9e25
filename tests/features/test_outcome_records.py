"""What is stored of an attempt's result and of its error."""

import asyncio
from typing import Any

import pydantic

from elihu import (
    Cancel,
    Elihu,
    JobState,
    NewJob,
    RunOutcome,
    Snooze,
    Task,
)
from tests.features.outcomes import Boom, end_of
from tests.support import EventRecorder


class Sly(pydantic.BaseModel):
    number: int

    @pydantic.model_serializer
    def write(self) -> Any:
        raise LookupError("cannot be written")


class Slyer(pydantic.BaseModel):
    number: int

    @pydantic.model_serializer
    def write(self) -> Any:
        raise SystemExit(1)


class Picky(pydantic.BaseModel):
    number: int

    @pydantic.field_validator("number")
    @classmethod
    def check(cls, number: int) -> int:
        raise KeyError(number) if number else SystemExit(1)


async def test_a_result_that_cannot_be_kept_completes_the_job_with_a_reason(
    app: Elihu, events: EventRecorder
):
    app.override(max_result=64)
    values = [
        float("nan"),
        "a\0b",
        "\ud800",
        object(),
        {1: 2},
        "x" * 70,
        Sly(number=1),
        Slyer(number=1),
    ]
    values += [Picky.model_construct(number=1), Picky.model_construct(number=0)]
    jobs = []
    for number, value in enumerate(values):

        async def t(number: int):
            return values[number]  # noqa: PLR1736 (the value of this round of the loop, not of the last)

        t.__annotations__["return"] = type(value) if isinstance(value, pydantic.BaseModel) else Any
        task: Task[..., Any] = app.task(t, name=f"t{number}", record=True)
        jobs.append(await task.aenqueue(number))
    async with app.running():
        for job in jobs:
            await events.ended(job.id)
    for value, job in zip(values, jobs, strict=True):
        stored, (run,) = await app.jobs.get(job.id), await app.jobs.runs(job.id)
        assert (stored.state, stored.result, run.outcome) == (
            JobState.COMPLETED,
            None,
            RunOutcome.COMPLETED,
        ), value
        assert stored.reason is not None
        assert run.reason == stored.reason
        if value == "x" * 70:
            assert "at most 64 bytes" in stored.reason
            assert "got 72" in stored.reason


async def test_results_are_kept_where_asked_for(app: Elihu, events: EventRecorder):
    @app.task(name="kept", record=True)
    async def kept(number: int) -> dict[str, Any]:
        return {"twice": 2 * number, "text": "å\u2028"}

    @app.task(name="dropped")
    def dropped(number: int) -> int:
        return number

    jobs = [
        await kept.aenqueue(4),
        await kept.using(record=False).aenqueue(4),
        await dropped.aenqueue(4),
        await dropped.using(record=True).aenqueue(4),
    ]
    async with app.running():
        for job in jobs:
            await events.ended(job.id)
    assert [(await app.jobs.get(job.id)).result for job in jobs] == [
        {"twice": 8, "text": "å\u2028"},
        None,
        None,
        4,
    ]


async def test_arguments_that_no_longer_fit_are_a_failed_attempt(app: Elihu, events: EventRecorder):
    calls: list[Any] = []

    @app.task(name="t", max_attempts=1)
    async def t(number: int):
        calls.append(number)

    stale = {
        '{"number": "many"}': "number",
        "{}": "number",
        '{"number": 1, "old": 2}': "old",
        "[]": "",
        "1": "",
        "null": "",
        '"x"': "",
    }
    jobs = [await app.aenqueue(NewJob(task="t", args=args, max_attempts=1)) for args in stale]
    async with app.running():
        for job in jobs:
            await events.ended(job.id)
    assert calls == []
    for job, expected in zip(jobs, stale.values(), strict=True):
        stored = await app.jobs.get(job.id)
        (run,) = await app.jobs.runs(job.id)
        assert stored.state is JobState.DISCARDED
        assert run.error is not None
        assert run.error.startswith("InvalidArguments: t: ")
        assert expected in run.error
        assert run.reason == run.error == stored.reason


async def test_text_is_cleaned_and_bounded(app: Elihu, events: EventRecorder):
    @app.task(name="t", max_attempts=1)
    async def t():
        raise Boom("nul \0 lone \ud800 " + "x" * 1_000_000)

    @app.task(name="cancels")
    def cancels():
        return Cancel("nul \0 lone \udfff " + "y" * 1_000_000)

    jobs = await t.aenqueue(), await cancels.aenqueue()
    async with app.running():
        for job in jobs:
            await events.ended(job.id)
    failed, cancelled = [await app.jobs.get(job.id) for job in jobs]
    (run,) = await app.jobs.runs(failed.id)
    assert run.error is not None
    assert run.traceback is not None
    assert run.error.startswith("Boom: nul ␀ lone ? xxx")
    assert 1_000 < len(run.error) <= 8_192
    assert 1_000 < len(run.traceback) <= 32_768
    assert run.traceback.endswith("x\n")
    assert cancelled.reason is not None
    assert cancelled.reason.startswith("nul ␀ lone ? yyy")
    assert len(cancelled.reason) <= 8_192
    assert (await app.jobs.runs(cancelled.id))[0].reason == cancelled.reason


async def test_an_error_without_usable_text_is_stored_as_far_as_possible(
    app: Elihu, events: EventRecorder
):
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError("no text")

    @app.task(name="t", max_attempts=1)
    async def t():
        raise Mute()

    job, (run,) = await end_of(app, events, await t.aenqueue())
    assert job.state is JobState.DISCARDED
    assert run.error is not None
    assert "Mute" in run.error


async def test_an_error_of_this_package_keeps_its_traceback(app: Elihu, events: EventRecorder):
    @app.task(name="inner")
    async def inner(number: int): ...

    @app.task(name="t", max_attempts=1)
    async def t():
        await inner.aenqueue("many")  # type: ignore[arg-type]

    _, (run,) = await end_of(app, events, await t.aenqueue())
    assert run.error is not None
    assert run.error.startswith("InvalidArguments: inner: number")
    assert run.traceback is not None
    assert "await inner.aenqueue" in run.traceback


async def test_a_group_of_exceptions_keeps_its_members(app: Elihu, events: EventRecorder):
    @app.task(name="t", max_attempts=1)
    async def t():
        async with asyncio.TaskGroup() as group:
            group.create_task(fail("one"))
            group.create_task(fail("two"))

    async def fail(what: str):
        raise Boom(what)

    _, (run,) = await end_of(app, events, await t.aenqueue())
    assert run.traceback is not None
    assert "Boom: one" in run.traceback
    assert "Boom: two" in run.traceback


async def test_a_wrong_delay_in_an_outcome_is_a_failed_attempt(app: Elihu, events: EventRecorder):
    wrong: list[Any] = [-1, float("nan"), "soon", None]

    @app.task(name="t", max_attempts=1)
    async def t(number: int):
        return Snooze(wrong[number])

    jobs = [await t.aenqueue(number) for number in range(len(wrong))]
    async with app.running():
        for job in jobs:
            await events.ended(job.id)
    for job in jobs:
        (run,) = await app.jobs.runs(job.id)
        assert run.outcome is RunOutcome.FAILED
        assert run.error is not None
        assert "Snooze: expected a duration" in run.error
