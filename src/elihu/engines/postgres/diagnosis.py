"""What tells whether the database is well."""

from elihu.engines.postgres.session import Session
from elihu.engines.protocol.diagnosis import MOST_WAITING, Vitals, WaitingTask


async def vitals(session: Session) -> Vitals:
    (row,) = await session.fetch("vitals")
    return Vitals(**dict(row))


async def waiting_tasks(session: Session) -> list[WaitingTask]:
    return [WaitingTask(*row) for row in await session.fetch("waiting_tasks", MOST_WAITING)]
