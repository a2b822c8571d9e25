"""What happened: runs, events and output, newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, get_args
from uuid import UUID

from sqlalchemy import func, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from elihu.commands.models import CommandJob, CommandJobEvent, Output, Status
from elihu.commands.rules.fields import Fields
from elihu.commands.rules.rows import LONGEST_PAGE, Page, find
from elihu.orm.columns import first_id
from elihu.orm.newest import Condition, newest

MOST_CHUNKS: Final = 1_000
_PIECE: Final = 500
CLOCKS: Final = 3_600.0
"""Seconds by which the clocks of two machines may differ: ids have the time of a node, rows that
of the database.
"""
LAST_LINES_BYTES: Final = 64 * 1_024


@dataclass(frozen=True, slots=True)
class OutputPage:
    """Chunks of output in order. ``next`` is the attempt and sequence to read after.
    ``ended`` is whether the run had ended before the chunks were read: then nothing
    follows an empty page.
    """

    chunks: Sequence[Output]
    next: tuple[int, int]
    ended: bool


async def get(session: AsyncSession, run_id: UUID) -> CommandJob:
    """Raises ``RecordNotFound``."""
    return await find(session, CommandJob, run_id, "run")


async def find_all(
    session: AsyncSession,
    *,
    command_id: UUID | None = None,
    environment_id: UUID | None = None,
    schedule_id: UUID | None = None,
    statuses: Sequence[Status] = (),
    since: datetime | None = None,
    until: datetime | None = None,
    text: str | None = None,
    after: UUID | None = None,
    limit: int = 100,
) -> Page[CommandJob]:
    """A page of runs, newest first: made from ``since`` and before ``until``; ``text``
    is in the name of the command, in what it runs or in the reason. It reads a bounded
    number of runs, so that it may be short, or empty, and not the last. Raises
    ``InvalidFields``.
    """
    fields = Fields()
    fields.whole("limit", limit, 1, LONGEST_PAGE)
    if statuses:
        fields.words("status", list(statuses), get_args(Status))
    fields.done()
    within = _within(command_id, environment_id, schedule_id, statuses)
    if since is not None:
        within.append(CommandJob.id >= first_id(since, -CLOCKS))
    if until is not None:
        within.append(CommandJob.id < first_id(until, CLOCKS))

    def where(run: type[CommandJob]) -> list[Condition]:
        found: list[Condition | None] = [
            None if command_id is None else run.command_id == command_id,
            None if environment_id is None else run.environment_id == environment_id,
            None if schedule_id is None else run.schedule_id == schedule_id,
            run.status.in_(statuses) if statuses else None,
            None if since is None else run.created_at >= since,
            None if until is None else run.created_at < until,
        ]
        if text:
            texts: tuple[Any, ...] = (run.command_name, run.shell_command, run.reason)
            found.append(or_(*(column.icontains(text, autoescape=True) for column in texts)))
        return [each for each in found if each is not None]

    return Page(
        *await newest(session, CommandJob, within=within, where=where, after=after, limit=limit)
    )


async def events(
    session: AsyncSession,
    *,
    command_id: UUID | None = None,
    run_id: UUID | None = None,
    after: UUID | None = None,
    limit: int = 100,
) -> Page[CommandJobEvent]:
    """A page of events, newest first. Raises ``InvalidFields``."""
    fields = Fields()
    fields.whole("limit", limit, 1, LONGEST_PAGE)
    fields.done()
    within = []
    if run_id is not None:
        within = [CommandJobEvent.command_job_id == run_id]
    elif command_id is not None:
        within = [CommandJobEvent.command_id == command_id]

    def where(event: type[CommandJobEvent]) -> list[Condition]:
        return [] if command_id is None else [event.command_id == command_id]

    return Page(
        *await newest(
            session, CommandJobEvent, within=within, where=where, after=after, limit=limit
        )
    )


async def event(session: AsyncSession, event_id: UUID) -> CommandJobEvent:
    """Raises ``RecordNotFound``."""
    return await find(session, CommandJobEvent, event_id, "event")


async def output(
    session: AsyncSession,
    run_id: UUID,
    *,
    attempt: int | None = None,
    after: tuple[int, int] = (0, -1),
    limit: int = 100,
) -> OutputPage:
    """The output of a run after this attempt and sequence, at most ``limit`` (1 to
    1,000) chunks of at most some KiB each; of one ``attempt`` or of all. A sequence that
    is left out was dropped. Raises ``RecordNotFound`` and ``InvalidFields``.
    """
    fields = Fields()
    fields.whole("limit", limit, 1, MOST_CHUNKS)
    fields.done()
    run = await find(session, CommandJob, run_id, "run")
    ended = run.finished_at is not None
    statement = select(Output).where(
        Output.command_job_id == run_id,
        tuple_(Output.attempt, Output.sequence) > tuple_(*after),
    )
    if attempt is not None:
        statement = statement.where(Output.attempt == attempt)
    statement = statement.order_by(Output.attempt, Output.sequence).limit(limit)
    chunks = (await session.scalars(statement)).all()
    last = (chunks[-1].attempt, chunks[-1].sequence) if chunks else after
    return OutputPage(chunks, last, ended)


async def last_lines(session: AsyncSession, run_id: UUID, count: int) -> list[str]:
    """The last lines of the last attempt, of both streams; bytes that are not UTF-8 are
    replaced.
    """
    attempt = select(func.max(Output.attempt)).where(Output.command_job_id == run_id)
    statement = (
        select(Output.data)
        .where(Output.command_job_id == run_id, Output.attempt == attempt.scalar_subquery())
        .order_by(Output.sequence.desc())
        .limit(_PIECE)
    )
    found: list[bytes] = []
    size = 0
    for data in await session.scalars(statement):
        found.append(data)
        size += len(data)
        if size >= LAST_LINES_BYTES:
            break
    text = b"".join(reversed(found))[-LAST_LINES_BYTES:].decode("utf-8", "replace")
    return text.splitlines()[-count:]


def _within(
    command_id: UUID | None,
    environment_id: UUID | None,
    schedule_id: UUID | None,
    statuses: Sequence[Status],
) -> list[Condition]:
    """Conditions whose rows an index has in the order of their ids."""
    command = CommandJob.command_id == command_id
    environment = CommandJob.environment_id == environment_id
    status = CommandJob.status == statuses[0] if len(statuses) == 1 else None
    if command_id is not None:
        if environment_id is not None and status is not None:
            return [command, environment, status]
        return [command]
    if environment_id is not None:
        return [environment]
    if schedule_id is not None:
        return [CommandJob.schedule_id == schedule_id]
    return [] if status is None else [status]
