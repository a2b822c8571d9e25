"""``Context`` in a child process: reports and log lines go to the node."""

import asyncio
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import TypeAdapter

from elihu.attempt_waits import AttemptWaits
from elihu.context import Context, HandledError
from elihu.errors import InvalidOption
from elihu.job import Job
from elihu.runtime.attempts.processes.channel import Channel
from elihu.runtime.attempts.processes.node_logging import fields_of

SPACING: Final = 0.1
"""Seconds between two reports of progress to the node, which writes them less often
still.
"""


class ChildWaits(AttemptWaits):
    """Waits of which the node is told. After ``close`` it is told nothing more: a thread
    that a task left running may wait on.
    """

    def __init__(self, channel: Channel, number: int) -> None:
        super().__init__()
        self._channel = channel
        self._number = number
        self._lock = threading.Lock()
        self._outdated = 0
        self._closed = False

    def begin(self, ids: Sequence[int]) -> None:
        with self._lock:
            super().begin(ids)
            self._send("waits", ids)

    def end(self, ids: Sequence[int]) -> None:
        with self._lock:
            super().end(ids)
            self._send("waited", ids)
            if not self.jobs:
                self._outdated = len(self._channel.arrived("blocked", self._number))

    def hint(self) -> str | None:
        found = self._channel.arrived("blocked", self._number)[self._outdated :]
        return found[-1][2] if found else None

    def close(self) -> None:
        with self._lock:
            self._closed = True

    def _send(self, kind: str, ids: Sequence[int]) -> None:
        if not self._closed:
            self._channel.send(kind, list(ids))


class ChildAttempt:
    """The attempt, as the node described it. After ``close`` nothing more is sent:
    reports of threads that a task left running are dropped.
    """

    def __init__(self, channel: Channel, number: int, call: Mapping[str, Any]) -> None:
        self.attempt: int = call.get("attempt", 1)
        self.max_attempts: int = call.get("max_attempts", 1)
        self.log_fields: Mapping[str, Any] = call["log_fields"]
        self.carrier: Mapping[str, str] = call["carrier"]
        self.cause: str | None = None
        self.on_error_due: str | None = None
        self.waits = ChildWaits(channel, number)
        self.committed = False
        self._job: Mapping[str, Any] | None = call.get("job")
        self._channel = channel
        self._lock = threading.Lock()
        self._held: str | None = None
        self._sent = 0.0
        self._closed = False

    def read_job(self) -> Job:
        return TypeAdapter(Job).validate_python(self._job)

    def report(self, progress: str) -> None:
        """Send the newest report, at most one in ``SPACING`` seconds."""
        with self._lock:
            wait = self._sent + SPACING - time.monotonic()
            if self._closed:
                return
            if self._held is None and wait > 0:
                timer = threading.Timer(wait, self._flush)
                timer.daemon = True
                timer.start()
            if self._held is not None or wait > 0:
                self._held = progress
            else:
                self._send(progress)

    def complete(
        self,
        value: Any,
        conn: object,
        handled: HandledError | None = None,
        others: Sequence[Any] = (),
        known: bool = False,
    ) -> None:
        """Refuse: only a node can complete a job."""
        raise InvalidOption(
            "ctx.complete: expected a task that runs in its node, got one declared with "
            'run_in="process"'
        )

    async def acomplete(self, value: Any, conn: object) -> None:
        self.complete(value, conn)

    def log(self, fields: Mapping[str, Any]) -> None:
        """Send a log record."""
        if not self._closed:
            self._channel.send("log", fields)

    def close(self) -> None:
        """Send the report that is held back, and nothing after it."""
        self._flush()
        self._closed = True
        self.waits.close()

    def _flush(self) -> None:
        with self._lock:
            held, self._held = self._held, None
            if held is not None and not self._closed:
                self._send(held)

    def _send(self, progress: str) -> None:
        self._sent = time.monotonic()
        self._channel.send("progress", progress)


class ChildContext(Context):
    """A context that reads from the channel whether the attempt is to end, and sends its
    log lines through it.
    """

    __slots__ = ("_channel", "_child_attempt", "_logger", "_number", "_waiting")

    def __init__(self, attempt: ChildAttempt, channel: Channel, number: int, state: Any) -> None:
        super().__init__(attempt, state)
        self._child_attempt = attempt
        self._channel = channel
        self._number = number
        self._logger: logging.Logger | None = None
        self._waiting = 0

    @property
    def cancelled(self) -> bool:
        if not self._cancelled and (messages := self._channel.arrived("cancel", self._number)):
            self._child_attempt.cause = messages[0][2]
            self.cancel()
        return super().cancelled

    @property
    def cause(self) -> str | None:
        return super().cause if self.cancelled else None

    async def wait_cancelled(self) -> None:
        if not self.cancelled:
            loop = asyncio.get_running_loop()
            loop.add_reader(self._channel, lambda: self.cancelled)
            self._waiting += 1
            try:
                await super().wait_cancelled()
            finally:
                self._waiting -= 1
                if not self._waiting:
                    loop.remove_reader(self._channel)

    @property
    def log(self) -> logging.Logger:
        if self._logger is None:
            self._logger = logging.Logger("elihu.job", logging.DEBUG)
            self._logger.addHandler(_ToRun(self._child_attempt))
        return self._logger


class _ToRun(logging.Handler):
    """Sends each record to the node, which keeps it with the run and passes it on."""

    def __init__(self, attempt: ChildAttempt) -> None:
        super().__init__()
        self._child_attempt = attempt

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._child_attempt.log(fields_of(record))
        except Exception:
            self.handleError(record)
