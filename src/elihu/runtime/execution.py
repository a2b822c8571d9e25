"""One attempt on this node, from its claim to its acknowledgement."""

import asyncio
import json
from enum import Enum, auto
from typing import Any

from elihu.context import Context
from elihu.engines.base import Claim
from elihu.job import Job, JobState
from elihu.runtime.progress import Progress
from elihu.task import Task


class Cause(Enum):
    """Why the node itself ends an attempt."""

    CANCEL = auto()
    """Somebody asked for the job's end."""
    RELEASE = auto()
    """The node stops: the attempt is given back."""
    LOST = auto()
    """The node was buried: the claim is no longer its own, and nothing is acknowledged."""


class Execution:
    """A claim being worked on, and what a ``Context`` works on."""

    __slots__ = (
        "attempt",
        "begun",
        "cause",
        "claim",
        "context",
        "handle",
        "max_attempts",
        "node",
        "options",
        "progress",
        "queue",
        "started",
        "task",
    )

    def __init__(self, claim: Claim, queue: str, node: str, task: Task[..., Any], state: Any, progress: Progress, started: float) -> None:
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
        self.context = Context(self, state)
        self.begun = False
        self.cause: Cause | None = None
        self.handle: asyncio.Task[None] | None = None

    @property
    def key(self) -> tuple[int, int]:
        return self.claim.id, self.claim.claim

    @property
    def keeps_value(self) -> bool:
        """Whether the return value is stored."""
        return self.claim.awaited or bool(self.options.get("record", self.task.options.record))

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
        )

    def report(self, progress: str) -> None:
        self.progress.report(self.key, progress)

    @property
    def heeded(self) -> Cause | None:
        """Why the task returned, where that was because it was told to end: an async task always is, a thread may not have looked."""
        return self.cause if self.task.run_in == "loop" or self.context.noticed else None

    def end(self, cause: Cause) -> None:
        """Ask the attempt to end: an async task is cancelled, a thread sees ``ctx.cancelled``. It is asked once, so that what it
        does to clean up is left in peace. The first cause stands, but a lost claim overrides any. An attempt that has not begun
        is not cancelled, since its end could then not be told: it looks at its cause when it begins."""
        if self.cause is not None:
            self.cause = cause if cause is Cause.LOST else self.cause
            return
        self.cause = cause
        self.context.cancel()
        if self.handle and self.begun and self.task.run_in == "loop":
            self.handle.cancel()
