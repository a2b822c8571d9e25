"""A queue's producer: claims jobs for its free slots, runs them, and acknowledges them
together with the next claim.

wake (announcement, a finished job, the poll) → exchange(acknowledgements, free slots) → claims → executions
                                                    ↑                                          │
                                                    └────────────── outbox ←───────────────────┘
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Final

from elihu.engines.protocol import Ack, AckStatus, ClaimedJob, Position
from elihu.errors import DataRefused, UnknownTask
from elihu.failpoints import ACTIVE, reach
from elihu.job import JobState, RunOutcome
from elihu.outcome import Failed
from elihu.runtime.attempts.ack import Outbox, ack_for, given_back, smaller
from elihu.runtime.attempts.complete_in_transaction import Completer, as_completed
from elihu.runtime.attempts.execution import Cause, Execution
from elihu.runtime.attempts.executor import Executor, ended
from elihu.runtime.attempts.progress import Progress
from elihu.runtime.attempts.report import AttemptReport
from elihu.runtime.queue.abandoned import Abandoned
from elihu.runtime.queue.late_results import LateResults
from elihu.runtime.queue.start_budget import StartBudget
from elihu.runtime.queue.unknown_tasks import UnknownTasks
from elihu.runtime.service import Scope, backoff_after, logger
from elihu.runtime.timers import Poll, pause
from elihu.task import Registry
from elihu.telemetry.events import AcknowledgementRefused, JobStarted, QueueShutdown

UNWIND: Final = 1.0
"""Seconds that cancelled attempts of a stopping queue have to end before they are given
back as they are.
"""

BUSY_DELAY: Final = 0.05
LONGEST_BUSY_DELAY: Final = 1.0

_AVAILABLE: Final = JobState.AVAILABLE
_RELEASED: Final = RunOutcome.RETURNED


class Producer:
    """Serves one queue with ``limit`` slots. ``start`` and ``stop`` may each be called
    twice, ``stop`` before ``start`` too.
    """

    def __init__(
        self,
        scope: Scope,
        queue: str,
        limit: int,
        *,
        registry: Registry,
        executor: Executor,
        progress: Progress,
        abandoned: Abandoned,
        poll: Callable[[], float],
        start_budget: StartBudget | None = None,
    ) -> None:
        self.queue = queue
        self._name = f"queue {queue}"
        self.limit = limit
        self.paused = False
        self.state: object = None
        self.running: dict[tuple[int, int], Execution] = {}
        self.held: set[tuple[int, int]] = set()
        self._scope = scope
        self._registry = registry
        self._executor = executor
        self._progress = progress
        self._abandoned = abandoned
        self._completer = Completer(scope)
        self._doubtful: dict[tuple[int, int], AttemptReport] = {}
        self._poll = Poll(poll, self.fetch_soon)
        self._begun = 0
        self._outbox = Outbox()
        self._late_results = LateResults(scope)
        self._busy: dict[tuple[int, int], float] = {}
        self._woken = asyncio.Event()
        self._start_budget = start_budget or StartBudget()
        self._start_budget.on_return(self._woken.set)
        self._looked = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle_now = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._fetching = False
        self._ending = False
        self._more_expected = True
        self._generation = 0
        self._after: Position | None = None
        self._unknown = UnknownTasks(scope, queue)
        self._released: list[int] = []
        self._failures = 0

    async def start(self) -> None:
        if self._task is None:
            self._fetching = True
            self._task = asyncio.create_task(self._run(), name=f"elihu-queue-{self.queue}")
            self._poll.start()

    def adjust(self, *, limit: int, paused: bool) -> None:
        """From now on at most ``limit`` jobs at a time, and while paused fetch none;
        what runs is left alone.
        """
        self.limit = limit
        self.paused = paused
        self.fetch_soon()

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, every end is written, and nothing that may be fetched
        is left, as far as it knows.
        """
        return self._idle_now.is_set() and not self._woken.is_set()

    async def wait_idle(self) -> None:
        """Return when it is so."""
        self._idle_now.clear()
        self._woken.set()
        await self._idle_now.wait()

    def fetch_soon(self) -> None:
        """There may be jobs: fetch from the front of the queue."""
        self._more_expected = True
        self._generation += 1
        self._after = None
        self._woken.set()
        self._looked.set()

    def resync(self) -> None:
        """Announcements may have been lost, or begun to be: fetch from the front, and
        poll in the interval that holds now.
        """
        self.fetch_soon()
        self._poll.restart()

    async def stop(self, *, grace: float, now: asyncio.Event) -> None:
        """Fetch no more; wait ``grace`` seconds, or until ``now``, for what runs; give
        back the rest; write every end.
        """
        self._fetching = False
        self._poll.stop()
        if self._task is None:
            return
        await self._drain(grace, now)
        await self._end_all()
        if ACTIVE:
            reach("during shutdown")
        self._ending = True
        self._woken.set()
        task, self._task = self._task, None
        _, unwritten = await asyncio.wait([task], timeout=self._scope.config.call_timeout)
        if unwritten:
            logger.warning(
                "queue %s: the ends of %d attempts could not be written in time",
                self.queue,
                len(self.held),
            )
            task.cancel()
            await asyncio.wait([task])
        if QueueShutdown in self._scope.bus:
            self._scope.bus.emit(
                QueueShutdown(
                    node=self._scope.identity.node, queue=self.queue, released=tuple(self._released)
                )
            )

    def end(self, key: tuple[int, int], cause: Cause) -> bool:
        """End this attempt, if it is here, and whether it is; what still goes on
        ``kill_grace`` seconds later is abandoned.
        """
        execution = self.running.get(key)
        if execution is None:
            return False
        if execution.end(cause):
            self._abandoned.unless_ended(execution, self._abandon)
        return True

    def lose_all(self) -> None:
        """The node was buried: end every attempt and acknowledge none. What goes on all
        the same is counted, since its slot is free.
        """
        for execution in list(self.running.values()):
            execution.end(Cause.LOST)
            self._abandoned.unless_ended(execution, self._abandoned.add)
        self.running.clear()
        self.held.clear()
        self._busy.clear()
        self._doubtful.clear()
        self._late_results.clear()
        self._outbox = Outbox()
        self._idle.set()
        self.fetch_soon()

    async def _run(self) -> None:
        while not (self._ending and not self.held):
            if not (self._outbox or (self._more_expected and self._free > 0)):
                if not self.held:
                    self._idle_now.set()
                self._woken.clear()
                await self._woken.wait()
                continue
            self._idle_now.clear()
            try:
                await self._exchange()
            except Exception as error:
                self._failures += 1
                self._scope.failure_log.failed(self._name, error)
                self._looked.clear()
                await pause(self._looked, backoff_after(self._failures))
                self.fetch_soon()
            else:
                if self._failures:
                    self._scope.failure_log.worked(self._name)
                self._failures = 0

    @property
    def _free(self) -> int:
        return (
            self._start_budget.most(self.limit - len(self.running))
            if self._fetching and not self.paused
            else 0
        )

    async def _drain(self, grace: float, now: asyncio.Event) -> None:
        waits = [asyncio.create_task(event.wait()) for event in (self._idle, now)]
        if self.running:
            self._idle.clear()
            await asyncio.wait(waits, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    async def _end_all(self) -> None:
        """End what runs, and give back what does not end in time: it may go on,
        unheard, while its job runs elsewhere.
        """
        handles = []
        for execution in list(self.running.values()):
            execution.end(Cause.RELEASE)
            handles.append(execution.handle)
        if handles:
            await asyncio.wait([handle for handle in handles if handle], timeout=UNWIND)
        for execution in list(self.running.values()):
            self._finish(execution, ack_for(execution, ended(execution)), None)

    async def _exchange(self) -> None:
        free, begun = self._start_budget.take(max(self._free, 0)), self._begun
        try:
            await self._send_and_fetch(free)
        finally:
            self._start_budget.add(free - (self._begun - begun))

    async def _send_and_fetch(self, free: int) -> None:
        node, after, looks = self._scope.identity.node, self._after, self._generation
        acks = self._outbox.take()
        exclude = (*self._unknown.names, *self._abandoned.excluded)
        self._more_expected = False
        if ACTIVE and acks:
            reach("before acknowledge")
        try:
            answer = await self._scope.engine.exchange(
                node, self.queue, free, acks, after=after, exclude=exclude
            )
        except DataRefused as error:
            if not acks:
                raise
            self._more_expected = True
            await self._send_halved(node, acks, error)
            return
        except BaseException:
            self._put_back(acks)
            raise
        if ACTIVE and acks:
            reach("answer lost")
        if ACTIVE and answer.claims:
            reach("after claim")
        if node == self._scope.identity.node:
            for claim in answer.claims:
                self._begin(claim, node)
        await self._check(node, acks, answer.acked)
        if not free or self._generation != looks:
            return
        if len(answer.claims) == free:
            last = answer.claims[-1]
            self._more_expected = True
            self._after = Position(last.priority, last.scheduled_at, last.id)
        elif after is not None:
            self.fetch_soon()

    async def _send_halved(self, node: str, acks: Sequence[Ack], error: DataRefused) -> None:
        """Find the row that the database refuses: write the others, and of it only that
        it ended.
        """
        waiting = self._pieces(acks, error)
        try:
            while waiting:
                try:
                    answer = await self._scope.engine.exchange(node, self.queue, 0, waiting[-1])
                except DataRefused as again:
                    waiting[-1:] = self._pieces(waiting[-1], again)
                else:
                    await self._check(node, waiting.pop(), answer.acked)
        finally:
            self._put_back(chain(*waiting))

    def _pieces(self, acks: Sequence[Ack], error: DataRefused) -> list[Sequence[Ack]]:
        """What to send in place of a batch that was refused; where that is nothing, the
        reconciler gives the job back.
        """
        pieces = smaller(acks, error)
        if not pieces:
            self._forget((acks[0].id, acks[0].claim))
        return pieces

    async def _check(
        self, node: str, acks: Sequence[Ack], acked: Sequence[tuple[int, bool]]
    ) -> None:
        """Forget what is written and tell who waits; send again what somebody's lock
        held up; report what is no longer ours.
        """
        written = dict(acked)
        if True in written.values():
            await self._late_results.tell([job_id for job_id, awaited in acked if awaited])
        for ack in acks:
            if ack.id in written:
                self._forget((ack.id, ack.claim))
        missing = [ack for ack in acks if ack.id not in written]
        if any(ack.state is _AVAILABLE for ack in acks):
            self._scope.announcer.queues([self.queue])
        if not missing:
            return
        try:
            ack_statuses = await self._scope.engine.ack_statuses(
                node, as_completed(missing, self._doubtful)
            )
        except BaseException:
            self._put_back(missing)
            raise
        before = [
            key
            for key, ack_status in ack_statuses.items()
            if ack_status is AckStatus.WRITTEN and key not in self._doubtful
        ]
        if before:  # by an exchange whose answer was lost, which alone says whether somebody waits
            await self._late_results.tell([job_id for job_id, _ in before])
        for ack in missing:
            key = ack.id, ack.claim
            ack_status = ack_statuses[key]
            if ack_status is AckStatus.BUSY:
                delay = self._busy[key] = min(
                    self._busy.get(key, BUSY_DELAY / 2) * 2, LONGEST_BUSY_DELAY
                )
                asyncio.get_running_loop().call_later(delay, self._send_again, ack)
                continue
            self._forget(key, completed=ack_status is AckStatus.WRITTEN)
            if ack_status is AckStatus.REFUSED and AcknowledgementRefused in self._scope.bus:
                self._scope.bus.emit(
                    AcknowledgementRefused(
                        job_id=ack.id, claim=ack.claim, node=node, outcome=ack.outcome
                    )
                )

    def _begin(self, claim: ClaimedJob, node: str) -> None:
        scope = self._scope
        try:
            task = self._registry.get(claim.task)
        except UnknownTask:
            self._give_back(claim, self._unknown.put_back(claim, node))
            return
        if not self._fetching:
            self._released.append(claim.id)
            self._give_back(claim, given_back(claim, "the node stopped"))
            return
        execution = Execution(
            claim,
            self.queue,
            node,
            task,
            self.state,
            self._progress,
            scope.clock.monotonic(),
            self._completer,
        )
        self._begun += 1
        self.running[execution.key] = execution
        self._idle.clear()
        self.held.add(execution.key)
        execution.handle = asyncio.create_task(self._perform(execution))

    async def _perform(self, execution: Execution) -> None:
        bus = self._scope.bus
        execution.begun = True
        if JobStarted in bus:
            bus.emit(JobStarted(**execution.facts))
        if ACTIVE:
            reach("after start")
        try:
            if (limit := execution.timeout) is not None:
                execution.after(limit, partial(self.end, execution.key, Cause.TIMEOUT))
            ending = await self._executor.execute(execution)
            ack = ack_for(execution, ending)
        except Exception as error:
            ending = Failed(error)
            ack = ack_for(execution, ending)
        execution.disarm()
        if execution.cause is Cause.LOST:
            return
        await self._progress.flush(execution.key)
        self._finish(execution, ack, getattr(ending, "error", None))

    def _abandon(self, execution: Execution) -> None:
        if self.running.get(execution.key) is execution:
            self._abandoned.add(execution)
            self._finish(execution, ack_for(execution, ended(execution)), None)

    def _finish(self, execution: Execution, ack: Ack, error: BaseException | None) -> None:
        execution.disarm()
        if self.running.pop(execution.key, None) is None:
            return
        if not self.running:
            self._idle.set()
        if ack.outcome is _RELEASED and execution.cause is not Cause.STOP:
            self._released.append(ack.id)
        told = AttemptReport(
            execution, ack, error, self._scope.clock.monotonic() - execution.started
        )
        if execution.completing:
            self._doubtful[execution.key] = told
        else:
            told.tell(self._scope.bus)
        self._late_results.put(execution, ack.outcome)
        self._send(ack)

    def _forget(self, key: tuple[int, int], *, completed: bool = False) -> None:
        """Nothing more is to be done for this attempt; ``completed`` where it was in
        doubt and stands completed.
        """
        self.held.discard(key)
        if self._busy:
            self._busy.pop(key, None)
        self._late_results.drop(key[0])
        if self._doubtful and (told := self._doubtful.pop(key, None)):
            (told.as_completed() if completed else told).tell(self._scope.bus)

    def _give_back(self, claim: ClaimedJob, ack: Ack) -> None:
        self.held.add((claim.id, claim.claim))
        self._send(ack)

    def _send(self, ack: Ack) -> None:
        self._outbox.put(ack)
        self._woken.set()

    def _send_again(self, ack: Ack) -> None:
        self._put_back([ack])
        self._woken.set()

    def _put_back(self, acks: Iterable[Ack]) -> None:
        """To be sent again, unless the node was buried meanwhile."""
        self._outbox.put_back(ack for ack in acks if (ack.id, ack.claim) in self.held)
