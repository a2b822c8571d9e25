"""Jobs that do not start in time are cancelled soon after their expiry."""

import asyncio

import pytest

from elihu import Elihu, JobCancelled, JobState
from tests.support import EventRecorder, Stopwatch


async def test_a_waiter_learns_of_it_within_two_seconds(app: Elihu):
    app.override(lifeline={"interval": 3_600})

    @app.task(name="busy")
    async def busy() -> None:
        await asyncio.Event().wait()

    @app.task(name="late", expires=0.5)
    async def late() -> None: ...

    async with app.running({"default": 1}) as node:
        await busy.aenqueue()
        watch = Stopwatch()
        relay = await late.asubmit()
        with pytest.raises(JobCancelled, match="expired"):
            await relay.aresult(20)
        assert watch.seconds < 0.5 + 2 + 8, "a busy machine may take longer, not 30 s"
        await node.stop(now=True)
    assert (await app.jobs.get(relay.ref)).state is JobState.CANCELLED


async def test_a_scheduled_and_a_paused_one_too(app: Elihu, events: EventRecorder):
    app.override(lifeline={"interval": 3_600})

    @app.task(name="late", queue="paused", expires=0.2)
    async def late() -> None: ...

    jobs = [await late.aenqueue(), await late.using(delay=0.1).aenqueue()]
    async with app.running({"default": 1}):
        for job in jobs:
            stored = await events.stored(job.id, {JobState.CANCELLED})
            assert stored.reason == "expired"
