"""Runs: start, retry and end them."""

from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from elihu import InvalidFields, NotRunnable, RecordNotFound
from elihu.commands.admission import Admission, Wanted, lock_command, request_end
from elihu.commands.ending import end_run, is_active, lock_run
from elihu.commands.host import Host
from elihu.commands.models import (
    UNSUCCESSFUL,
    Command,
    CommandJob,
    CommandJobEvent,
    Cron,
    Environment,
    Schedule,
    ScheduleEnvironment,
    Source,
)
from elihu.commands.rules.rows import find
from elihu.orm.sessions import now

KIND: Final = "run"
LONGEST_DELAY: Final = 366 * 86_400
KILLED: Final = "killed"

NO_ENVIRONMENT: Final = "command has no scheduled environments"
NONE_ENABLED: Final = "no enabled environment is scheduled for command"
COMMAND_DISABLED: Final = "command is disabled"
ENVIRONMENT_DISABLED: Final = "environment is disabled"


async def run(
    session: AsyncSession,
    host: Host,
    command_id: UUID,
    *,
    environment_id: UUID | None = None,
    force: bool = False,
) -> CommandJob:
    """Run a command now. Without an environment it is the first enabled one of the
    command's schedules, with ``force`` the first.

    ``force`` passes over what is disabled and over other runs. A run that the rule of
    overlap leaves out is returned as ``skipped``, with the reason. Raises
    ``RecordNotFound`` and ``NotRunnable``.
    """
    return await _start(session, host, command_id, environment_id, force, "now")


async def run_in(
    session: AsyncSession,
    host: Host,
    command_id: UUID,
    *,
    delay_seconds: float,
    environment_id: UUID | None = None,
    force: bool = False,
) -> CommandJob:
    """``run``, ``delay_seconds`` (1 second to a year) from now. The rule of overlap
    decides then. Raises ``InvalidFields`` too.
    """
    if (
        isinstance(delay_seconds, bool)
        or not isinstance(delay_seconds, int | float)
        or not 1 <= delay_seconds <= LONGEST_DELAY
    ):
        raise InvalidFields(
            ("delay_seconds", f"expected 1 to {LONGEST_DELAY:,} seconds, got {delay_seconds!r:.80}")
        )
    return await _start(
        session, host, command_id, environment_id, force, "later", delay=float(delay_seconds)
    )


async def retry(session: AsyncSession, host: Host, event_id: UUID) -> CommandJob:
    """Run the command of an event again, forced, in the same environment and with the
    same cron. Raises ``RecordNotFound``, and ``NotRunnable`` where the command or the
    environment was deleted.
    """
    event = await find(session, CommandJobEvent, event_id, "event")
    return await _again(session, host, await find(session, CommandJob, event.command_job_id, KIND))


async def retry_last_failed(session: AsyncSession, host: Host, command_id: UUID) -> CommandJob:
    """Run a command again, forced, in the environment of its last run that did not
    succeed. Raises ``RecordNotFound``, and ``NotRunnable`` where there is none.
    """
    await find(session, Command, command_id, "command")
    statement = select(CommandJob).where(
        CommandJob.command_id == command_id, CommandJob.status.in_(UNSUCCESSFUL)
    )
    last = (await session.scalars(statement.order_by(CommandJob.id.desc()).limit(1))).first()
    if last is None:
        raise NotRunnable("command has no failed run")
    return await _again(session, host, last)


async def kill(
    session: AsyncSession, host: Host, run_id: UUID, *, reason: str = KILLED
) -> CommandJob:
    """End a run, whatever attempts are left. One that runs is killed by its node, soon
    after the commit; one that does not is ended here. One that has ended is unchanged.
    Raises ``RecordNotFound``.
    """
    locked = await lock_run(session, run_id)
    if locked is None:
        raise RecordNotFound(KIND, run_id)
    _, found = locked
    if is_active(found):
        moment = await now(session)
        request_end(session, host, found, reason, moment)
        if not is_active(found):
            await end_run(session, host, found, found.status, reason, moment)
        await session.flush()
    return found


async def environment_for(
    session: AsyncSession, command_id: UUID, *, force: bool = False
) -> Environment:
    """The environment of a run for which none is named. Raises ``NotRunnable``."""
    statement = (
        select(Environment)
        .join(ScheduleEnvironment, ScheduleEnvironment.environment_id == Environment.id)
        .join(Schedule, Schedule.id == ScheduleEnvironment.schedule_id)
        .where(Schedule.command_id == command_id)
        .order_by(Schedule.id, ScheduleEnvironment.position)
    )
    found = (await session.scalars(statement)).all()
    if not found:
        raise NotRunnable(NO_ENVIRONMENT)
    for environment in found:
        if environment.enabled or force:
            return environment
    raise NotRunnable(NONE_ENABLED)


async def _again(session: AsyncSession, host: Host, earlier: CommandJob) -> CommandJob:
    if earlier.command_id is None or earlier.environment_id is None:
        raise NotRunnable("command or environment was deleted")
    cron = await session.get(Cron, earlier.cron_id) if earlier.cron_id else None
    return await _start(
        session,
        host,
        earlier.command_id,
        earlier.environment_id,
        True,
        "retry",
        schedule_id=earlier.schedule_id,
        cron=cron,
    )


async def _start(
    session: AsyncSession,
    host: Host,
    command_id: UUID,
    environment_id: UUID | None,
    force: bool,
    source: Source,
    *,
    delay: float = 0.0,
    schedule_id: UUID | None = None,
    cron: Cron | None = None,
) -> CommandJob:
    command = await lock_command(session, command_id)
    if command is None:
        raise RecordNotFound("command", command_id)
    if not command.enabled and not force:
        raise NotRunnable(COMMAND_DISABLED)
    if environment_id is None:
        environment = await environment_for(session, command_id, force=force)
    else:
        environment = await find(session, Environment, environment_id, "environment")
        if not environment.enabled and not force:
            raise NotRunnable(ENVIRONMENT_DISABLED)
    wanted = Wanted(
        command=command,
        environment=environment,
        source=source,
        schedule_id=schedule_id,
        cron=cron,
        forced=force,
        delay=delay,
    )
    admission = Admission(session, host, await now(session))
    await admission.load([wanted.pair])
    row = admission.add(wanted)
    await admission.store()
    return row
