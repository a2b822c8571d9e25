"""Jobs that run: from enqueue to the row that says how it ended."""

from elihu import Elihu, JobState, RunResult
from elihu.telemetry.events import JobStopped
from tests.support import Seen


async def test_async_and_thread_tasks_complete(app: Elihu, seen: Seen):
    calls = []

    @app.task(name="a")
    async def a(x: int) -> None:
        calls.append(("a", x))

    @app.task(name="t")
    def t(x: int) -> None:
        calls.append(("t", x))

    first, second = await a.aenqueue(1), await t.aenqueue(2)
    async with app.running():
        await seen.count(JobStopped, 2)
    assert sorted(calls) == [("a", 1), ("t", 2)]
    for job in (first, second):
        stored = await app.jobs.get(job.id)
        assert (stored.state, stored.attempt, stored.finished_at is not None) == (JobState.COMPLETED, 1, True)
        assert [run.result for run in await app.jobs.runs(job.id)] == [RunResult.COMPLETED]
