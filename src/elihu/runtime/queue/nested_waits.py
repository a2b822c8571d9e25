"""Finds attempts that wait for jobs which their own slots would have to run."""

from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from elihu.job import JobFilter, JobState
from elihu.runtime.attempts.execution import Execution
from elihu.runtime.queue.producer import Producer
from elihu.runtime.queue.starter import BLOCKED
from elihu.runtime.service import Scope, Service, Tick, logger
from elihu.telemetry.events import QueueBlockedByWaits

INTERVAL: Final = 1.0
"""Seconds between two looks. A queue is reported that is blocked in two of them."""

MOST_JOBS: Final = 1_000
"""How many awaited jobs one look reads."""


class NestedWaits(Service):
    """A queue is blocked when each of its slots runs an attempt that waits for a job
    and one of these jobs is available in the queue. It is logged, emitted, and named in
    the error of the waits. No claim waits for its slots then (``prefetch``), so that another
    node can take the awaited job. While no attempt waits, nothing is read.
    """

    name: ClassVar = "nested-waits"

    def __init__(self, scope: Scope, producers: Callable[[], Sequence[Producer]]) -> None:
        super().__init__(scope)
        self._producers = producers
        self._suspected: set[str] = set()
        self._reported: set[str] = set()

    async def tick(self) -> Tick:
        producers = self._producers()
        full = {each.queue: each for each in producers if _only_waits(each)}
        for producer in producers:
            producer.starter.forbid(BLOCKED, producer.queue in full)
        blocked = await self._blocked(full)
        for queue in blocked & self._suspected:
            self._report(full[queue])
        self._suspected = blocked
        self._reported &= blocked
        return Tick(INTERVAL, {"blocked": tuple(sorted(self._reported))})

    async def _blocked(self, full: dict[str, Producer]) -> set[str]:
        """The queues in which a job is available that one of these attempts awaits."""
        ids = {
            job_id
            for producer in full.values()
            for execution in list(producer.running.values())
            for job_id in execution.awaited_jobs
        }
        if not ids:
            return set()
        some = tuple(sorted(ids)[:MOST_JOBS])
        where = JobFilter(ids=some, state=(JobState.AVAILABLE,), queue=tuple(full))
        return {job.queue for job in (await self.scope.engine.find(where, None, MOST_JOBS)).items}

    def _report(self, producer: Producer) -> None:
        count = len(producer.running)
        slots = "the only slot is" if count == 1 else f"all {count} slots are"
        text = (
            f"queue {producer.queue}: {slots} held by attempts that wait for jobs of the same queue"
        )
        for execution in list(producer.running.values()):
            execution.waits.report(text)
        if producer.queue in self._reported:
            return
        self._reported.add(producer.queue)
        logger.warning(
            "%s: give the awaited jobs a queue of their own, or more slots (%s)",
            text,
            ", ".join(sorted({_named(each) for each in producer.running.values()})),
        )
        if QueueBlockedByWaits in self.scope.bus:
            self.scope.bus.emit(
                QueueBlockedByWaits(
                    node=self.scope.identity.node, queue=producer.queue, attempts=count
                )
            )


def _only_waits(producer: Producer) -> bool:
    running = list(producer.running.values())
    return len(running) >= producer.limit > 0 and all(each.awaited_jobs for each in running)


def _named(execution: Execution) -> str:
    return execution.task.name
