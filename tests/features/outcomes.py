"""What the tests of outcomes share."""

from elihu import (
    Elihu,
    Job,
    Run,
)
from tests.support import EventRecorder


class Boom(Exception):
    pass


async def end_of(
    app: Elihu, events: EventRecorder, job: Job, ends: int = 1
) -> tuple[Job, list[Run]]:
    """The job and its runs once a node has ended ``ends`` attempts of it."""
    async with app.running():
        await events.ended(job.id, ends)
    return await app.jobs.get(job.id), await app.jobs.runs(job.id)


def wait_of(job: Job, run: Run) -> float:
    """Seconds from the end of this attempt until the job is due."""
    assert run.ended_at is not None
    return (job.scheduled_at - run.ended_at).total_seconds()
