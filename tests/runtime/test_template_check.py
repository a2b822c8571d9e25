"""The context of a job against its template's schema, on the node that is about to run
it.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from elihu.errors import DatabaseUnavailable, InvalidContext, InvalidSchema, UnknownTemplate
from elihu.job import JobState, NewJob
from elihu.runtime.attempts.execution import Cause
from elihu.runtime.attempts.template_check import UNREAD_DELAY
from elihu.telemetry.events import EngineCalled, JobRaised, JobStopped
from elihu.template import NewTemplate
from tests.runtime.harness import NodeHarness

pytestmark = pytest.mark.sqlite_first

INTEGER = {"properties": {"n": {"type": "integer"}}, "required": ["n"]}


async def store(harness: NodeHarness, schema: Any, code: str = "kind") -> None:
    """Store a template, or give it another schema."""
    text = schema if isinstance(schema, str) else json.dumps(schema)
    new = NewTemplate(
        code=code,
        name="Kind",
        task="t",
        queue="default",
        schema=text,
        default_timeout=None,
        default_max_attempts=4,
        active=False,
    )
    template = await harness.engine.template(code)
    if template is None:
        await harness.engine.add_template(new, "r1")
    else:
        await harness.engine.change_template(new, "r2", template.revision)


def called(harness: NodeHarness) -> list[Any]:
    """What the task was called with."""
    calls: list[Any] = []

    async def t(n: Any = None) -> None:
        calls.append(n)

    harness.task(t, name="t", max_attempts=4)
    return calls


async def worked(harness: NodeHarness, *, ends: int) -> None:
    """Let a producer run until so many attempts have ended and that is written."""
    producer = harness.producer(limit=10)
    await producer.start()
    await harness.until(lambda: len(harness.of(JobStopped)) >= ends and not producer.held)


def queries(harness: NodeHarness) -> int:
    return sum(event.verb == "schemas" for event in harness.of(EngineCalled))


async def test_a_context_that_fits_runs(harness: NodeHarness) -> None:
    calls = called(harness)
    await store(harness, INTEGER)
    job_id = await harness.put(args='{"n": 1}', template="kind")
    await worked(harness, ends=1)
    assert calls == [1]
    assert await harness.state(job_id) is JobState.COMPLETED


async def test_a_context_that_no_longer_fits_is_a_failed_run_and_not_executed(
    harness: NodeHarness,
) -> None:
    calls = called(harness)
    await store(harness, {})
    job_id = await harness.put(args='{"n": "x"}', template="kind", max_attempts=4)
    await store(harness, INTEGER)
    await worked(harness, ends=1)
    assert calls == []
    job = await harness.job(job_id)
    assert (job.state, job.attempt) == (JobState.DISCARDED, 1)
    assert job.reason is not None
    assert "/n: expected integer, got 'x'" in job.reason
    (run,) = await harness.engine.runs(job_id)
    assert run.outcome == "failed"
    assert run.error is not None
    assert run.error.startswith("InvalidContext: ")
    (event,) = harness.of(JobRaised)
    assert isinstance(event.error, InvalidContext)
    assert event.error.problems == (("/n", "expected integer, got 'x'"),)


async def test_a_schema_changed_a_moment_ago_counts(harness: NodeHarness) -> None:
    calls = called(harness)
    await store(harness, INTEGER)
    producer = harness.producer(limit=1)
    await producer.start()
    ids = []
    for schema, args in (
        (INTEGER, '{"n": 1}'),
        ({}, '{"n": "x"}'),
        (INTEGER, '{"n": "y"}'),
        ({}, '{"n": "z"}'),
    ):
        await store(harness, schema)
        ids.append(await harness.put(args=args, template="kind"))
        producer.fetch_soon()
        await harness.until(lambda: len(harness.of(JobStopped)) == len(ids) and not producer.held)
    assert calls == [1, "x", "z"]
    assert [(await harness.state(id_)).value for id_ in ids] == [
        "completed",
        "completed",
        "discarded",
        "completed",
    ]


async def test_the_job_of_a_deleted_template_is_not_executed(harness: NodeHarness) -> None:
    calls = called(harness)
    job_id = await harness.put(template="gone")
    await worked(harness, ends=1)
    assert calls == []
    assert await harness.state(job_id) is JobState.DISCARDED
    (event,) = harness.of(JobRaised)
    assert isinstance(event.error, UnknownTemplate)


async def test_an_unusable_schema_written_by_sql_ends_its_jobs(
    harness: NodeHarness,
) -> None:
    calls = called(harness)
    await store(harness, {"$ref": "file:///etc/passwd"})
    job_id = await harness.put(template="kind")
    await worked(harness, ends=1)
    assert calls == []
    assert await harness.state(job_id) is JobState.DISCARDED
    (event,) = harness.of(JobRaised)
    assert isinstance(event.error, InvalidSchema)


async def test_jobs_without_a_template_ask_nothing_and_others_share_a_query(
    harness: NodeHarness,
) -> None:
    calls = called(harness)
    await store(harness, INTEGER)
    await store(harness, {}, code="other")
    for number in range(5):
        await harness.put(args=json.dumps({"n": number}))
    producer = harness.producer(limit=10)
    await producer.start()
    await harness.until(lambda: len(harness.of(JobStopped)) == 5)
    assert queries(harness) == 0
    kinds = ("kind", "other") * 4
    await harness.engine.insert(
        [
            NewJob(task="t", args=f'{{"n": {number}}}', template=kind)
            for number, kind in enumerate(kinds)
        ]
    )
    producer.fetch_soon()
    await harness.until(lambda: len(harness.of(JobStopped)) == 13)
    assert queries(harness) <= 2
    assert len(calls) == 13


async def test_a_schema_that_cannot_be_read_puts_the_job_back(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = called(harness)
    job_id = await harness.put(args='{"n": 1}', template="kind")

    async def away(codes: Sequence[str]) -> dict[str, str]:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(harness.engine, "schemas", away)
    await worked(harness, ends=1)
    assert calls == []
    job = await harness.job(job_id)
    assert (job.state, job.attempt) == (JobState.SCHEDULED, 0)
    assert 0 < (job.scheduled_at - job.inserted_at).total_seconds() < UNREAD_DELAY + 60
    assert await harness.results(job_id) == ["returned"]


@pytest.mark.parametrize("threaded", [False, True])
async def test_an_attempt_cancelled_while_it_reads_its_schema_ends(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch, threaded: bool
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

    harness.task(on_a_thread if threaded else on_the_loop, name="t")
    monkeypatch.setattr(harness.engine, "schemas", slow)
    job_id = await harness.put(args='{"n": 1}', template="kind")
    producer = harness.producer()
    await producer.start()
    await asked.wait()
    producer.end(next(iter(producer.running)), Cause.CANCEL)
    answer.set()
    await harness.until(lambda: len(harness.of(JobStopped)) == 1 and not producer.held)
    assert called_with == []
    assert await harness.state(job_id) is JobState.CANCELLED
