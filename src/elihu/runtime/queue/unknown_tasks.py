"""Tasks that a queue met and this node does not know."""

import asyncio
from collections.abc import Callable
from typing import Final

from elihu.engines.protocol import Ack, ClaimedJob
from elihu.errors import DatabaseError
from elihu.runtime.attempts.ack import given_back
from elihu.runtime.service import Scope, logger
from elihu.telemetry.events import TaskUnknown

UNKNOWN_TASK_DELAY: Final = 30.0
"""Seconds for which a job is given back when no living node of its queue knows its task."""


class UnknownTasks:
    """Gives back the jobs of unknown tasks, and remembers the names: the node fetches no
    job of them while it runs, so each node meets a name about once.
    """

    def __init__(
        self, scope: Scope, queue: str, *, give_back: Callable[[ClaimedJob, Ack], None]
    ) -> None:
        self._scope = scope
        self._queue = queue
        self._give_back = give_back
        self._names: dict[str, None] = {}
        self._met: list[tuple[ClaimedJob, str]] = []
        self._reader: asyncio.Task[None] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names to leave out of every fetch."""
        return tuple(self._names)

    def meet(self, claim: ClaimedJob, node: str) -> None:
        """A job of an unknown task was fetched: give it back soon. A living node of the
        queue that knows the task can take it at once; where there is none, it waits
        ``UNKNOWN_TASK_DELAY`` seconds.
        """
        self._names[claim.task] = None
        if TaskUnknown in self._scope.bus:
            self._scope.bus.emit(
                TaskUnknown(task=claim.task, queue=self._queue, job_id=claim.id, node=node)
            )
        self._met.append((claim, node))
        self._start_reader()

    def _start_reader(self, ended: "asyncio.Task[None] | None" = None) -> None:
        """Read while jobs wait, also after a task of the user's has cancelled the
        reader.
        """
        if self._reader is ended:
            self._reader = None
        if self._met and self._reader is None:
            self._reader = asyncio.create_task(self._give_all_back(), name="elihu-unknown-tasks")
            self._reader.add_done_callback(self._start_reader)

    async def _give_all_back(self) -> None:
        known = await self._known_elsewhere()
        met, self._met = self._met, []
        reported: set[str] = set()
        for claim, _ in met:
            reason = f"this node knows no task named {claim.task!r}"
            delay = None if claim.task in known else UNKNOWN_TASK_DELAY
            if claim.task not in reported:
                reported.add(claim.task)
                logger.warning("queue %s: %s, and %s", self._queue, reason, _what_follows(delay))
            self._give_back(claim, given_back(claim, reason, delay))

    async def _known_elsewhere(self) -> set[str]:
        """The tasks that other living nodes of this queue know."""
        known: set[str] = set()
        try:
            nodes = await self._scope.engine.nodes()
        except DatabaseError:
            return known
        for row in nodes:
            queues, tasks = row.info.get("queues"), row.info.get("tasks")
            if (
                row.id != self._scope.identity.node
                and isinstance(queues, dict)
                and self._queue in queues
                and isinstance(tasks, list)
            ):
                known.update(str(task) for task in tasks)
        return known


def _what_follows(delay: float | None) -> str:
    if delay is None:
        return "another node does: its jobs are given back at once"
    return f"no other living node of the queue does: its jobs are given back for {delay:g} s"
