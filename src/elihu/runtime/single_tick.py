"""One bounded round, for hosts where an outside cron runs ``elihu tick`` in place of a
node: fire, expire, stage, run a few jobs, prune, end.

It is no leader and needs none: several may do the same at once. While it works it is a
node, so another round or node rescues its jobs when it dies.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from elihu.config import Config
from elihu.engines.protocol import Engine
from elihu.errors import DatabaseTimeout, DataRefused
from elihu.job import RunOutcome
from elihu.runtime.leader.cron import Rounds
from elihu.runtime.leader.lifeline import available_queues, awaited_ends, expire_all, rescue_all
from elihu.runtime.node import Node
from elihu.runtime.queue.start_budget import StartBudget
from elihu.runtime.service import logger
from elihu.runtime.timers import when
from elihu.task import Timetable
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import JobExpired, JobRescued, JobStopped, NodeRemoved

FAILED: Final = frozenset({RunOutcome.FAILED, RunOutcome.KILLED, RunOutcome.TIMED_OUT})
SILENT: Final = 3
"""How many call deadlines the round waits for ends to be written while nothing runs."""


@dataclass(slots=True)
class Outcomes:
    """How many succeeded, and how many failed."""

    ok: int = 0
    error: int = 0


@dataclass(frozen=True, slots=True)
class TickCounts:
    """What a round did: attempts that completed (``start.ok``) or failed, jobs expired
    or rescued (``expire.ok``) and failures to do so, jobs staged, stored by cron and
    pruned.
    """

    start: Outcomes
    expire: Outcomes
    staged: int
    cron: int
    pruned: int


class SingleTick:
    """One round. ``node`` makes its node from a budget of starts, which is 0 at first."""

    def __init__(
        self, config: Config, node: Callable[[StartBudget], Node], timetable: Timetable, bus: Bus
    ) -> None:
        self._config = config
        self._start_budget = StartBudget(0)
        self._node = node(self._start_budget)
        self._timetable = timetable
        self._bus = bus
        self._start = Outcomes()
        self._relieved: list[int] = []
        self._refused = 0
        self._staged = self._cron = self._pruned = 0

    async def run(
        self, limit: int, *, stopping: asyncio.Event, stop_now: asyncio.Event
    ) -> TickCounts:
        """Begin at most ``limit`` attempts and wait for their ends; after ``stopping``
        as a node that stops, at once with ``stop_now``.

        Raises ``DatabaseError`` where the database does not answer.
        """
        node = self._node
        deaf = [
            self._bus.on(JobStopped, self._count),
            self._bus.on(JobRescued, self._note),
            self._bus.on(JobExpired, self._note),
        ]
        hurry = asyncio.create_task(when(stop_now, node.hurry))
        try:
            await node.start()
            try:
                await self._until(stopping, self._work(limit))
            finally:
                await node.stop()
        finally:
            hurry.cancel()
            for off in deaf:
                off()
        if node.unwritten:
            raise DatabaseTimeout(
                "expected the ends of all attempts to be written, got no answer for "
                f"{node.unwritten} of them"
            )
        return TickCounts(
            self._start,
            Outcomes(len(self._relieved), self._refused),
            self._staged,
            self._cron,
            self._pruned,
        )

    async def _work(self, limit: int) -> None:
        await self._fire()
        await self._relieve()
        await self._stage()
        self._start_budget.add(limit)
        await self._idle_now()
        await self._prune()

    async def _fire(self) -> None:
        fired = await Rounds(self._node.engine, self._timetable, self._bus).fire(self._node.id)
        self._node.scope.announcer.queues(fired.queues)
        self._cron = fired.jobs

    async def _relieve(self) -> None:
        """Remove dead nodes, rescue their jobs, and cancel jobs that did not start in
        time. A duty that fails does not stop the others.

        The round's own heartbeat may remove a dead node first, so rescues are counted
        by their events.
        """
        node, limit = self._node, self._config.lifeline.limit
        for dead in await node.engine.remove_silent_nodes(self._config.dead_after):
            logger.warning("node %s is dead and was removed", dead)
            if NodeRemoved in self._bus:
                self._bus.emit(NodeRemoved(node=node.id, dead=dead))
        try:
            rescued = await rescue_all(node.engine, limit, bus=self._bus, node=node.id)
        except DataRefused as error:
            self._failed("rescue", error)
        else:
            node.scope.announcer.queues(available_queues(rescued))
            node.scope.announcer.ended(awaited_ends(rescued))
        try:
            expired = await expire_all(node.engine, limit, bus=self._bus, node=node.id)
        except DataRefused as error:
            self._failed("expire", error)
        else:
            node.scope.announcer.ended(job.id for job in expired if job.awaited)

    async def _stage(self) -> None:
        staged = (await self._node.engine.stage(self._config.stager.limit)).queues
        self._node.scope.announcer.queues(staged)
        self._staged = sum(staged.values())

    async def _idle_now(self) -> None:
        """Wait until all producers are idle at the same moment: one that waits may be
        woken by another.
        """
        silent = 0
        while not all(producer.is_idle for producer in self._node.producers) and silent < SILENT:
            waits = [asyncio.create_task(producer.wait_idle()) for producer in self._node.producers]
            try:
                _, pending = await asyncio.wait(waits, timeout=self._config.call_timeout)
            finally:
                for wait in waits:
                    wait.cancel()
            runs = any(producer.running for producer in self._node.producers)
            silent = silent + 1 if pending and not runs else 0

    async def _prune(self) -> None:
        engine: Engine = self._node.engine
        retention, limit = self._config.retention, self._config.pruner.limit
        await engine.review_retention(retention, limit)
        self._pruned += (await engine.prune(retention, limit)).removed

    async def _until(self, stopping: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
        working, stopped = asyncio.create_task(work), asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait([working, stopped], return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
            if not working.done():
                working.cancel()
                await asyncio.wait([working])
        if not working.cancelled():
            working.result()

    def _failed(self, what: str, error: DataRefused) -> None:
        self._refused += 1
        logger.error("%s failed: %s", what, error)

    def _count(self, event: JobStopped) -> None:
        if event.node == self._node.id:
            self._start.ok += event.outcome == RunOutcome.COMPLETED
            self._start.error += event.outcome in FAILED

    def _note(self, event: JobRescued | JobExpired) -> None:
        """Called in the thread of the event."""
        if event.node == self._node.id:
            self._relieved.append(event.job_id)
