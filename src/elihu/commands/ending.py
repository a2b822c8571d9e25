"""The end of a run, or of an attempt of it: one transaction writes all that follows."""

from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from elihu.commands.admission import Pair, lock_command, start_next
from elihu.commands.alerts import Happened, raise_alerts
from elihu.commands.host import Host
from elihu.commands.models import ACTIVE, Command, CommandJob, CommandJobEvent, EventStatus, Status
from elihu.commands.signals import announce_runs

FAILED: Final = ("failed", "timed_out")
LOST: Final = "the node died"
STOPPED: Final = "the node was stopped"
JOB_CANCELLED: Final = "its job was cancelled"
JOB_GONE: Final = "its job was deleted"
JOB_KILLED: Final = "its job was killed"
JOB_STOPPED: Final = "its job was stopped"


async def lock_run(session: AsyncSession, run_id: UUID) -> tuple[Command | None, CommandJob] | None:
    """A run and its command, locked in the one order. None where the run is gone."""
    statement = select(CommandJob.command_id).where(CommandJob.id == run_id)
    found = (await session.execute(statement)).first()
    if found is None:
        return None
    command = await lock_command(session, found[0])
    run = await session.get(
        CommandJob, run_id, with_for_update={"key_share": True}, populate_existing=True
    )
    return None if run is None else (command, run)


async def end_run(
    session: AsyncSession,
    host: Host,
    run: CommandJob,
    status: Status,
    reason: str | None,
    moment: datetime,
) -> None:
    """Write the end of a locked run, report it, and let the next one start."""
    run.status = status
    run.reason = reason
    run.finished_at = moment
    run.token = None
    await session.flush()
    announce_runs(session, host, [run.id])
    happened = []
    if status in FAILED or (status == "killed" and reason == STOPPED):
        happened.append(Happened("failed", run))
    elif status == "lost":
        happened.append(Happened("lost", run))
    elif status == "succeeded" and (
        await _lost_before(session, run) or await _failed_before(session, run)
    ):
        happened.append(Happened("recovered", run))
    await raise_alerts(session, host, happened, moment)
    if run.command_id is not None and run.environment_id is not None:
        await start_next(session, host, Pair(run.command_id, run.environment_id), moment)


def add_event(
    session: AsyncSession,
    run: CommandJob,
    status: EventStatus,
    moment: datetime,
    *,
    reason: str | None = None,
    started_at: datetime | None = None,
    duration: float | None = None,
    stdout: str = "",
    stderr: str = "",
) -> None:
    """Write what happened to the attempt of a run; its exit status is that of the run."""
    session.add(
        CommandJobEvent(
            command_job_id=run.id,
            command_id=run.command_id,
            attempt=run.attempt,
            status=status,
            reason=reason,
            exit_code=run.exit_code,
            signal=run.signal,
            started_at=started_at,
            finished_at=None if status == "started" else moment,
            duration_ms=None if duration is None else round(duration * 1_000),
            stdout=stdout,
            stderr=stderr,
        )
    )


async def end_attempt(
    session: AsyncSession,
    host: Host,
    run: CommandJob,
    command: Command | None,
    moment: datetime,
    reason: str,
    **facts: Any,
) -> bool:
    """Write that its node ended a running attempt or died; whether the run is tried again
    with another attempt. ``facts`` are those of the event.
    """
    again = (
        command is not None
        and command.rerun_lost
        and run.kill_reason is None
        and reason not in {JOB_CANCELLED, JOB_KILLED}
    )
    reason = run.kill_reason or reason
    status: Literal["killed", "lost"] = "lost" if reason == LOST else "killed"
    add_event(session, run, status, moment, reason=reason, **facts)
    if again:
        run.status = "retrying"
        run.token = None
        await session.flush()
        announce_runs(session, host, [run.id])
        happened = [Happened("lost", run)] if status == "lost" else []
        await raise_alerts(session, host, happened, moment)
        return True
    await end_run(session, host, run, status, reason, moment)
    return False


async def _failed_before(session: AsyncSession, run: CommandJob) -> bool:
    """Whether the last run of the same command in the same environment ended without
    success. Runs that were killed on request do not count.
    """
    statement = (
        select(CommandJob.status)
        .where(
            CommandJob.command_id == run.command_id,
            CommandJob.environment_id == run.environment_id,
            or_(
                CommandJob.status.in_(("succeeded", "lost", *FAILED)),
                and_(CommandJob.status == "killed", CommandJob.reason == STOPPED),
            ),
            CommandJob.id != run.id,
            CommandJob.finished_at.is_not(None),
        )
        .order_by(CommandJob.finished_at.desc())
        .limit(1)
    )
    return await session.scalar(statement) not in {None, "succeeded"}


async def _lost_before(session: AsyncSession, run: CommandJob) -> bool:
    """Whether the node of an earlier attempt of the run died."""
    if run.attempt < 2:
        return False
    statement = select(CommandJobEvent.id).where(
        CommandJobEvent.command_job_id == run.id, CommandJobEvent.status == "lost"
    )
    return await session.scalar(statement.limit(1)) is not None


def is_active(run: CommandJob) -> bool:
    """Whether the run has not ended."""
    return run.status in ACTIVE
