"""Every attempt of one queue on this node, between its claim and its written end.

claimed ──begin──> running ──ended──> ended ──batch──> sent ──answered──> written
   │                                   ↑  ↑             │          ├────> refused
   └─────────────give_back─────────────┘  └───failed────┤          └────> busy
                                          └─────────── after a delay ───────┘

written: the end is in the database. refused: the claim is no longer this node's, so
nothing was written. busy: another transaction holds the row, so the end is sent again.
A claimed job begins at once, or waits in the line until a slot is free.
``drop_all`` forgets every attempt, since the node was removed from the database.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Final

from elihu.engines.protocol import Ack, AckStatus, ClaimedJob
from elihu.errors import DataRefused
from elihu.job import JobState, RunOutcome
from elihu.runtime.attempt_counts import EndedAttempt
from elihu.runtime.attempts.complete_in_transaction import as_completed
from elihu.runtime.attempts.execution import Cause, Execution
from elihu.runtime.attempts.report import AttemptReport
from elihu.runtime.queue.late_results import LateResults
from elihu.runtime.queue.outbox import Outbox, smaller
from elihu.runtime.service import Scope
from elihu.telemetry.events import AcknowledgementRefused, JobStopped

BUSY_DELAY: Final = 0.05
LONGEST_BUSY_DELAY: Final = 1.0

_AVAILABLE: Final = JobState.AVAILABLE
_COMPLETED: Final = RunOutcome.COMPLETED
_RETURNED: Final = RunOutcome.RETURNED

Key = tuple[int, int]
"""A job's id and the number of its claim."""


class Ledger:
    """``running`` are the attempts that run. ``held`` are the claims whose ends are not
    written. ``returned`` are the jobs that this node gave back because it stopped.
    ``wake`` is called when an end waits to be sent, ``freed`` when one is written already,
    ``on_free_slot`` when an attempt has ended.
    """

    def __init__(
        self, scope: Scope, queue: str, *, wake: Callable[[], None], freed: Callable[[], None]
    ) -> None:
        self.running: dict[Key, Execution] = {}
        self.held: set[Key] = set()
        self.returned: list[int] = []
        self.idle = asyncio.Event()
        self.on_free_slot: Callable[[], None] | None = None
        self._scope = scope
        self._queue = queue
        self._wake = wake
        self._freed = freed
        self._outbox = Outbox()
        self._late_results = LateResults(scope)
        self._busy: dict[Key, float] = {}
        self._uncertain: dict[Key, AttemptReport] = {}
        self._ended: list[EndedAttempt] = []

    @property
    def ready(self) -> int:
        """How many ends wait to be sent."""
        return len(self._outbox)

    def claimed(self, claim: ClaimedJob) -> None:
        """A job was fetched that does not run yet, or will not run. The node holds the
        claim until it gives the job back.
        """
        self.held.add((claim.id, claim.claim))

    def begin(self, executions: Iterable[Execution]) -> None:
        """These claimed jobs start to run."""
        began = {execution.key: execution for execution in executions}
        self.running.update(began)
        self.held.update(began)
        if began:
            self.idle.clear()

    def give_back(self, claim: ClaimedJob, ack: Ack) -> None:
        """A claimed job ends without having run. After ``drop_all`` the claim is no
        longer this node's.
        """
        if (claim.id, claim.claim) not in self.held:
            return
        self._send(ack)

    def drop(self, claim: ClaimedJob) -> None:
        """A claimed job that does not run is no longer this node's."""
        self.held.discard((claim.id, claim.claim))

    def ended(self, execution: Execution, ack: Ack, error: BaseException | None) -> None:
        """An attempt that runs has ended, by ``error`` where it raised one. Nothing
        happens when it is no longer among ``running``.

        The report of an attempt that called ``ctx.complete`` waits for the database's
        answer, since only that says whether the transaction was committed. Where that
        is known, the end is written already.
        """
        if execution.timer is not None:
            execution.disarm()
        if self.running.pop(execution.key, None) is None:
            return
        if not self.running:
            self.idle.set()
        if self.on_free_slot is not None:
            self.on_free_slot()
        if execution.waited:
            ack = ack._replace(waited=execution.waited)
        outcome = ack.outcome
        if outcome is _RETURNED and execution.cause is not Cause.STOP:
            self.returned.append(ack.id)
        if execution.committed:
            self._written(execution, ack)
            return
        self._report(execution, ack, error)
        if outcome is _COMPLETED and execution.returned is not None:
            self._late_results.put(execution)
        self._send(ack)

    async def wait_idle(self, seconds: float, now: asyncio.Event) -> None:
        """Wait at most so long, or until ``now``, for running attempts."""
        waits = [asyncio.create_task(event.wait()) for event in (self.idle, now)]
        if self.running:
            self.idle.clear()
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def batch(self) -> list[Ack]:
        """The ends to send with the next exchange."""
        if self._ended:
            self._scope.counts.add(self._queue, self._ended)
            self._ended = []
        return self._outbox.take()

    def failed(self, acks: Iterable[Ack]) -> None:
        """The exchange of these ends failed: send them again, except those that
        ``drop_all`` has forgotten meanwhile.
        """
        self._outbox.put_back(ack for ack in acks if (ack.id, ack.claim) in self.held)

    async def answered(
        self, node: str, acks: Sequence[Ack], acked: Sequence[tuple[int, bool]]
    ) -> None:
        """Take the answer to an exchange: ``acked`` are the ids written, each with
        whether a caller waits for the job. The engine says of every other end whether
        it is written, busy or refused.
        """
        written = dict(acked)
        if True in written.values():
            try:
                await self._late_results.deliver([job_id for job_id, awaited in acked if awaited])
            except BaseException:
                self.failed(acks)
                raise
        keys: list[Key] = []
        missing: list[Ack] = []
        available = False
        for ack in acks:
            if ack.id in written:
                keys.append((ack.id, ack.claim))
            else:
                missing.append(ack)
            if ack.state is _AVAILABLE:
                available = True
        self._forget_all(keys)
        if available:
            self._scope.announcer.queues([self._queue])
        if missing:
            await self._resolve(node, missing)

    async def halve(self, node: str, acks: Sequence[Ack], error: DataRefused) -> None:
        """The database refused a value of this batch: find its row, write the others,
        and of that row only that its attempt ended.
        """
        waiting = self._pieces(acks, error)
        try:
            while waiting:
                try:
                    answer = await self._scope.engine.exchange(node, self._queue, 0, waiting[-1])
                except DataRefused as again:
                    waiting[-1:] = self._pieces(waiting[-1], again)
                else:
                    await self.answered(node, waiting.pop(), answer.acked)
        finally:
            self.failed(chain(*waiting))

    def drop_all(self) -> list[Execution]:
        """Forget every attempt and every end, and return the attempts that run."""
        running = list(self.running.values())
        self.running.clear()
        self.held.clear()
        self._busy.clear()
        self._uncertain.clear()
        self._late_results.clear()
        self._outbox = Outbox()
        self.idle.set()
        return running

    async def _resolve(self, node: str, missing: Sequence[Ack]) -> None:
        try:
            statuses = await self._scope.engine.ack_statuses(
                node, as_completed(missing, self._uncertain)
            )
        except BaseException:
            self.failed(missing)
            raise
        # Written by an exchange whose answer was lost. Only that answer said whether a
        # caller waits, so the values are delivered in any case.
        earlier = [
            key
            for key, status in statuses.items()
            if status is AckStatus.WRITTEN and key not in self._uncertain
        ]
        if earlier:
            try:
                await self._late_results.deliver([job_id for job_id, _ in earlier])
            except BaseException:
                self.failed(missing)
                raise
        for ack in missing:
            key = ack.id, ack.claim
            status = statuses[key]
            if status is AckStatus.BUSY:
                self._send_later(ack)
                continue
            self._forget_all([key], completed=status is AckStatus.WRITTEN)
            if status is AckStatus.REFUSED and AcknowledgementRefused in self._scope.bus:
                self._scope.bus.emit(
                    AcknowledgementRefused(
                        job_id=ack.id, claim=ack.claim, node=node, outcome=ack.outcome
                    )
                )

    def _pieces(self, acks: Sequence[Ack], error: DataRefused) -> list[Sequence[Ack]]:
        """What to send in place of a refused batch. Where that is nothing, the
        reconciler gives the job back.
        """
        pieces = smaller(acks, error)
        if not pieces:
            self._forget_all([(acks[0].id, acks[0].claim)])
        return pieces

    def _report(self, execution: Execution, ack: Ack, error: BaseException | None) -> None:
        duration = self._scope.clock.monotonic() - execution.started
        if execution.completing:
            self._uncertain[execution.key] = AttemptReport(execution, ack, error, duration)
        elif error is not None or ack.outcome is not _COMPLETED or JobStopped in self._scope.bus:
            self._publish(AttemptReport(execution, ack, error, duration))
        else:
            self._count(execution, ack.outcome, duration)

    def _written(self, execution: Execution, ack: Ack) -> None:
        """The attempt has ended in a transaction that is known to be committed."""
        self.held.discard(execution.key)
        duration = self._scope.clock.monotonic() - execution.started
        self._count(execution, _COMPLETED, duration)
        if JobStopped in self._scope.bus:
            AttemptReport(execution, ack, None, duration).as_completed().publish(self._scope.bus)
        self._scope.counts.add(self._queue, self._ended)
        self._ended = []
        self._freed()

    def _forget_all(self, keys: Sequence[Key], *, completed: bool = False) -> None:
        """The ends of these attempts are settled in the database; ``completed`` when
        attempts that were uncertain have committed their transactions.
        """
        self.held.difference_update(keys)
        self._late_results.drop(keys)
        if self._busy or self._uncertain:
            for key in keys:
                self._busy.pop(key, None)
                if report := self._uncertain.pop(key, None):
                    self._publish(report.as_completed() if completed else report)

    def _publish(self, report: AttemptReport) -> None:
        execution, ack, _, duration = report
        self._count(execution, ack.outcome, duration)
        report.publish(self._scope.bus)

    def _count(self, execution: Execution, outcome: RunOutcome, duration: float) -> None:
        self._ended.append(
            # a call of a named tuple's class is a call of Python, and each job passes here
            tuple.__new__(EndedAttempt, (execution.claim, execution.task.name, outcome, duration))
        )

    def _send(self, ack: Ack) -> None:
        """Let an end wait in the outbox. Where another one waits already, the exchange
        is on its way or comes next.
        """
        if self._outbox.put(ack) == 1:
            self._wake()

    def _send_later(self, ack: Ack) -> None:
        key = ack.id, ack.claim
        delay = min(self._busy.get(key, BUSY_DELAY / 2) * 2, LONGEST_BUSY_DELAY)
        self._busy[key] = delay
        asyncio.get_running_loop().call_later(delay, self._send_again, ack)

    def _send_again(self, ack: Ack) -> None:
        self.failed([ack])
        self._wake()
