"""Removes runs that are over: those past the retention, and those beyond the last so
many of a command.
"""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, delete, func, select

from elihu.commands.host import Host
from elihu.commands.models import ACTIVE, CommandJob
from elihu.orm.sessions import now

PIECE: Final = 50
"""Runs that one transaction removes: each may have many chunks of output."""
MOST: Final = 10_000
"""Runs that one round removes at most."""


async def prune(host: Host) -> int:
    """Do one round; how many runs were removed."""
    removed = await _remove_old(host)
    return removed + await _remove_beyond(host, MOST - removed)


async def _remove_old(host: Host) -> int:
    removed = 0
    while removed < MOST:
        async with host.sessions.begin() as session:
            before = await now(session) - timedelta(seconds=host.config.commands.retention)
            found = await _remove(
                session, select(CommandJob.id).where(CommandJob.finished_at < before)
            )
        removed += found
        if found < PIECE:
            break
    return removed


async def _remove_beyond(host: Host, most: int) -> int:
    keep = host.config.commands.retention_runs
    counted = (
        select(CommandJob.command_id)
        .where(CommandJob.command_id.is_not(None))
        .group_by(CommandJob.command_id)
        .having(func.count() > keep)
    )
    async with host.sessions.read() as session:
        commands = (await session.scalars(counted)).all()
    removed = 0
    for command_id in commands:
        oldest = await _oldest_kept(host, command_id, keep)
        while oldest is not None and removed < most:
            beyond = select(CommandJob.id).where(
                CommandJob.command_id == command_id,
                CommandJob.id < oldest,
                CommandJob.status.not_in(ACTIVE),
            )
            async with host.sessions.begin() as session:
                found = await _remove(session, beyond)
            removed += found
            if found < PIECE:
                break
    return removed


async def _oldest_kept(host: Host, command_id: UUID | None, keep: int) -> UUID | None:
    statement = select(CommandJob.id).where(CommandJob.command_id == command_id)
    async with host.sessions.read() as session:
        return await session.scalar(
            statement.order_by(CommandJob.id.desc()).offset(keep - 1).limit(1)
        )


async def _remove(session: Any, which: Select[Any]) -> int:
    ids = (await session.scalars(which.order_by(CommandJob.id).limit(PIECE))).all()
    if ids:
        await session.execute(delete(CommandJob).where(CommandJob.id.in_(ids)))
    return len(ids)
