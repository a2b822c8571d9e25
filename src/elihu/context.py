"""What a running task can see and say: the ``Context`` it asks for by annotation."""

import asyncio
import json
import logging
import math
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from elihu.errors import InvalidOption
from elihu.job import Job
from elihu.storable_text import clean

MESSAGE_LIMIT = 1_000
"""Characters of a progress message that are kept."""

LOG_LIMIT = 65_536
"""Characters of log lines kept with a run: its first and its last half."""


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
        """The lines kept, with a mark where others were dropped; an abandoned thread
        may still be writing some.
        """
        self.acquire()
        try:
            mark = [f"… {self._dropped} lines dropped …"] if self._dropped else []
            return "\n".join([*self._head, *mark, *self._tail])
        finally:
            self.release()


class JobLogger(logging.Logger):
    """Keeps lines of every level with the run, and passes on those that the
    ``elihu.job`` logger wants.
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


class Attempt(Protocol):
    """What the executor gives a ``Context`` to work on."""

    attempt: int
    max_attempts: int

    def read_job(self) -> Job: ...
    def report(self, progress: str) -> None: ...
    def complete(self, value: Any, conn: object) -> None: ...
    async def acomplete(self, value: Any, conn: object) -> None: ...


class Context:
    """The running attempt, handed to a task that has a parameter annotated ``Context``.

    ``state`` is what the app's lifespan yielded on this node. Outside a node (a task
    called directly) ``job`` raises ``LookupError``, progress goes nowhere, log lines go
    to the ``elihu.job`` logger alone, and there is no job to complete.
    """

    __slots__ = (
        "_attempt",
        "_cancelled",
        "_event",
        "_job",
        "_lines",
        "_log",
        "noticed",
        "relay",
        "state",
    )

    def __init__(self, attempt: Attempt | None = None, state: Any = None) -> None:
        self.state = state
        self.noticed = False
        self.relay: Callable[[], None] | None = None
        self._attempt = attempt
        self._cancelled = False
        self._event: asyncio.Event | None = None
        self._job: Job | None = None
        self._lines: LogLines | None = None
        self._log: logging.Logger | None = None

    @property
    def job(self) -> Job:
        """The job as it was fetched."""
        if self._job is None:
            if self._attempt is None:
                raise LookupError(
                    "ctx.job: expected an attempt on a node, got a direct call of the task"
                )
            self._job = self._attempt.read_job()
        return self._job

    @property
    def attempt(self) -> int:
        """1 for the first attempt."""
        return self._attempt.attempt if self._attempt else 1

    @property
    def is_last_attempt(self) -> bool:
        """Whether a failure now would be the job's end."""
        return self._attempt is None or self._attempt.attempt >= self._attempt.max_attempts

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked for this attempt's end. A task that saw so and returns
        has ended for that reason, not completed.
        """
        self.noticed = self._cancelled
        return self._cancelled

    async def wait_cancelled(self) -> None:
        """Return when somebody asks for this attempt's end."""
        if not self._cancelled:
            self._event = self._event or asyncio.Event()
            await self._event.wait()
        self.noticed = True

    def cancel(self) -> None:
        """Let ``cancelled`` be true, and say so through ``relay``; called by the node,
        in the loop's thread.
        """
        self._cancelled = True
        if self.relay:
            self.relay()
        if self._event:
            self._event.set()

    def progress(self, done: float, total: float | None = None, message: str | None = None) -> None:
        """Tell how far the task has come; only the newest report of a moment is stored.
        Callable from any thread.

        ``message`` is cut to ``MESSAGE_LIMIT`` characters. Raises ``InvalidOption`` for
        what is no finite number or no text.
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
            said = None if message is None else clean(message, MESSAGE_LIMIT)
            self._attempt.report(json.dumps({"done": done, "total": total, "message": said}))

    async def complete(self, value: Any = None, *, conn: Any) -> None:
        """Complete the job inside the transaction of ``conn``, an asynchronous
        connection or session of the task's own: what the task wrote there and the job's
        end are committed together, or neither is.

        ``value`` stands in place of the return value, and log lines up to here are
        kept. Commit before the task returns; an attempt that returns without has failed
        (``NotCommitted``). Raises ``ClaimLost`` when the job is no longer this
        attempt's, ``WrongDatabase`` when ``conn`` leads to another database than that
        of the jobs, and ``InvalidOption`` as ``using`` does.
        """
        if self._attempt:
            await self._attempt.acomplete(value, conn)

    def complete_sync(self, value: Any = None, *, conn: Any) -> None:
        """``complete`` for a synchronous connection."""
        if self._attempt:
            self._attempt.complete(value, conn)

    @property
    def log(self) -> logging.Logger:
        """A logger whose lines are kept with the run, at most ``LOG_LIMIT`` characters,
        and go to ``elihu.job`` too.
        """
        if self._log is None:
            self._lines = LogLines() if self._attempt else None
            self._log = JobLogger(self._lines)
        return self._log

    def log_text(self) -> str | None:
        """The log lines so far, None where there are none."""
        return (self._lines.text() or None) if self._lines else None
