"""The context of a job against its template's schema, on the node that is about to run it."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from elihu.errors import DatabaseUnavailable, InvalidContext, InvalidSchema, UnknownTemplate
from elihu.job import JobState, NewJob
from elihu.runtime.contexts import UNREAD_DELAY
from elihu.runtime.execution import Cause
from elihu.telemetry.events import EngineCalled, JobRaised, JobStopped
from elihu.template import NewTemplate
from tests.runtime.desk import Desk

INTEGER = {"properties": {"n": {"type": "integer"}}, "required": ["n"]}


async def store(desk: Desk, schema: Any, code: str = "kind") -> None:
    """Store a template, or give it another schema."""
    text = schema if isinstance(schema, str) else json.dumps(schema)
    new = NewTemplate(
        code=code, name="Kind", task="t", queue="default", schema=text, default_timeout=None, default_max_attempts=4, active=False
    )
    template = await desk.engine.template(code)
    if template is None:
        await desk.engine.add_template(new, "r1")
    else:
        await desk.engine.change_template(new, "r2", template.revision)


def called(desk: Desk) -> list[Any]:
    """What the task was called with."""
    calls: list[Any] = []

    async def t(n: Any = None) -> None:
        calls.append(n)

    desk.task(t, name="t", max_attempts=4)
    return calls


async def worked(desk: Desk, *, ends: int) -> None:
    """Let a producer run until so many attempts have ended and that is written."""
    producer = desk.producer(limit=10)
    await producer.start()
    await desk.until(lambda: len(desk.of(JobStopped)) >= ends and not producer.held)


def queries(desk: Desk) -> int:
    return sum(event.verb == "schemas" for event in desk.of(EngineCalled))


async def test_a_context_that_fits_runs(desk: Desk) -> None:
    calls = called(desk)
    await store(desk, INTEGER)
    job_id = await desk.put(args='{"n": 1}', template="kind")
    await worked(desk, ends=1)
    assert calls == [1]
    assert await desk.state(job_id) is JobState.COMPLETED


async def test_a_context_that_no_longer_fits_is_a_failed_run_and_not_executed(desk: Desk) -> None:
    calls = called(desk)
    await store(desk, {})
    job_id = await desk.put(args='{"n": "x"}', template="kind", max_attempts=4)
    await store(desk, INTEGER)
    await worked(desk, ends=1)
    assert calls == []
    job = await desk.job(job_id)
    assert (job.state, job.attempt) == (JobState.DISCARDED, 1)
    assert job.reason is not None
    assert "/n: expected integer, got 'x'" in job.reason
    (run,) = await desk.engine.runs(job_id)
    assert run.result == "failed"
    assert run.error is not None
    assert run.error.startswith("InvalidContext: ")
    (event,) = desk.of(JobRaised)
    assert isinstance(event.error, InvalidContext)
    assert event.error.problems == (("/n", "expected integer, got 'x'"),)


async def test_a_schema_changed_a_moment_ago_counts(desk: Desk) -> None:
    calls = called(desk)
    await store(desk, INTEGER)
    producer = desk.producer(limit=1)
    await producer.start()
    ids = []
    for schema, args in ((INTEGER, '{"n": 1}'), ({}, '{"n": "x"}'), (INTEGER, '{"n": "y"}'), ({}, '{"n": "z"}')):
        await store(desk, schema)
        ids.append(await desk.put(args=args, template="kind"))
        producer.look()
        await desk.until(lambda: len(desk.of(JobStopped)) == len(ids) and not producer.held)
    assert calls == [1, "x", "z"]
    assert [(await desk.state(id_)).value for id_ in ids] == ["completed", "completed", "discarded", "completed"]


async def test_the_job_of_a_deleted_template_is_not_executed(desk: Desk) -> None:
    calls = called(desk)
    job_id = await desk.put(template="gone")
    await worked(desk, ends=1)
    assert calls == []
    assert await desk.state(job_id) is JobState.DISCARDED
    (event,) = desk.of(JobRaised)
    assert isinstance(event.error, UnknownTemplate)


async def test_a_schema_of_other_hands_that_cannot_be_used_ends_its_jobs(desk: Desk) -> None:
    calls = called(desk)
    await store(desk, {"$ref": "file:///etc/passwd"})
    job_id = await desk.put(template="kind")
    await worked(desk, ends=1)
    assert calls == []
    assert await desk.state(job_id) is JobState.DISCARDED
    (event,) = desk.of(JobRaised)
    assert isinstance(event.error, InvalidSchema)


async def test_jobs_without_a_template_ask_nothing_and_others_share_a_query(desk: Desk) -> None:
    calls = called(desk)
    await store(desk, INTEGER)
    await store(desk, {}, code="other")
    for number in range(5):
        await desk.put(args=json.dumps({"n": number}))
    producer = desk.producer(limit=10)
    await producer.start()
    await desk.until(lambda: len(desk.of(JobStopped)) == 5)
    assert queries(desk) == 0
    kinds = ("kind", "other") * 4
    await desk.engine.insert([NewJob(task="t", args=f'{{"n": {number}}}', template=kind) for number, kind in enumerate(kinds)])
    producer.look()
    await desk.until(lambda: len(desk.of(JobStopped)) == 13)
    assert queries(desk) <= 2
    assert len(calls) == 13


async def test_a_schema_that_cannot_be_read_puts_the_job_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = called(desk)
    job_id = await desk.put(args='{"n": 1}', template="kind")

    async def away(codes: Sequence[str]) -> dict[str, str]:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(desk.engine, "schemas", away)
    await worked(desk, ends=1)
    assert calls == []
    job = await desk.job(job_id)
    assert (job.state, job.attempt) == (JobState.SCHEDULED, 0)
    assert 0 < (job.scheduled_at - job.inserted_at).total_seconds() < UNREAD_DELAY + 60
    assert await desk.results(job_id) == ["released"]


@pytest.mark.parametrize("threaded", [False, True])
async def test_an_attempt_that_is_told_to_end_while_it_reads_its_schema_ends(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, threaded: bool
) -> None:
    called_with: list[int] = []
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow(codes: Sequence[str]) -> dict[str, str]:
        asked.set()
        await answer.wait()
        return dict.fromkeys(codes, "{}")

    def on_a_thread(n: int) -> None:
        called_with.append(n)

    async def on_the_loop(n: int) -> None:
        called_with.append(n)

    desk.task(on_a_thread if threaded else on_the_loop, name="t")
    monkeypatch.setattr(desk.engine, "schemas", slow)
    job_id = await desk.put(args='{"n": 1}', template="kind")
    producer = desk.producer()
    await producer.start()
    await asked.wait()
    producer.end(next(iter(producer.running)), Cause.CANCEL)
    answer.set()
    await desk.until(lambda: len(desk.of(JobStopped)) == 1 and not producer.held)
    assert called_with == []
    assert await desk.state(job_id) is JobState.CANCELLED
