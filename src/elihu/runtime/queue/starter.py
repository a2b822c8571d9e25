"""Starts the jobs that a queue has claimed: at once, or when a slot is free."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from elihu.engines.protocol import ClaimedJob
from elihu.runtime.attempts.ack import given_back
from elihu.runtime.attempts.complete_in_transaction import Completer
from elihu.runtime.attempts.execution import Cause, Execution
from elihu.runtime.attempts.progress import Progress
from elihu.runtime.queue.abandoned import Abandoned
from elihu.runtime.queue.attempt_runner import AttemptRunner
from elihu.runtime.queue.ledger import Key, Ledger
from elihu.runtime.queue.line import Line
from elihu.runtime.queue.unknown_tasks import UnknownTasks
from elihu.runtime.service import Scope
from elihu.task import Registry

STOPPED: Final = "the node stopped"
PAUSED: Final = "its queue was paused while it waited for a slot"
CUT_OFF: Final = "its node was cut off from the database while it waited for a slot"
BLOCKED: Final = "the slots of its node are held by attempts that wait for jobs"
_EXPIRED: Final = "it expired while it waited for a slot"
_EXCLUDED: Final = "its node has too many abandoned attempts"
_ENDED: Final = {
    Cause.CANCEL: "it was cancelled while it waited for a slot",
    Cause.KILL: "it was killed while it waited for a slot",
}
_SHORTEST: Final = 0.000_001
"""The wait of an attempt that began as soon as its claim waited: more than none."""


class Starter:
    """``free`` returns the number of free slots, ``started`` counts the attempts. At most
    ``prefetch`` claims wait in ``line``.
    """

    def __init__(
        self,
        scope: Scope,
        queue: str,
        prefetch: int,
        registry: Registry,
        ledger: Ledger,
        attempts: AttemptRunner,
        progress: Progress,
        abandoned: Abandoned,
        *,
        free: Callable[[], int],
    ) -> None:
        self.line = Line(prefetch)
        self.state: Any = None
        self.started = 0
        self.stopping = False
        self._scope = scope
        self._queue = queue
        self._registry = registry
        self._ledger = ledger
        self._attempts = attempts
        self.unknown = UnknownTasks(scope, queue, give_back=ledger.give_back)
        self._progress = progress
        self._abandoned = abandoned
        self._completer = Completer(scope)
        self._free = free
        self._due = False
        self._forbidden: set[str] = set()
        if prefetch:
            ledger.on_free_slot = self._fill_soon

    @property
    def room(self) -> int:
        """How many claims to ask for that would wait."""
        return 0 if self._forbidden else self.line.room

    def ahead(self, claims: int) -> int:
        """How many of so many claims would wait."""
        return max(claims - max(self._free() - len(self.line), 0), 0)

    def claimed(self, claims: Sequence[ClaimedJob], node: str, at_once: int) -> None:
        """Begin the first ``at_once`` of these jobs; the others wait for slots. Give back
        those of unknown tasks, and all when the node stops.
        """
        if len(claims) > at_once:
            self._begin(claims[:at_once], node)
            self._wait(claims[at_once:], node)
        else:
            self._begin(claims, node)

    def _begin(self, claims: Sequence[ClaimedJob], node: str) -> None:
        find, now = self._registry.find, self._scope.clock.monotonic()
        shared = self.state, self._progress, now, self._completer
        executions = []
        for claim in claims:
            task = find(claim.task)
            if task is not None and not self.stopping:
                executions.append(Execution(claim, self._queue, node, task, *shared))
            else:
                self._refuse(claim, node)
        self.started += len(executions)
        self._attempts.begin(executions)

    def _wait(self, claims: Sequence[ClaimedJob], node: str) -> None:
        known = []
        for claim in claims:
            if self._registry.find(claim.task) is None or self.stopping:
                self._refuse(claim, node)
            else:
                self._ledger.claimed(claim)
                known.append(claim)
        if known:
            self.line.add(known, self._scope.clock.monotonic())
        for reason in self._forbidden:
            self._give_all_back(reason)
        self._fill()

    def forbid(self, reason: str, forbidden: bool) -> None:
        """Let no claim wait for this reason, and give back those that do; or take the
        reason back.
        """
        if not forbidden:
            self._forbidden.discard(reason)
            return
        self._forbidden.add(reason)
        self._give_all_back(reason)

    def stop(self) -> None:
        """Begin no job any more, and give back those that wait."""
        self.stopping = True
        self._ledger.returned += [job_id for job_id, _ in self.line.keys]
        self.forbid(STOPPED, True)

    def end(self, key: Key, cause: Cause) -> bool:
        """Give back the claim with this key, if it waits, and return whether it did. One
        that is no longer the node's is dropped.
        """
        claim = self.line.remove(key)
        if claim is None:
            return False
        if cause is Cause.STOP:
            self._ledger.drop(claim)
        else:
            self._give_back(claim, _ENDED.get(cause, STOPPED))
        return True

    def _refuse(self, claim: ClaimedJob, node: str) -> None:
        self._ledger.claimed(claim)
        if self._registry.find(claim.task) is None:
            self.unknown.meet(claim, node)
        else:
            self._ledger.returned.append(claim.id)
            self._give_back(claim, STOPPED)

    def _give_all_back(self, reason: str) -> None:
        for claim in self.line.clear():
            self._give_back(claim, reason)

    def _give_back(self, claim: ClaimedJob, reason: str) -> None:
        self._ledger.give_back(claim, given_back(claim, reason))

    def _fill_soon(self) -> None:
        """A slot is free: begin what waits, together with that of other slots that are
        free in this turn of the loop.
        """
        if not self._due and self.line:
            self._due = True
            asyncio.get_running_loop().call_soon(self._fill)

    def _fill(self) -> None:
        """Begin the first claims that wait, in the free slots."""
        self._due = False
        node, now = self._scope.identity.node, self._scope.clock.monotonic()
        excluded = self._abandoned.excluded
        executions: list[Execution] = []
        while self.line and (free := self._free() - len(executions)) > 0:
            for waiting in self.line.take(free):
                claim, since = waiting
                task = self._registry.find(claim.task)
                if waiting.expires(now):
                    self._give_back(claim, _EXPIRED)
                    continue
                if task is None or claim.task in excluded:
                    self._give_back(claim, _EXCLUDED)
                    continue
                waited = max(now - since, _SHORTEST)
                # a call of a named tuple's class is a call of Python
                begun = tuple.__new__(
                    ClaimedJob, (*claim[:-1], claim.started_at + timedelta(seconds=waited))
                )
                execution = Execution(
                    begun, self._queue, node, task, self.state, self._progress, now, self._completer
                )
                execution.waited = waited
                executions.append(execution)
        self.started += len(executions)
        if executions:
            self._attempts.begin(executions)
