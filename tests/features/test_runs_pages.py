"""``app.jobs.runs`` in pages."""

import pytest

from elihu import Elihu, InvalidOption, JobNotFound, JobState
from elihu.api import jobs
from tests.support import EventRecorder


async def test_pages_of_runs(app: Elihu, events: EventRecorder, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jobs, "RUNS_PIECE", 2)

    @app.task(name="t", max_attempts=5, backoff=0.001)
    async def t() -> None:
        raise ValueError("no")

    job = await t.aenqueue()
    async with app.running():
        await events.stored(job.id, {JobState.DISCARDED})
    runs = await app.jobs.runs(job.id)
    assert [run.attempt for run in runs] == [1, 2, 3, 4, 5]
    assert await app.jobs.runs(job.id, limit=3) == runs[:3]
    assert await app.jobs.runs(job.id, after=runs[2].claim) == runs[3:]
    assert await app.jobs.runs(job.id, after=runs[0].claim, limit=2) == runs[1:3]
    assert await app.jobs.runs(job.id, after=runs[-1].claim) == []
    with pytest.raises(InvalidOption, match="limit: expected a whole number from 1 to 1,000"):
        await app.jobs.runs(job.id, limit=0)
    with pytest.raises(InvalidOption, match="after: expected a whole number"):
        await app.jobs.runs(job.id, after=-1)
    with pytest.raises(JobNotFound):
        await app.jobs.runs(job.id + 1)


async def test_a_completed_job_has_one(app: Elihu, events: EventRecorder):
    @app.task(name="t")
    async def t() -> None: ...

    job = await t.aenqueue()
    async with app.running():
        await events.stored(job.id, {JobState.COMPLETED})
    (run,) = await app.jobs.runs(job.id, limit=1)
    assert run.outcome == "completed"
    assert await app.jobs.runs(job.id, after=run.claim) == []
