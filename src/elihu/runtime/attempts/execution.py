"""One attempt on this node, from its claim to its acknowledgement."""

import asyncio
import json
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Protocol

from elihu.context import Context
from elihu.engines.protocol import ClaimedJob
from elihu.job import Job, JobState
from elihu.outcome import Complete
from elihu.runtime.attempts.progress import Progress
from elihu.task import Task, check_timeout


class Cause(Enum):
    """Why the node itself ends an attempt."""

    CANCEL = auto()
    """Somebody asked for the job's end."""
    KILL = auto()
    """Somebody asked for the attempt's end."""
    TIMEOUT = auto()
    """It ran longer than its timeout."""
    STOP = auto()
    """The job was taken from this node: the attempt is told, and may go on; its end
    will be refused.
    """
    RELEASE = auto()
    """The node stops: the attempt is given back."""
    LOST = auto()
    """The node was buried: the claim is no longer its own, and nothing is acknowledged."""


class Completes(Protocol):
    """What ends an attempt in a transaction of its task's."""

    def complete(self, execution: "Execution", value: Any, conn: object) -> None: ...
    async def acomplete(self, execution: "Execution", value: Any, conn: object) -> None: ...


class Execution:
    """A claim being worked on, and what a ``Context`` works on."""

    __slots__ = (
        "attempt",
        "begun",
        "cause",
        "claim",
        "completer",
        "completing",
        "context",
        "handle",
        "max_attempts",
        "node",
        "options",
        "progress",
        "queue",
        "returned",
        "started",
        "task",
        "timer",
        "unkept",
    )

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
        self.queue = queue
        self.node = node
        self.task = task
        self.attempt = claim.attempt
        self.max_attempts = claim.max_attempts
        options = json.loads(claim.options) if claim.options else {}
        self.options: dict[str, Any] = options if isinstance(options, dict) else {}
        self.progress = progress
        self.started = started
        self.completer = completer
        self.completing = False
        self.context = Context(self, state)
        self.begun = False
        self.cause: Cause | None = None
        self.unkept: Complete | None = None
        self.returned: tuple[Any] | None = None
        self.handle: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None

    @property
    def key(self) -> tuple[int, int]:
        return self.claim.id, self.claim.claim

    @property
    def facts(self) -> dict[str, Any]:
        """What every event about the attempt says."""
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
    def keeps_value(self) -> bool:
        """Whether the return value is stored."""
        return self.claim.awaited or bool(self.options.get("record", self.task.options.record))

    @property
    def timeout(self) -> float | None:
        """The most seconds that the attempt may take. Raises ``InvalidOption`` for what
        other hands may have written in the row.
        """
        given = self.options.get("timeout", self.task.options.timeout)
        return (
            None
            if given is None
            else check_timeout(f"options of job {self.claim.id}: timeout", given)
        )

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
        )

    def report(self, progress: str) -> None:
        self.progress.report(self.key, progress)

    def complete(self, value: Any, conn: object) -> None:
        self.completer.complete(self, value, conn)

    async def acomplete(self, value: Any, conn: object) -> None:
        await self.completer.acomplete(self, value, conn)

    @property
    def heeded(self) -> Cause | None:
        """Why the task returned, where that was because it was told to end: what is
        cancelled always is, a thread may not have looked, nor what was only stopped.
        """
        if self.cause is None:
            return None
        was_cancelled = self.task.run_in != "thread" and self.cause is not Cause.STOP
        return self.cause if was_cancelled or self.context.noticed else None

    def end(self, cause: Cause) -> bool:
        """Ask the attempt to end: an async task or a child process is cancelled, a
        thread sees ``ctx.cancelled``; whether it was asked only now. It is asked once,
        so that what it does to clean up is left in peace. The first cause stands, but a
        wish to cancel the job overrides its like, and a lost claim any; what was only
        stopped is told, and can still be ended. An attempt that has not begun is not
        cancelled, since its end could then not be told: it looks at its cause when it
        begins.
        """
        if self.cause not in {None, Cause.STOP}:
            if cause is Cause.LOST or (
                cause is Cause.CANCEL and self.cause in {Cause.KILL, Cause.TIMEOUT}
            ):
                self.cause = cause
            return False
        self.cause = cause
        self.context.cancel()
        if cause is Cause.STOP:
            return False
        if self.handle and self.begun and self.task.run_in != "thread":
            self.handle.cancel()
        return True

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        """Call it then, unless the attempt ends before, in place of what was to be
        called.
        """
        self.disarm()
        self.timer = asyncio.get_running_loop().call_later(seconds, call)

    def disarm(self) -> None:
        """Call nothing any more."""
        if self.timer is not None:
            self.timer.cancel()
