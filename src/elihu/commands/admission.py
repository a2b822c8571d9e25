"""Lets runs in by the rule of overlap, stores them, and gives the next one its turn."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from elihu.commands.alerts import Happened, raise_alerts
from elihu.commands.host import RUN_TASK, Host
from elihu.commands.models import (
    ACTIVE,
    Command,
    CommandJob,
    CommandJobEvent,
    Cron,
    Environment,
    Overlap,
    Source,
)
from elihu.commands.overlap import Load, Step, decide
from elihu.commands.signals import announce_runs
from elihu.orm.columns import new_id
from elihu.orm.sessions import after_commit

REPLACED: Final = "a later run took its place"
PIECE: Final = 1_000


class Pair(NamedTuple):
    """A command in an environment."""

    command_id: UUID
    environment_id: UUID


def pair_of(run: CommandJob) -> Pair | None:
    """The command and environment of a run, None where one of them is deleted."""
    if run.command_id is None or run.environment_id is None:
        return None
    return Pair(run.command_id, run.environment_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A run that a person or a schedule asks for. ``skip`` is why it is not to run."""

    command: Command
    environment: Environment
    source: Source
    schedule_id: UUID | None = None
    cron: Cron | None = None
    occurrence: datetime | None = None
    forced: bool = False
    delay: float = 0.0
    skip: str | None = None

    @property
    def pair(self) -> Pair:
        return Pair(self.command.id, self.environment.id)


class Admission:
    """Decides on runs in the order of ``add``; ``store`` writes all of them and their
    jobs. Their commands must be locked, so that no other run is let in meanwhile.
    """

    def __init__(self, session: AsyncSession, host: Host, moment: datetime) -> None:
        self._session = session
        self._host = host
        self._moment = moment
        self._active: Counter[Pair] = Counter()
        self._waiting: Counter[Pair] = Counter()
        self._starting: list[CommandJob] = []
        self._rows: list[CommandJob] = []
        self._replaced: set[Pair] = set()
        self._added: defaultdict[Pair, list[CommandJob]] = defaultdict(list)

    async def load(self, pairs: Iterable[Pair]) -> None:
        """Read what has not ended of these commands in these environments."""
        wanted = set(pairs)
        commands = sorted({pair.command_id for pair in wanted})
        for start in range(0, len(commands), PIECE):
            waiting = CommandJob.job_id.is_(None)
            statement = (
                select(CommandJob.command_id, CommandJob.environment_id, waiting, func.count())
                .where(
                    CommandJob.status.in_(ACTIVE),
                    CommandJob.admitted.is_(True),
                    CommandJob.command_id.in_(commands[start : start + PIECE]),
                )
                .group_by(CommandJob.command_id, CommandJob.environment_id, waiting)
            )
            for command_id, environment_id, waits, count in await self._session.execute(statement):
                pair = (command_id, environment_id)
                if pair in wanted:
                    (self._waiting if waits else self._active)[Pair(*pair)] += count

    def add(self, wanted: Wanted) -> CommandJob:
        """Decide on a run; its row."""
        row = self._row(wanted)
        pair = wanted.pair
        self._rows.append(row)
        if wanted.skip is not None:
            self._skip(row, wanted.skip)
        elif wanted.delay > 0:
            row.due_at = self._moment + timedelta(seconds=wanted.delay)
            row.admitted = False
            self._starting.append(row)
        else:
            self._decide(row, wanted.command.overlap, pair)
        return row

    def admit(self, row: CommandJob, command: Command, pair: Pair) -> bool:
        """Decide on a stored run whose delay is over; whether it may start now. Else its
        job ends, and ``store`` writes what becomes of it.
        """
        row.admitted = True
        announce_runs(self._session, self._host, [row.id])
        load = Load(self._active[pair], self._waiting[pair])
        if decide(command.overlap, load, forced=row.forced).step is Step.START:
            return True
        row.job_id = None
        self._rows.append(row)
        self._decide(row, command.overlap, pair)
        return False

    async def store(self) -> None:
        """Write all rows, with a job for each that may start, in the session's
        transaction.
        """
        replaced = sorted(self._replaced)
        for start in range(0, len(replaced), PIECE):
            await self._end_others(replaced[start : start + PIECE])
        await enqueue(self._session, self._host, self._starting, self._moment)
        self._session.add_all(self._rows)
        self._session.add_all(
            CommandJobEvent(
                command_job_id=row.id,
                command_id=row.command_id,
                attempt=0,
                status="skipped",
                reason=row.reason,
                finished_at=self._moment,
            )
            for row in self._rows
            if row.status == "skipped"
        )
        await self._session.flush()
        announce_runs(self._session, self._host)
        skipped = [Happened("skipped", row) for row in self._rows if row.status == "skipped"]
        await raise_alerts(self._session, self._host, skipped, self._moment)

    def _row(self, wanted: Wanted) -> CommandJob:
        cron = wanted.cron
        return CommandJob(
            id=new_id(),
            command_id=wanted.command.id,
            command_name=wanted.command.name,
            schedule_id=wanted.schedule_id,
            environment_id=wanted.environment.id,
            environment_name=wanted.environment.name,
            cron_id=cron and cron.id,
            cron_expression=cron and cron.expression,
            shell_command=wanted.command.shell_command,
            mode=wanted.command.mode,
            source=wanted.source,
            forced=wanted.forced,
            admitted=True,
            occurrence=wanted.occurrence,
            status="queued",
            attempt=0,
            max_attempts=wanted.command.max_attempts,
            created_at=self._moment,
            due_at=self._moment,
        )

    def _decide(self, row: CommandJob, policy: Overlap, pair: Pair) -> None:
        load = Load(self._active[pair], self._waiting[pair])
        decision = decide(policy, load, forced=row.forced)
        match decision.step:
            case Step.START:
                self._active[pair] += 1
                self._starting.append(row)
            case Step.SKIP:
                self._skip(row, decision.reason or "")
                return
            case Step.WAIT:
                self._waiting[pair] += 1
            case Step.REPLACE:
                self._replace(pair)
                self._waiting[pair] = 1
        self._added[pair].append(row)

    def _replace(self, pair: Pair) -> None:
        """What waits is ended here, what is stored when all is stored."""
        self._replaced.add(pair)
        for earlier in self._added.pop(pair, []):
            end_unstarted(earlier, REPLACED, self._moment)
            if earlier in self._starting:
                self._starting.remove(earlier)
                self._active[pair] -= 1

    def _skip(self, row: CommandJob, reason: str) -> None:
        row.status = "skipped"
        row.reason = reason
        row.finished_at = self._moment

    async def _end_others(self, pairs: Sequence[Pair]) -> None:
        statement = (
            select(CommandJob)
            .where(
                tuple_(CommandJob.command_id, CommandJob.environment_id).in_(pairs),
                CommandJob.status.in_(ACTIVE),
                CommandJob.admitted.is_(True),
            )
            .with_for_update(key_share=True)
        )
        # A run whose delay is over is stored, and does not end itself.
        mine = {row.id for row in self._rows}
        stored = [row for row in await self._session.scalars(statement) if row.id not in mine]
        for row in stored:
            request_end(self._session, self._host, row, REPLACED, self._moment)
        active = {
            Pair(row.command_id, row.environment_id)
            for row in stored
            if row.status in ACTIVE and row.command_id and row.environment_id
        }
        for pair in pairs:
            # Nothing runs that the new one would have to wait for.
            if pair not in active:
                self._starting += self._added[pair][-1:]


def end_unstarted(row: CommandJob, reason: str, moment: datetime) -> None:
    """End a run that does not run now."""
    row.status = "killed" if row.attempt else "cancelled"
    row.reason = reason
    row.finished_at = moment


def request_end(
    session: AsyncSession, host: Host, row: CommandJob, reason: str, moment: datetime
) -> None:
    """End a run: at once where it does not run; else its node, which looks for
    ``kill_reason``, kills it. The command and the row must be locked.
    """
    announce_runs(session, host, [row.id])
    if row.status == "running":
        row.kill_reason = row.kill_reason or reason
        return
    end_unstarted(row, reason, moment)
    if row.job_id is not None:
        after_commit(session, partial(host.app.jobs.cancel, row.job_id))


async def enqueue(
    session: AsyncSession, host: Host, rows: Sequence[CommandJob], moment: datetime
) -> None:
    """Store the jobs of runs in the session's transaction; those that are due now can
    start with its commit.
    """
    if not rows:
        return
    task = host.app.task_named(RUN_TASK)

    def build(row: CommandJob) -> Any:
        delay = (row.due_at - moment).total_seconds()
        configured = task.using(delay=delay) if delay > 0 else task
        return configured.build(str(row.id))

    done = await host.app.enqueue_many(map(build, rows), conn=session, ids=True)
    for row, job_id in zip(rows, done.ids or (), strict=True):
        row.job_id = job_id


async def start_next(
    session: AsyncSession, host: Host, pair: Pair, moment: datetime
) -> CommandJob | None:
    """Let the oldest waiting run of a command in an environment start, where no other is
    active. The command must be locked.
    """
    mine = select(CommandJob).where(
        CommandJob.command_id == pair.command_id,
        CommandJob.environment_id == pair.environment_id,
        CommandJob.status.in_(ACTIVE),
        CommandJob.admitted.is_(True),
    )
    active = mine.where(CommandJob.job_id.is_not(None)).limit(1)
    if (await session.scalars(active)).first() is not None:
        return None
    waiting = mine.where(CommandJob.job_id.is_(None)).order_by(CommandJob.id).limit(1)
    row = (await session.scalars(waiting)).first()
    if row is not None:
        row.due_at = moment
        await enqueue(session, host, [row], moment)
        await session.flush()
        announce_runs(session, host, [row.id])
    return row


async def lock_command(session: AsyncSession, command_id: UUID | None) -> Command | None:
    """The command, locked: every change of what runs of it have not ended is done under
    this lock, and takes it before it locks a run. None where it was deleted.
    """
    if command_id is None:
        return None
    return await session.get(
        Command, command_id, with_for_update={"key_share": True}, populate_existing=True
    )
