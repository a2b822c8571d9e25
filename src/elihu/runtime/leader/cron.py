"""Cron: each tick of each entry becomes a job, exactly once.

The database's clock says what is due. Whoever settles an entry in the transaction that
stores the jobs has fired it: neither a second leader nor a late one can do so again.
"""

from collections.abc import Callable
from datetime import datetime
from typing import ClassVar, Final, NamedTuple

from elihu.engines.protocol import Engine
from elihu.engines.protocol.crons import CronRow, CronTable
from elihu.engines.protocol.signals import SignalKind
from elihu.errors import CronError, DataRefused
from elihu.runtime.leader.election import Leader
from elihu.runtime.service import Scope, Service, Tick, logger
from elihu.schedule import CronSpec, Due, due_occurrences, dump_values, load_values
from elihu.task import Timetable
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import CronFailed, CronFired, CronSkipped

FOLLOW: Final = 1.0
"""Seconds after which a node that does not lead looks whether it does."""
BRIEFLY: Final = 0.02
"""Seconds between two looks at least, should the two clocks not agree on when an entry
is due.
"""


async def declare(engine: Engine, timetable: Timetable) -> None:
    """Write the entries of this code, before its node is enlisted: so a first node's
    ``@reboot`` is due.
    """
    await engine.declare_crons(
        [(entry.name, dump_values(entry.spec.as_values())) for entry in timetable]
    )


class Fired(NamedTuple):
    """What a round did: how many jobs it stored, in which queues jobs became available,
    seconds until an entry is due next.
    """

    jobs: int
    queues: frozenset[str]
    wait: float | None


class _Plan(NamedTuple):
    rev: int
    last_tick: datetime
    spec: CronSpec
    next_at: datetime | None


class Rounds:
    """Fires what is due of all entries that are made at run time, that a living node
    declares, or that are declared here.
    """

    def __init__(self, engine: Engine, timetable: Timetable, bus: Bus) -> None:
        self._engine = engine
        self._timetable = timetable
        self._bus = bus
        self._plans: dict[str, _Plan] = {}
        self._failed: dict[str, int] = {}

    async def fire(self, node: str, *, go_on: Callable[[], bool] = lambda: True) -> Fired:
        """One round, in the name of ``node``; it ends early where ``go_on`` says so.
        Raises ``DatabaseError``.
        """
        table = await self._engine.crons()
        self._forget(table)
        jobs, queues, waits = 0, set[str](), list[float]()
        for row in table.rows:
            if row.paused or not self._counts(row) or not go_on():
                continue
            try:
                plan = self._plan(row)
                due = self._due(plan, table)
                if due is not None:
                    jobs += await self._fire(node, row, plan.spec, due, queues)
            except (CronError, DataRefused) as error:
                self._tell(node, row, error)
                continue
            following = plan.spec.cron.next(table.now) if due else plan.next_at
            if following is not None:
                waits.append((following - table.now).total_seconds())
        return Fired(jobs, frozenset(queues), min(waits, default=None))

    def _counts(self, row: CronRow) -> bool:
        return row.declared is None or row.live or self._timetable.get(row.name) is not None

    def _plan(self, row: CronRow) -> _Plan:
        known = self._plans.get(row.name)
        if known is None or (known.rev, known.last_tick) != (row.rev, row.last_tick):
            spec = CronSpec.from_values(load_values(row.declared, row.changes))
            known = self._plans[row.name] = _Plan(
                row.rev, row.last_tick, spec, spec.cron.next(row.last_tick)
            )
        return known

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
            return 0  # fired by another, or changed since it was read
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

    def _tell(self, node: str, row: CronRow, error: Exception) -> None:
        """Once for each revision of the entry."""
        if self._failed.get(row.name) == row.rev:
            return
        self._failed[row.name] = row.rev
        logger.error("cron %r cannot be fired, others are: %s", row.name, error)
        if CronFailed in self._bus:
            self._bus.emit(CronFailed(node=node, cron=row.name, error=error))

    def _forget(self, table: CronTable) -> None:
        names = {row.name for row in table.rows}
        for known in (self._plans, self._failed):
            for name in known.keys() - names:
                known.pop(name)


class Cron(Service):
    """On the leader, whenever an entry is due, and at each poll."""

    name: ClassVar = "cron"
    wakes_on: ClassVar = frozenset({SignalKind.CRON})

    def __init__(self, scope: Scope, leader: Leader, timetable: Timetable) -> None:
        super().__init__(scope)
        self._leader = leader
        self._rounds = Rounds(scope.engine, timetable, scope.bus)

    async def tick(self) -> Tick:
        scope = self.scope
        if not self._leader.is_leader:
            return Tick(min(FOLLOW, scope.config.poll), {"fired_count": 0})
        asked = scope.clock.monotonic()
        fired = await self._rounds.fire(scope.identity.node, go_on=lambda: self._leader.is_leader)
        scope.announcer.queues(fired.queues)
        spent = scope.clock.monotonic() - asked
        delay = (
            scope.config.poll
            if fired.wait is None
            else min(scope.config.poll, max(fired.wait - spent, BRIEFLY))
        )
        return Tick(delay, {"fired_count": fired.jobs})
