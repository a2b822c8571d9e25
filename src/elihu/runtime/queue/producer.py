"""A queue's producer: claims jobs for its free slots, runs them, and acknowledges them
together with the next claim.

wake (announcement, an attempt's end, the poll)
  → take a budget → exchange(ended attempts, free slots)
  → hand the answer to the ledger → begin the claimed jobs
"""

import asyncio

from elihu.engines.protocol import Ack, Exchange, Position
from elihu.errors import DatabaseTimeout, DataRefused
from elihu.failpoints import ACTIVE, reach
from elihu.runtime.attempts.execution import Cause, Execution
from elihu.runtime.attempts.executor import Executor
from elihu.runtime.attempts.progress import Progress
from elihu.runtime.queue.abandoned import Abandoned
from elihu.runtime.queue.attempt_runner import AttemptRunner
from elihu.runtime.queue.front import Front
from elihu.runtime.queue.lanes import Lanes
from elihu.runtime.queue.ledger import Key, Ledger
from elihu.runtime.queue.start_budget import StartBudget
from elihu.runtime.queue.starter import CUT_OFF, PAUSED, Starter
from elihu.runtime.queue.wakes import Wakes
from elihu.runtime.service import FIRST_BACKOFF, Scope, backoff_after, log_restart, logger
from elihu.runtime.timers import Poll, PollTimes, pause
from elihu.task import Registry
from elihu.telemetry.events import QueueShutdown


class Producer:
    """Serves one queue with ``limit`` slots; ``attempts`` runs its jobs. At most
    ``prefetch`` claims wait for a slot. ``start`` and ``stop`` may each be called twice,
    ``stop`` before ``start`` too.
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
        poll: PollTimes,
        start_budget: StartBudget | None = None,
        prefetch: int = 0,
    ) -> None:
        self.queue = queue
        self._name = f"queue {queue}"
        self.limit = limit
        self.prefetch = prefetch
        self.paused = False
        self._no_fetch = asyncio.Event()
        self._no_fetch.set()
        self._scope = scope
        self._registry = registry
        self._abandoned = abandoned
        self._poll = Poll(poll, self.fetch_soon)
        self._wakes = Wakes(self.fetch_soon)
        self._woken = asyncio.Event()
        two = scope.engine.overlaps and not prefetch
        self._lanes = Lanes(self, two=two, woken=self._woken, others=lambda: scope.identity.others)
        self._ledger = Ledger(scope, queue, wake=self._woken.set, freed=self._lanes.freed)
        self.attempts = AttemptRunner(scope, self._ledger, executor, progress, abandoned)
        self._start_budget = start_budget or StartBudget()
        self._start_budget.on_return(self._woken.set)
        self._retry_now = asyncio.Event()
        self._idle_now = asyncio.Event()
        self._idle_waits = 0
        self._task: asyncio.Task[None] | None = None
        self._fetching = self._cut_off = False
        self._ending = self._closed = False
        self._more_expected = True
        self._generation = 0
        self._after: Position | None = None
        self._front = Front()
        self._front_timer: asyncio.TimerHandle | None = None
        self._most: int | None = None
        work = self._ledger, self.attempts, progress, abandoned
        self.starter = Starter(scope, queue, prefetch, registry, *work, free=self._free_slots)
        self._failures = 0

    @property
    def running(self) -> dict[Key, Execution]:
        """The attempts that run, by job and claim."""
        return self._ledger.running

    @property
    def claims(self) -> list[Key]:
        """The claims that run or wait for a slot."""
        return [*self.running, *self.starter.line.keys]

    @property
    def held(self) -> set[Key]:
        """The claims whose ends are not written."""
        return self._ledger.held

    async def start(self) -> None:
        if self._task is None:
            self._fetching = True
            self._launch()
            self._poll.start()

    def adjust(self, *, limit: int, paused: bool) -> None:
        """From now on run at most ``limit`` jobs at a time, and fetch none while
        paused. Running jobs continue.
        """
        self.limit = limit
        self.paused = paused
        self.starter.forbid(PAUSED, paused)
        self.fetch_soon()

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs, every end is written, and no job that may be fetched is
        known.
        """
        return self._idle_now.is_set() and not self._woken.is_set() and not self._wakes.pending

    async def wait_idle(self) -> None:
        """Return when the producer is idle."""
        self._idle_now.clear()
        self._idle_waits += 1
        try:
            if self._front_timer is not None:
                self._front_timer.cancel()
                self._read_front()
            self._wakes.flush()
            self._woken.set()
            await self._idle_now.wait()
        finally:
            self._idle_waits -= 1

    async def fetch_ended(self) -> None:
        """Return when no fetch is under way."""
        await self._no_fetch.wait()

    def announced(self) -> None:
        """The queue has available jobs: fetch at once, or a moment later than others."""
        if self._idle_waits:
            self.fetch_soon()
        else:
            self._wakes.announced()

    def fetch_soon(self) -> None:
        """Fetch from the front of the queue, since there may be jobs."""
        self._fetch_anew()
        self._retry_now.set()

    def _fetch_anew(self) -> None:
        self._more_expected = True
        self._generation += 1
        self._after = None
        self._lanes.wake()

    def resync(self) -> None:
        """Fetch from the front, and poll at the present interval: announcements may
        have been lost, or arrive again.
        """
        self.fetch_soon()
        self._poll.restart()

    async def stop(self, *, grace: float, now: asyncio.Event) -> None:
        """Fetch no more; wait ``grace`` seconds, or until ``now``, for running jobs;
        give back the rest; write every end. A stop that was cancelled can be called
        again.
        """
        self._fetching = False
        self.attempts.stopping = True
        self.starter.stop()
        self._poll.stop()
        self._wakes.cancel()
        if self._front_timer is not None:
            self._front_timer.cancel()
            self._front_timer = None
        if self._task is None:
            return
        await self._ledger.wait_idle(grace, now)
        await self.attempts.end_all()
        if ACTIVE:
            reach("during shutdown")
        await self._write_ends(self._scope.config.call_timeout)
        if self.held:
            logger.warning(
                "queue %s: the ends of %d attempts were not written in time",
                self.queue,
                len(self.held),
            )
        self._closed = True
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._lanes.stop()
        self._task = None
        if QueueShutdown in self._scope.bus:
            self._scope.bus.emit(
                QueueShutdown(
                    node=self._scope.identity.node,
                    queue=self.queue,
                    released=tuple(self._ledger.returned),
                )
            )

    def end(self, key: Key, cause: Cause) -> bool:
        """End the attempt with this key, or give it back where it waits, and return
        whether it is here.
        """
        return self.starter.end(key, cause) or self.attempts.end(key, cause)

    def lose_all(self) -> None:
        """The node was removed: end every attempt and acknowledge none."""
        self.starter.line.clear()
        self.attempts.lose_all()
        self.fetch_soon()

    def cut_off(self, cut: bool) -> None:
        """The node is cut off from the database, or no longer: fetch nothing meanwhile."""
        self._cut_off = cut
        self.starter.forbid(CUT_OFF, cut)
        if cut:
            self.attempts.cut_off()
        else:
            self.fetch_soon()

    def _launch(self) -> None:
        if not self._closed:
            self._task = asyncio.create_task(self._run(), name=f"elihu-queue-{self.queue}")
            self._task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """Start again where nobody stopped it."""
        if not self._closed and not self._has_ended:
            asyncio.get_running_loop().call_later(FIRST_BACKOFF, self._relaunch, task)

    def _relaunch(self, task: "asyncio.Task[None]") -> None:
        if not self._closed:
            log_restart(self._name, task)
            self._launch()

    async def _write_ends(self, seconds: float) -> None:
        """Wait at most ``seconds`` until every end is written."""
        self._ending = True
        self._lanes.close()
        self._woken.set()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (left := deadline - loop.time()) > 0:
            if self._task is not None and not self._task.done():
                await asyncio.wait([self._task], timeout=left)
            elif self.held:  # the task was cancelled from outside and starts again
                await asyncio.sleep(min(left, FIRST_BACKOFF))
            else:
                break

    @property
    def _has_ended(self) -> bool:
        return self._ending and not self.held and not self._lanes.under_way

    async def _run(self) -> None:
        while not self._has_ended:
            if not self.may_send:
                waits = self._front_timer is not None or self._wakes.pending
                if not self.held and not self._lanes.under_way and not waits:
                    self._idle_now.set()
                self._woken.clear()
                await self._woken.wait()
                continue
            self._lanes.start_second(f"elihu-queue-{self.queue}-second")
            try:
                await self.round()
            except Exception as error:
                self._failures += 1
                self._scope.failure_log.failed(self._name, error)
                self._retry_now.clear()
                await pause(self._retry_now, backoff_after(self._failures))
                self.fetch_soon()
            else:
                if self._failures:
                    self._scope.failure_log.worked(self._name)
                self._failures = 0

    def failed_beside(self, error: BaseException) -> None:
        """An exchange of the second lane failed: the next one of the first tells whether
        the database works.
        """
        self._failures = max(self._failures, 1)
        self._scope.failure_log.failed(self._name, error)
        self._fetch_anew()

    @property
    def may_send(self) -> bool:
        """Whether ends or free slots make an exchange now."""
        free = self._free if self._more_expected else 0
        return self._lanes.may_send(self._ledger.ready, free, len(self.running), self.limit)

    def _free_slots(self) -> int:
        return self.limit - len(self.running)

    @property
    def _free(self) -> int:
        if not self._fetching or self.paused or self._cut_off or not len(self._registry):
            return 0
        free = self.limit - len(self.running) - self._lanes.reserved
        if self.prefetch and free >= 0:
            free += self.starter.room
        return self._start_budget.most(free)

    async def round(self) -> None:
        """Send what ended and fetch for the free slots, within the budget of starts."""
        self._idle_now.clear()
        wanted = self._lanes.size(max(self._free, 0), self.limit)
        free, begun = self._start_budget.take(wanted), self.starter.started
        if free:
            self._no_fetch.clear()
        try:
            with self._lanes.exchange(free):
                await self._exchange(free)
        finally:
            if not self._lanes.reserved:
                self._no_fetch.set()
            self._start_budget.add(free - (self.starter.started - begun))

    async def _exchange(self, free: int) -> None:
        node, after, generation = self._scope.identity.node, self._after, self._generation
        acks = self._ledger.batch()
        clock = self._scope.clock
        begun = clock.monotonic()
        behind_front = False
        if after is None and free > 0 and not self._idle_waits:
            after = self._front.begin(begun, acks=bool(acks))
            behind_front = after is not None
        if self._most is not None:
            free = min(free, self._most)
        ahead = self.starter.ahead(free) if self.prefetch else None
        self._more_expected = False
        if ACTIVE and acks:
            reach("before acknowledge")
        try:
            answer = await self._ask(node, free, acks, after, ahead)
        except DataRefused as error:
            if not acks:
                raise
            self._more_expected = True
            await self._ledger.halve(node, acks, error)
            return
        except BaseException as error:
            self._ledger.failed(acks)
            if isinstance(error, DatabaseTimeout) and free > 1:
                self._most = free // 2  # the answer may have been too large to arrive in time
            raise
        answered_at = clock.monotonic()
        if ACTIVE and acks:
            reach("answer lost")
        if ACTIVE and answer.claims:
            reach("after claim")
        if node == self._scope.identity.node:
            self.starter.claimed(answer.claims, node, free - (ahead or 0))
            if answer.claims and not acks:
                await asyncio.sleep(0)  # jobs of a node that was idle begin before what follows
        if free:
            if answer.claims or not acks:
                self._wakes.fetched(claimed=bool(answer.claims))
            self._front.fetched(
                after, answer.last, answered_at, answered_at - begun, acks=bool(acks)
            )
            if self._most is not None and answer.claims:
                self._most = self._most * 2 if self._most < self.limit else None
        await self._ledger.answered(node, acks, answer.acked)
        if free and self._start_budget.left is None and self._most is None and not self._failures:
            self._lanes.fetched(free, len(answer.claims), self.limit, len(acks), answered_at)
        if answer.claims and self._generation != generation:
            await asyncio.sleep(0)  # they start before the next exchange is prepared
        if not free or self._generation != generation:
            return
        if len(answer.claims) == free:
            self._more_expected = True
            self._after = answer.last
        elif behind_front:
            self._read_front_later()
        elif after is not None:
            self.fetch_soon()

    def _read_front_later(self) -> None:
        if self._front_timer is None:
            delay = self._front.due_in(self._scope.clock.monotonic())
            self._front_timer = asyncio.get_running_loop().call_later(delay, self._read_front)

    def _read_front(self) -> None:
        self._front_timer = None
        self.fetch_soon()

    async def _ask(
        self, node: str, free: int, acks: list[Ack], after: Position | None, ahead: int | None
    ) -> Exchange:
        exclude = (*self.starter.unknown.names, *self._abandoned.excluded)
        return await self._scope.engine.exchange(
            node, self.queue, free, acks, after=after, exclude=exclude, ahead=ahead
        )
