"""``Context``: what a running task knows of its attempt, injected by annotation."""

import asyncio
import json
import logging
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from elihu.errors import InvalidOption
from elihu.job import Job
from elihu.storable_text import clean

MESSAGE_LIMIT = 1_000
"""The most characters of a progress message."""

LOG_LIMIT = 65_536
"""The most characters of log lines stored with a run: half from the start, half from the end."""


class LogLines(logging.Handler):
    """Keeps the first and the last half of ``LOG_LIMIT`` characters, and counts the
    lines between.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        self._head: list[str] = []
        self._tail: deque[str] = deque()
        self._head_size = self._tail_size = self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._keep(self.format(record))
        except Exception:
            self.handleError(record)

    def _keep(self, line: str) -> None:
        half = LOG_LIMIT // 2
        line = line[: half - 1]
        if not self._tail and self._head_size + len(line) < half:
            self._head.append(line)
            self._head_size += len(line) + 1
            return
        self._tail.append(line)
        self._tail_size += len(line) + 1
        while self._tail_size > half and len(self._tail) > 1:
            self._tail_size -= len(self._tail.popleft()) + 1
            self._dropped += 1

    def text(self) -> str:
        """The lines, with a mark where some were dropped. Locks, since an abandoned
        thread may still write.
        """
        self.acquire()
        try:
            mark = [f"… {self._dropped} lines dropped …"] if self._dropped else []
            return "\n".join([*self._head, *mark, *self._tail])
        finally:
            self.release()


class JobLogger(logging.Logger):
    """Stores lines of every level with the run, and passes those that are enabled to
    the logger ``elihu.job``.
    """

    def __init__(self, lines: LogLines | None) -> None:
        super().__init__("elihu.job", logging.DEBUG)
        self._lines = lines

    def handle(self, record: logging.LogRecord) -> None:
        if self._lines is not None:
            self._lines.handle(record)
        onward = logging.getLogger("elihu.job")
        if onward.isEnabledFor(record.levelno):
            onward.handle(record)


class HandledError(NamedTuple):
    """The error of an attempt that user code handled in the transaction that ends the
    job. The run is ``failed``; the job is completed, or discarded unless ``completes``.
    """

    error: BaseException
    completes: bool


class Attempt(Protocol):
    """The attempt behind a ``Context``."""

    committed: bool

    @property
    def cause(self) -> str | None: ...
    @property
    def carrier(self) -> Mapping[str, str]: ...
    @property
    def attempt(self) -> int: ...
    @property
    def max_attempts(self) -> int: ...
    @property
    def on_error_due(self) -> str | None: ...
    def read_job(self) -> Job: ...
    def report(self, progress: str) -> None: ...
    def complete(
        self,
        value: Any,
        conn: object,
        handled: HandledError | None = None,
        others: Sequence[Any] = (),
        known: bool = False,
    ) -> None: ...
    async def acomplete(self, value: Any, conn: object) -> None: ...


class Context:
    """The running attempt, passed to a task's parameter with the annotation
    ``Context``.

    ``state`` is what the app's lifespan yielded on this node. In the job of a trigger
    ``actor`` is who acts, and ``interaction`` is ``"elihu"``. In a direct call of the
    task there is no attempt: ``job`` raises ``LookupError``, ``progress`` and
    ``complete`` do nothing, and log lines go to the logger ``elihu.job`` alone.
    """

    __slots__ = (
        "_attempt",
        "_cancelled",
        "_event",
        "_job",
        "_lines",
        "_log",
        "_tenant",
        "actor",
        "interaction",
        "noticed",
        "on_cancel",
        "state",
    )

    def __init__(self, attempt: Attempt | None = None, state: Any = None) -> None:
        self.state = state
        self.actor: Any = None
        self.interaction: str | None = None
        self.noticed = False
        self.on_cancel: Callable[[], None] | None = None
        self._attempt = attempt
        self._cancelled = False
        self._event: asyncio.Event | None = None
        self._job: Job | None = None
        self._lines: LogLines | None = None
        self._log: logging.Logger | None = None
        self._tenant: Any = None

    @property
    def job(self) -> Job:
        """The job as it was fetched."""
        if self._job is None:
            if self._attempt is None:
                raise LookupError("ctx.job: a direct call of a task has no job")
            self._job = self._attempt.read_job()
        return self._job

    @property
    def tenant(self) -> Any:
        """The tenant of a trigger's job, or of a scheduled action's; None without one."""
        if self._tenant is None and self._attempt is not None:
            self._tenant = self.job.meta.get("tenant")
        return self._tenant

    @tenant.setter
    def tenant(self, tenant: Any) -> None:
        self._tenant = tenant

    @property
    def on_error_due(self) -> str | None:
        """Why the job failed, in an attempt that is only for the ``on_error`` of a
        trigger; None in every other.
        """
        return self._attempt.on_error_due if self._attempt else None

    @property
    def occurrence(self) -> datetime | None:
        """The time of the tick for which a cron entry made the job, whatever retries and
        snoozes did to ``job.scheduled_at``. None for other jobs, and in a direct call.
        """
        return self.job.occurrence if self._attempt else None

    @property
    def carrier(self) -> Mapping[str, str]:
        """What handlers of ``JobStarted`` left for the attempt, empty in a direct call."""
        return self._attempt.carrier if self._attempt else {}

    @property
    def attempt(self) -> int:
        """1 for the first attempt."""
        return self._attempt.attempt if self._attempt else 1

    @property
    def is_last_attempt(self) -> bool:
        """Whether a failure of this attempt ends the job."""
        return self._attempt is None or self._attempt.attempt >= self._attempt.max_attempts

    @property
    def cancelled(self) -> bool:
        """Whether this attempt was asked to end. A task that reads True and returns has
        ended for that reason; it is not completed.
        """
        self.noticed = self._cancelled
        return self._cancelled

    @property
    def cause(self) -> str | None:
        """Why this attempt was asked to end, None before: ``"cancel"``, ``"kill"`` or
        ``"stop"`` where that was requested of its job, ``"timeout"``, ``"release"`` where
        its node stops, ``"lost"`` where its node was removed, ``"cut_off"`` or ``"fence"``
        where the node has had no answer from the database for too long.
        """
        return self._attempt.cause if self._attempt else None

    async def wait_cancelled(self) -> None:
        """Return when this attempt is asked to end."""
        if not self._cancelled:
            self._event = self._event or asyncio.Event()
            await self._event.wait()
        self.noticed = True

    def cancel(self) -> None:
        """Set ``cancelled`` and call ``on_cancel``. The node calls it in the loop's
        thread.
        """
        self._cancelled = True
        if self.on_cancel:
            self.on_cancel()
        if self._event:
            self._event.set()

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Report progress. Reports are throttled; the newest is stored. Callable from
        any thread.

        ``message`` is cut to ``MESSAGE_LIMIT`` characters. Raises ``InvalidOption`` for
        a number that is not finite and for a message that is not text.
        """
        for name, number in (("done", done), ("total", 0 if total is None else total)):
            if (
                isinstance(number, bool)
                or not isinstance(number, int | float)
                or not math.isfinite(number)
            ):
                raise InvalidOption(f"progress({name}=): expected a finite number, got {number!r}")
        if message is not None and not isinstance(message, str):
            raise InvalidOption(f"progress(message=): expected a text, got {message!r}")
        if self._attempt:
            text = None if message is None else clean(message, MESSAGE_LIMIT)
            self._attempt.report(json.dumps({"done": done, "total": total, "message": text}))

    async def complete(self, value: Any = None, *, conn: Any) -> None:
        """Complete the job inside the transaction of ``conn``, the task's own
        asynchronous connection or session. The task's writes there and the job's end are
        committed together, or neither is.

        ``value`` replaces the return value. Log lines up to here are stored. Commit
        before the task returns, otherwise the attempt fails with ``NotCommitted``.
        Raises ``ClaimLost`` if the job is no longer this attempt's, ``WrongDatabase`` if
        ``conn`` leads to another database, and ``InvalidOption`` for a connection that
        ``using`` refuses too.
        """
        if self._attempt:
            await self._attempt.acomplete(value, conn)

    def complete_sync(self, value: Any = None, *, conn: Any) -> None:
        """``complete`` for a synchronous connection."""
        if self._attempt:
            self._attempt.complete(value, conn)

    def end(
        self,
        value: Any,
        *,
        conn: Any,
        handled: HandledError | None = None,
        others: "Sequence[Context]" = (),
        known: bool = False,
    ) -> None:
        """``complete_sync`` for the jobs of triggers: with the attempts of ``others``,
        which return the same value, and with an error that was handled. ``known``
        says that an end before it was in the same database, and that the transaction is
        given up on any error: a few statements fewer.
        """
        if self._attempt:
            self._attempt.complete(value, conn, handled, _attempts(others), known)

    def committed(self) -> None:
        """The transaction of ``end`` was committed: nothing is left to acknowledge."""
        if self._attempt:
            self._attempt.committed = True

    @property
    def log(self) -> logging.Logger:
        """A logger whose lines are stored with the run, at most ``LOG_LIMIT``
        characters, and passed to ``elihu.job``.
        """
        if self._log is None:
            self._lines = LogLines() if self._attempt else None
            self._log = JobLogger(self._lines)
        return self._log

    def log_text(self) -> str | None:
        """The log lines so far, None without any."""
        return (self._lines.text() or None) if self._lines else None


def _attempts(contexts: Sequence[Context]) -> list[Attempt]:
    return [each._attempt for each in contexts if each._attempt]
