"""Reading unfinished jobs whole."""

from elihu.engines.postgres.session import Session
from elihu.engines.protocol.transfer import StoredJob
from elihu.job import JobState


async def stored_jobs(session: Session, after: int, limit: int) -> list[StoredJob]:
    return [
        StoredJob(**dict(row) | {"state": JobState(row["state"]), "tags": tuple(row["tags"])})
        for row in await session.fetch("stored_jobs", after, limit)
    ]
