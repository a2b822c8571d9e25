"""Jobs that run: from enqueue to the row that says how it ended."""

import asyncio
import time

import pytest

from elihu import Elihu, JobState, RunOutcome
from elihu.runtime import shielded_stop
from elihu.telemetry.events import JobStopped
from tests.support import EventRecorder


async def test_async_and_thread_tasks_complete(app: Elihu, events: EventRecorder):
    calls = []

    @app.task(name="a")
    async def a(x: int) -> None:
        calls.append(("a", x))

    @app.task(name="t")
    def t(x: int) -> None:
        calls.append(("t", x))

    first, second = await a.aenqueue(1), await t.aenqueue(2)
    async with app.running():
        await events.count(JobStopped, 2)
    assert sorted(calls) == [("a", 1), ("t", 2)]
    for job in (first, second):
        stored = await app.jobs.get(job.id)
        assert (stored.state, stored.attempt, stored.finished_at is not None) == (
            JobState.COMPLETED,
            1,
            True,
        )
        assert [run.outcome for run in await app.jobs.runs(job.id)] == [RunOutcome.COMPLETED]


async def test_a_hurried_stop_does_not_wait_for_a_silent_database(
    app: Elihu, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shielded_stop, "HURRY", 0.1)
    resigning = asyncio.Event()

    async def never_answer(engine: object, node: str) -> bool:
        resigning.set()
        await asyncio.Event().wait()
        return True

    async with app.running() as node:
        monkeypatch.setattr(type(node.engine), "resign", never_answer)
        began = time.monotonic()
        stop = asyncio.create_task(node.stop())
        await resigning.wait()
        node.hurry()
        await stop
        assert time.monotonic() - began < 5
