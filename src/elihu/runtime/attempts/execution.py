"""One attempt on this node, from its claim to its acknowledgement."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum, auto
from types import MappingProxyType
from typing import Any, Final, Protocol

from elihu.attempt_waits import AttemptWaits
from elihu.context import Context, HandledError
from elihu.engines.protocol import ClaimedJob
from elihu.job import Job, JobState
from elihu.outcome import Complete
from elihu.runtime.attempts.progress import Progress
from elihu.task import Task, check_timeout


class Cause(StrEnum):
    """Why the node ends an attempt."""

    CANCEL = auto()
    """A cancellation of the job was requested."""
    KILL = auto()
    """An end of the attempt was requested."""
    TIMEOUT = auto()
    """It ran longer than its timeout."""
    STOP = auto()
    """The job was taken from this node. The attempt sees ``ctx.cancelled`` and may
    continue; its end will be refused.
    """
    CUT_OFF = auto()
    """The node is cut off from the database. The attempt sees ``ctx.cancelled`` and may
    continue.
    """
    FENCE = auto()
    """The node is cut off from the database, and the task asks to be ended then."""
    RELEASE = auto()
    """The node stops: the attempt is given back."""
    LOST = auto()
    """The node was removed: the claim is no longer its own, and nothing is written."""


_ADVISORY: Final = frozenset({Cause.STOP, Cause.CUT_OFF})
"""Causes that an attempt sees and that do not end it."""

_NO_OPTIONS: Final[Mapping[str, Any]] = MappingProxyType({})
_NO_TEXTS: Final[Mapping[str, str]] = MappingProxyType({})


class Completes(Protocol):
    """Completes an attempt in a transaction of its task."""

    def complete(
        self,
        executions: Sequence["Execution"],
        value: Any,
        conn: object,
        handled: HandledError | None = None,
        *,
        known: bool,
    ) -> None: ...
    async def acomplete(self, execution: "Execution", value: Any, conn: object) -> None: ...


class Execution:
    """A claimed job that runs; the ``Attempt`` of its ``Context``.

    ``key`` is the job's id and its claim. ``threads`` are the attempt's calls in
    threads that have not returned, None where it made none. ``reported`` is true once
    it has reported progress. ``completing`` is true once it may have ended in a
    transaction of its task, ``committed`` once it has. ``waited`` are the seconds for
    which its claim waited for a slot, until its start is recorded.

    Most jobs use little of this: what has a default here, and the context, the options
    and the waits, are made where they are first needed.
    """

    begun = False
    carrier: Mapping[str, str] = _NO_TEXTS
    cause: Cause | None = None
    committed = False
    completing = False
    handle: "asyncio.Task[None] | None" = None
    reported = False
    returned: tuple[Any] | None = None
    threads: "set[asyncio.Future[Any]] | None" = None
    timer: asyncio.TimerHandle | None = None
    unkept: Complete | None = None
    waited = 0.0
    _context: Context | None = None
    _options: Mapping[str, Any] | None = None
    _waits: AttemptWaits | None = None

    def __init__(
        self,
        claim: ClaimedJob,
        queue: str,
        node: str,
        task: Task[..., Any],
        state: Any,
        progress: Progress,
        started: float,
        completer: Completes,
    ) -> None:
        self.claim = claim
        self.key = (claim.id, claim.claim)
        self.queue = queue
        self.node = node
        self.task = task
        self.progress = progress
        self.started = started
        self.completer = completer
        self._state = state

    @property
    def attempt(self) -> int:
        return self.claim.attempt

    @property
    def max_attempts(self) -> int:
        return self.claim.max_attempts

    @property
    def context(self) -> Context:
        if self._context is None:
            self._context = Context(self, self._state)
        return self._context

    @property
    def options(self) -> Mapping[str, Any]:
        """The options in the job's row."""
        if self.claim.options is None:
            return _NO_OPTIONS
        if self._options is None:
            options = json.loads(self.claim.options)
            self._options = options if isinstance(options, dict) else _NO_OPTIONS
        return self._options

    @property
    def waits(self) -> AttemptWaits:
        # threads of one attempt may ask at the same time
        waits: AttemptWaits = vars(self).setdefault("_waits", AttemptWaits())
        return waits

    @property
    def awaited_jobs(self) -> Sequence[int]:
        """The ids of the jobs that the attempt waits for."""
        return list(self._waits.jobs) if self._waits else ()

    @property
    def log_text(self) -> str | None:
        """The lines that the attempt has logged, None without any."""
        return self._context.log_text() if self._context else None

    @property
    def facts(self) -> dict[str, Any]:
        """The fields of every event about the attempt."""
        claim = self.claim
        return {
            "job_id": claim.id,
            "claim": claim.claim,
            "task": claim.task,
            "queue": self.queue,
            "attempt": claim.attempt,
            "node": self.node,
        }

    @property
    def log_fields(self) -> dict[str, Any]:
        """The attributes of each log record of the attempt."""
        claim = self.claim
        return {
            "job_id": claim.id,
            "task": claim.task,
            "attempt": claim.attempt,
            "queue": self.queue,
            "node": self.node,
        }

    @property
    def keeps_value(self) -> bool:
        """Whether the return value is stored."""
        record = self.task.options.record
        if self.claim.options is not None:
            record = self.options.get("record", record)
        return self.claim.awaited or bool(record)

    @property
    def on_error_pending(self) -> bool:
        """Whether the job has an ``on_error`` that has not run."""
        return self.options.get("on_error") is True and self.on_error_due is None

    @property
    def on_error_due(self) -> str | None:
        """Why the job failed, in an attempt that is only for the ``on_error`` of a
        trigger.
        """
        reason = self.options.get("on_error_due")
        return None if reason is None else str(reason)

    @property
    def timeout(self) -> float | None:
        """The most seconds that the attempt may take. Raises ``InvalidOption`` when the
        row holds no valid timeout.
        """
        given = self.task.options.timeout
        if self.claim.options is not None:
            given = self.options.get("timeout", given)
        if given is None:
            return None
        return check_timeout(f"options of job {self.claim.id}: timeout", given)

    def read_job(self) -> Job:
        claim = self.claim
        return Job(
            id=claim.id,
            state=JobState.EXECUTING,
            queue=self.queue,
            task=claim.task,
            args=json.loads(claim.args),
            meta=json.loads(claim.meta) if claim.meta else {},
            tags=claim.tags,
            priority=claim.priority,
            attempt=claim.attempt,
            max_attempts=claim.max_attempts,
            unique_key=claim.unique_key,
            inserted_at=claim.inserted_at,
            scheduled_at=claim.scheduled_at,
            started_at=claim.started_at,
            node=self.node,
            template=claim.template,
            identifier=claim.identifier,
            expires_at=claim.expires_at,
            occurrence=claim.occurrence,
        )

    def report(self, progress: str) -> None:
        self.reported = True
        self.progress.report(self.key, progress)

    def complete(
        self,
        value: Any,
        conn: object,
        handled: HandledError | None = None,
        others: Sequence["Execution"] = (),
        known: bool = False,
    ) -> None:
        self.completer.complete([self, *others], value, conn, handled, known=known)

    async def acomplete(self, value: Any, conn: object) -> None:
        await self.completer.acomplete(self, value, conn)

    @property
    def heeded(self) -> Cause | None:
        """Why the task returned, where it returned because it was to end. A cancelled
        task always did; a thread, or an attempt that only sees ``ctx.cancelled``, did
        when it has read that.
        """
        if self.cause is None:
            return None
        was_cancelled = self.task.run_in != "thread" and self.cause not in _ADVISORY
        return self.cause if was_cancelled or self.context.noticed else None

    def end(self, cause: Cause) -> bool:
        """Ask the attempt to end, and return whether this is the first request. An async
        task or a child process is cancelled; a thread sees ``ctx.cancelled``. It is
        cancelled once, so its cleaning up is not interrupted.

        The first cause is kept, but a request to cancel the job replaces a kill or a
        timeout, and a lost claim replaces any. An attempt that has not begun is not
        cancelled: it reads its cause when it begins.
        """
        if self.cause is not None and self.cause not in _ADVISORY:
            if cause is Cause.LOST or (
                cause is Cause.CANCEL and self.cause in {Cause.KILL, Cause.TIMEOUT}
            ):
                self.cause = cause
            return False
        self.cause = cause
        self.context.cancel()
        if cause in _ADVISORY:
            return False
        if self.handle and self.begun and self.task.run_in != "thread":
            self.handle.cancel()
        return True

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        """Call it after ``seconds``, unless the attempt ends before. It replaces an
        earlier call that is not due yet.
        """
        self.disarm()
        self.timer = asyncio.get_running_loop().call_later(seconds, call)

    def disarm(self) -> None:
        """Cancel the call that is not due yet."""
        if self.timer is not None:
            self.timer.cancel()
