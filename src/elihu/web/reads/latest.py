"""The last runs of many commands."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Text, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from elihu.commands.models import Command, CommandJob


class Latest(NamedTuple):
    """The last run of a command, and how the last ones are, newest first."""

    id: UUID
    created_at: datetime
    statuses: list[str]


async def latest_runs(
    session: AsyncSession, command_ids: Collection[UUID], count: int
) -> dict[UUID, Latest]:
    """The last ``count`` runs of each of these commands that has run, in two statements."""
    last = (
        select(CommandJob.id, CommandJob.status)
        .where(CommandJob.command_id == Command.id)
        .order_by(CommandJob.id.desc())
        .limit(count)
        .correlate(Command)
        .subquery()
    )
    texts = select(
        func.aggregate_strings(cast(last.c.id, Text) + " " + last.c.status, ",")
    ).scalar_subquery()
    statement = select(Command.id, texts).where(Command.id.in_(command_ids))
    statuses: dict[UUID, list[str]] = {}
    newest: dict[UUID, UUID] = {}
    rows: Any = await session.execute(statement)
    for command_id, text in rows:
        if text:
            runs = sorted((run.split() for run in text.split(",")), reverse=True)
            newest[command_id] = UUID(runs[0][0])
            statuses[command_id] = [status for _, status in runs]
    rows = await session.execute(
        select(CommandJob.id, CommandJob.created_at).where(CommandJob.id.in_(newest.values()))
    )
    made = dict(tuple(row) for row in rows)
    return {
        command_id: Latest(run_id, made[run_id], statuses[command_id])
        for command_id, run_id in newest.items()
        if run_id in made
    }
