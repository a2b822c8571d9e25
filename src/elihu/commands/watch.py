"""Each minute: runs whose job is gone, runs that wait for nothing, late and long ones."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from elihu import Job, JobState
from elihu.commands.admission import Pair, lock_command, pair_of, start_next
from elihu.commands.alerts import Happened, raise_alerts, send_held
from elihu.commands.ending import (
    JOB_CANCELLED,
    JOB_GONE,
    LOST,
    add_event,
    end_run,
    is_active,
    lock_run,
)
from elihu.commands.host import Host
from elihu.commands.models import ACTIVE, CommandJob, CommandJobEvent, Status
from elihu.commands.signals import announce_runs
from elihu.commands.usual import usual_of
from elihu.orm.sessions import now

LONG_FACTOR: Final = 3
"""A run is long past so many times its usual duration."""
PIECE: Final = 500
_ENDED: Final = frozenset({JobState.COMPLETED, JobState.DISCARDED, JobState.CANCELLED})


async def watch(host: Host) -> dict[str, int]:
    """Do one round; how many runs were found of each kind."""
    return {
        "lost": await end_without_job(host),
        "started": await start_waiting(host),
        "late": await find_late(host),
        "long": await find_long(host),
        "summed": await _send_held(host),
    }


async def end_without_job(host: Host) -> int:
    """End runs whose job has ended or is gone without saying so; how many."""
    ended = 0
    after: UUID | None = None
    while True:
        statement = select(CommandJob.id, CommandJob.job_id).where(
            CommandJob.status.in_(ACTIVE), CommandJob.job_id.is_not(None)
        )
        if after is not None:
            statement = statement.where(CommandJob.id > after)
        async with host.sessions.read() as session:
            found: Any = await session.execute(statement.order_by(CommandJob.id).limit(PIECE))
            rows: list[tuple[UUID, int]] = list(found)
        jobs = await _jobs(host, [row[1] for row in rows])
        for run_id, job_id in rows:
            job = jobs.get(job_id)
            if job is None or job.state in _ENDED:
                ended += await _end(host, run_id, job_id, job)
        if len(rows) < PIECE:
            return ended
        after = rows[-1][0]


async def start_waiting(host: Host) -> int:
    """Start runs that wait although no other is active; how many."""
    statement = (
        select(CommandJob.command_id, CommandJob.environment_id)
        .where(
            CommandJob.status.in_(ACTIVE),
            CommandJob.admitted.is_(True),
            CommandJob.command_id.is_not(None),
            CommandJob.environment_id.is_not(None),
        )
        .group_by(CommandJob.command_id, CommandJob.environment_id)
        .having(func.count(CommandJob.job_id) == 0)
    )
    async with host.sessions.read() as session:
        found: Any = await session.execute(statement)
        pairs = [Pair(*row) for row in found]
    started = 0
    for pair in pairs:
        async with host.sessions.begin() as session:
            await lock_command(session, pair.command_id)
            row = await start_next(session, host, pair, await now(session))
            started += row is not None
    return started


async def find_late(host: Host) -> int:
    """Mark and report runs that have not started in time; how many."""
    async with host.sessions.begin() as session:
        moment = await now(session)
        before = moment - timedelta(seconds=host.config.commands.late_after)
        statement = (
            select(CommandJob)
            .where(
                CommandJob.status == "queued",
                CommandJob.occurrence <= before,
                CommandJob.started_at.is_(None),
                CommandJob.late_at.is_(None),
            )
            .order_by(CommandJob.id)
            .limit(PIECE)
            .with_for_update(key_share=True, skip_locked=True)
        )
        late = list(await session.scalars(statement))
        for run in late:
            run.late_at = moment
        if late:
            announce_runs(session, host, [run.id for run in late])
        await raise_alerts(session, host, [Happened("late", run) for run in late], moment)
    return len(late)


async def find_long(host: Host) -> int:
    """Mark and report runs that take much longer than usual; how many."""
    async with host.sessions.begin() as session:
        moment = await now(session)
        statement = select(CommandJob).where(
            CommandJob.status == "running", CommandJob.long_at.is_(None)
        )
        running = list(
            await session.scalars(
                statement.order_by(CommandJob.id).with_for_update(key_share=True, skip_locked=True)
            )
        )
        usual = await usual_of(session, [pair for run in running if (pair := pair_of(run))])
        long = []
        for run in running:
            begun, pair = await _begun_at(session, run.id), pair_of(run)
            if begun is None or pair is None:
                continue
            seconds = usual[pair]
            if seconds is not None and (moment - begun).total_seconds() > LONG_FACTOR * seconds:
                run.long_at = moment
                long.append(run)
        if long:
            announce_runs(session, host, [run.id for run in long])
        await raise_alerts(session, host, [Happened("long", run) for run in long], moment)
    return len(long)


async def _begun_at(session: AsyncSession, run_id: UUID) -> datetime | None:
    return await session.scalar(
        select(func.max(CommandJobEvent.started_at)).where(
            CommandJobEvent.command_job_id == run_id, CommandJobEvent.status == "started"
        )
    )


async def _send_held(host: Host) -> int:
    async with host.sessions.begin() as session:
        return await send_held(session, host, await now(session))


async def _jobs(host: Host, ids: Sequence[int]) -> dict[int, Job]:
    if not ids:
        return {}
    page = await host.app.jobs.list(ids=ids, limit=PIECE)
    return {job.id: job for job in page.items}


async def _end(host: Host, run_id: UUID, job_id: int, job: Job | None) -> bool:
    async with host.sessions.begin() as session:
        locked = await lock_run(session, run_id)
        if locked is None or not is_active(locked[1]) or locked[1].job_id != job_id:
            return False
        run = locked[1]
        moment = await now(session)
        if job is not None and job.state is JobState.CANCELLED:
            status: Status = "cancelled" if run.status == "queued" else "killed"
            reason = run.kill_reason or _why_cancelled(job)
        else:
            status, reason = "lost", JOB_GONE if job is None else LOST
        if run.status == "running":
            add_event(session, run, "lost" if status == "lost" else "killed", moment, reason=reason)
        await end_run(session, host, run, status, reason, moment)
    return True


def _why_cancelled(job: Job) -> str:
    own = job.reason not in {None, "cancelled"}
    return f"{JOB_CANCELLED}: {job.reason}" if own else JOB_CANCELLED
