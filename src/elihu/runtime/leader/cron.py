"""Cron: each due occurrence of each entry becomes a job exactly once.

The database's clock decides what is due. The transaction that stores the jobs also moves
the entry's ``last_tick``, so that neither a second leader nor a late one fires the same
occurrence again.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Final, NamedTuple

from elihu.engines.protocol import Engine
from elihu.engines.protocol.crons import CronDeclaration, CronRow, CronTable
from elihu.engines.protocol.signals import SignalKind
from elihu.errors import DatabaseError, DatabaseTimeout, DatabaseUnavailable
from elihu.runtime.leader.election import Leader
from elihu.runtime.service import FRESH, Scope, Service, Tick, logger
from elihu.schedule import CronSpec, Due, due_occurrences, dump_values, load_values
from elihu.task import Timetable
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import CronFailed, CronFired, CronSkipped

FOLLOW: Final = 1.0
"""Seconds after which a node that does not lead checks again whether it leads."""
SHORTEST_DELAY: Final = 0.02
"""Least seconds between two rounds, in case the two clocks disagree on when an entry is
due.
"""
CLOCK_AHEAD: Final = timedelta(minutes=1)
"""An entry whose ``last_tick`` is this far in the future was fired under a wrong clock."""
FIRST_RETRY: Final = 1.0
LONGEST_RETRY: Final = 60.0
"""Seconds until an entry that timed out is tried again, doubling from the first."""
CLOCK_STEP: Final = 0.1
"""Seconds by which the database's clock moves against this machine's before the entries are
read again.
"""
MOST_TIMEOUTS: Final = 3
"""A round ends after this many timeouts. Entries that did not time out come first in the
next one.
"""


def declarations(timetable: Timetable) -> list[CronDeclaration]:
    """The entries that this code declares."""
    values = [(entry.name, dump_values(entry.spec.as_values())) for entry in timetable]
    return [
        CronDeclaration(name, text, hashlib.sha256(text.encode()).hexdigest()[:16])
        for name, text in values
    ]


def digests(declared: Sequence[CronDeclaration]) -> dict[str, str]:
    """What a node's info says of its declarations: the digest of each by name."""
    return {each.name: each.digest for each in declared}


async def declare(engine: Engine, timetable: Timetable) -> None:
    """Write the declarations of this code. A node does this before it registers, so that
    ``@reboot`` entries of a first node are due.
    """
    await engine.declare_crons(declarations(timetable))


class Fired(NamedTuple):
    """The result of a round: the number of jobs stored, the queues in which jobs became
    available, and the seconds until the next entry is due.
    """

    jobs: int
    queues: frozenset[str]
    wait: float | None


class _Plan(NamedTuple):
    rev: int
    last_tick: datetime
    spec: CronSpec
    next_at: datetime | None


class _Retry(NamedTuple):
    """When an entry that timed out is tried again."""

    at: float
    delay: float


class Rounds:
    """Fires due entries that were created at run time, or that a living node or this code
    declares. An entry that fails or times out does not delay the others.
    """

    def __init__(
        self,
        engine: Engine,
        timetable: Timetable,
        bus: Bus,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._timetable = timetable
        self._bus = bus
        self._clock = clock
        self._plans: dict[str, _Plan] = {}
        self._failed: dict[str, int] = {}
        self._retries: dict[str, _Retry] = {}

    @property
    def failed(self) -> bool:
        """Whether one of the entries could not be fired."""
        return bool(self._failed)

    async def fire(self, node: str, *, go_on: Callable[[], bool] = lambda: True) -> Fired:
        """Fire all due entries in the name of ``node``. Ends early once ``go_on`` returns
        False. Raises ``DatabaseError`` if the entries cannot be read.
        """
        table = await self._engine.crons()
        self._forget(table)
        jobs, queues, waits, timeouts = 0, set[str](), list[float](), 0
        for row in sorted(table.rows, key=lambda row: row.name in self._retries):
            if row.paused or not self._counts(row) or not go_on():
                continue
            retry = self._retries.get(row.name)
            if timeouts == MOST_TIMEOUTS or (retry and retry.at > self._clock()):
                waits.append(retry.at - self._clock() if retry else 0.0)
                continue
            try:
                plan = await self._plan(row, table)
                due = self._due(plan, table)
                if due is not None:
                    jobs += await self._fire(node, row, plan.spec, due, queues)
            except DatabaseUnavailable:
                raise
            except DatabaseTimeout as error:
                timeouts += 1
                waits.append(self._timed_out(node, row, error))
                continue
            # Anything can be wrong with one row: other entries must fire all the same.
            except Exception as error:
                self._report(node, row, error)
                continue
            self._retries.pop(row.name, None)
            following = plan.spec.cron.next(table.now) if due else plan.next_at
            if following is not None:
                waits.append((following - table.now).total_seconds())
        return Fired(jobs, frozenset(queues), min(waits, default=None))

    def _counts(self, row: CronRow) -> bool:
        return row.declared is None or row.live or self._timetable.get(row.name) is not None

    async def _plan(self, row: CronRow, table: CronTable) -> _Plan:
        known = self._plans.get(row.name)
        if known is None or (known.rev, known.last_tick) != (row.rev, row.last_tick):
            spec = CronSpec.from_values(load_values(row.declared, row.changes))
            last_tick = row.last_tick
            if last_tick > table.now + CLOCK_AHEAD and not spec.cron.at_reboot:
                last_tick = await self._return_to_now(row, table)
            known = self._plans[row.name] = _Plan(
                row.rev, last_tick, spec, spec.cron.next(last_tick)
            )
        return known

    async def _return_to_now(self, row: CronRow, table: CronTable) -> datetime:
        """Move a ``last_tick`` in the future back to now; the entry would be silent until
        then.
        """
        await self._engine.fire_cron(row, [], table.now)
        logger.warning(
            "cron %r was fired up to %s, which is in the future: the database's clock was ahead; "
            "it fires again from now",
            row.name,
            row.last_tick.isoformat(" ", "seconds"),
        )
        return table.now

    @staticmethod
    def _due(plan: _Plan, table: CronTable) -> Due | None:
        if plan.next_at is not None and plan.next_at > table.now:
            return None
        return due_occurrences(
            plan.spec.cron, plan.spec.catch_up, plan.last_tick, table.now, table.booted_at
        )

    async def _fire(
        self, node: str, row: CronRow, spec: CronSpec, due: Due, queues: set[str]
    ) -> int:
        jobs = await self._engine.fire_cron(
            row, [(at, spec.job) for at in due.occurrences], due.until
        )
        if jobs is None:
            return 0  # fired by another node, or changed since it was read
        if due.skipped and CronSkipped in self._bus:
            self._bus.emit(CronSkipped(node=node, cron=row.name, until=due.until))
        for job in jobs:
            if not job.conflict:
                queues.add(spec.job.queue)
            if CronFired in self._bus:
                self._bus.emit(
                    CronFired(
                        node=node, cron=row.name, at=job.at, job_id=job.id, conflict=job.conflict
                    )
                )
        return sum(not job.conflict for job in jobs)

    def _timed_out(self, node: str, row: CronRow, error: DatabaseTimeout) -> float:
        """Delay the entry; returns the seconds. Only the first of several timeouts in a
        row is logged.
        """
        before = self._retries.get(row.name)
        delay = min(2 * before.delay, LONGEST_RETRY) if before else FIRST_RETRY
        self._retries[row.name] = _Retry(self._clock() + delay, delay)
        if before is None:
            logger.warning("cron %r timed out and is tried again: %s", row.name, error)
        self._emit_failure(node, row, error)
        return delay

    def _report(self, node: str, row: CronRow, error: Exception) -> None:
        """Report an entry that cannot be fired, once for each revision of it."""
        if self._failed.get(row.name) == row.rev:
            return
        self._failed[row.name] = row.rev
        logger.error("cron %r cannot be fired: %s: %s", row.name, type(error).__name__, error)
        self._emit_failure(node, row, error)

    def _emit_failure(self, node: str, row: CronRow, error: Exception) -> None:
        if CronFailed in self._bus:
            self._bus.emit(CronFailed(node=node, cron=row.name, error=error))

    def _forget(self, table: CronTable) -> None:
        names = {row.name for row in table.rows}
        for known in (self._plans, self._failed, self._retries):
            for name in known.keys() - names:
                known.pop(name)


class _Read(NamedTuple):
    """What a heartbeat read: a digest of the entries and the nodes, when that was by the
    monotonic clock, and how far the database's clock is from that.
    """

    digest: str
    at: float
    offset: float


class Cron(Service):
    """Fires entries on the leader, whenever one is due. The entries are read then, when a
    change is announced, and at each poll for which no heartbeat found them unchanged.

    On every node, writes the declarations of its code again from time to time: once the
    last node of a newer release is gone, those of the remaining nodes count.
    """

    name: ClassVar = "cron"
    wakes_on: ClassVar = frozenset({SignalKind.CRON})

    def __init__(self, scope: Scope, leader: Leader, timetable: Timetable) -> None:
        super().__init__(scope)
        self._leader = leader
        self._timetable = timetable
        self._rounds = Rounds(scope.engine, timetable, scope.bus, scope.clock.monotonic)
        self._declared_at = scope.clock.monotonic()
        self._last: _Read | None = None
        self._fired: _Read | None = None
        self._due_at = float("-inf")
        self._wakes = 0

    def wake(self) -> None:
        """Read the entries again at once."""
        self._wakes += 1
        self._fired = None
        super().wake()

    def heartbeat_read(self, digest: str | None, now: float) -> None:
        """A heartbeat read this digest of the entries and the nodes (None: it read none),
        and the database's time.
        """
        at = self.scope.clock.monotonic()
        self._last = None if digest is None else _Read(digest, at, now - at)
        if self._fired is not None and self._last is not None and not self._unchanged:
            self.wake()

    async def tick(self) -> Tick:
        scope = self.scope
        await self._declare_again()
        if not self._leader.is_leader:
            self._fired = None
            return Tick(min(FOLLOW, scope.config.poll), {"fired_count": 0})
        asked = scope.clock.monotonic()
        if self._unchanged and asked < self._due_at:
            return Tick(self._delay(), {"fired_count": 0})
        last, wakes = self._last, self._wakes
        fired = await self._rounds.fire(scope.identity.node, go_on=lambda: self._leader.is_leader)
        scope.announcer.queues(fired.queues)
        self._due_at = float("inf") if fired.wait is None else asked + fired.wait
        complete = self._leader.is_leader and not self._rounds.failed
        self._fired = last if complete and wakes == self._wakes else None
        return Tick(self._delay(), {"fired_count": fired.jobs})

    @property
    def _unchanged(self) -> bool:
        """Whether a heartbeat of late found the entries as the last round read them."""
        last, fired = self._last, self._fired
        return (
            last is not None
            and fired is not None
            and last.digest == fired.digest
            and abs(last.offset - fired.offset) < CLOCK_STEP
            and self.scope.clock.monotonic() - last.at < FRESH * self.scope.config.poll
        )

    def _delay(self) -> float:
        wait = self._due_at - self.scope.clock.monotonic()
        return min(self.scope.config.poll, max(wait, SHORTEST_DELAY))

    async def _declare_again(self) -> None:
        scope = self.scope
        now = scope.clock.monotonic()
        if now - self._declared_at < max(scope.config.dead_after, scope.config.poll):
            return
        self._declared_at = now
        try:
            await declare(scope.engine, self._timetable)
        except DatabaseError as error:
            # Firing must not depend on it.
            scope.failure_log.failed("cron declarations", error)
        else:
            scope.failure_log.worked("cron declarations")
