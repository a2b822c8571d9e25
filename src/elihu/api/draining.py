"""Runs stored jobs on a node of this program until none is due: for tests, and for
triggers that are run at once.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from elihu.api.jobs import Jobs
from elihu.engines.protocol import Engine
from elihu.job import JobState
from elihu.runtime.leader.lifeline import expire_all
from elihu.runtime.queue.start_budget import StartBudget
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import JobStopped

if TYPE_CHECKING:
    from elihu.runtime.node import Node

SLOTS: Final = 10
PIECE: Final = 5_000
_LATER: Final = (JobState.SCHEDULED, JobState.RETRYABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draining:
    """Runs the jobs of some queues. ``running`` makes a node with a budget of starts."""

    jobs: Jobs
    bus: Bus
    running: "Callable[[Mapping[str, int], StartBudget], AbstractAsyncContextManager[Node]]"

    async def run(
        self,
        queues: Iterable[str],
        budget: StartBudget,
        *,
        count: Callable[[JobStopped], None],
        recursion: bool = True,
        scheduled: bool = False,
    ) -> list[str]:
        """Run what is due until nothing is left, and what these jobs store in the same
        queues; without ``recursion`` one round alone. With ``scheduled`` jobs that are
        due later run at once too. ``count`` gets each end.

        Returns the queues in which due jobs are left: the budget is used up, or a queue
        is paused.
        """
        names = sorted(queues)
        ends = 0

        def stopped(event: JobStopped) -> None:
            nonlocal ends
            ends += 1
            count(event)

        stop_counting = self.bus.on(JobStopped, stopped)
        try:
            async with self.running(dict.fromkeys(names, SLOTS), budget) as node:
                while True:
                    before = ends
                    moved = await self._make_available(node, names, scheduled=scheduled)
                    await self._idle(node)
                    left = await self._left(names, scheduled=scheduled)
                    stuck = ends == before and not moved
                    if not left or not recursion or budget.left == 0 or stuck:
                        return left
        finally:
            stop_counting()

    async def _make_available(self, node: "Node", names: list[str], *, scheduled: bool) -> int:
        """Stage and expire as a leader does, and return how many jobs changed."""
        moved = await self.jobs.retry(queue=names, state=_LATER) if scheduled else 0
        staged = await stage_and_expire(node.engine, self.bus, node.id)
        node.scope.announcer.queues(staged)
        return moved + sum(staged.values())

    async def _idle(self, node: "Node") -> None:
        """Wait until each queue has run what it held, the jobs of a scan included."""
        for _ in range(2):
            await asyncio.gather(*(producer.wait_idle() for producer in node.producers))

    async def _left(self, names: list[str], *, scheduled: bool) -> list[str]:
        states = [JobState.AVAILABLE, JobState.EXECUTING, *(_LATER if scheduled else ())]
        return [name for name in names if await self.jobs.count(queue=name, state=states)]


async def stage_and_expire(engine: Engine, bus: Bus, node: str) -> dict[str, int]:
    """Cancel the jobs that did not start in time, and make due ones available. Returns
    the number staged for each queue.
    """
    await expire_all(engine, PIECE, bus=bus, node=node)
    total: dict[str, int] = {}
    while staged := (await engine.stage(PIECE, ready=False)).queues:
        for queue, jobs in staged.items():
            total[queue] = total.get(queue, 0) + jobs
    return total
