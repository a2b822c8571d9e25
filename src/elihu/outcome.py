"""How an attempt can end, as values. ``runtime/attempts/ack.py`` decides what each
means for the job.
"""

from dataclasses import dataclass
from datetime import timedelta

from elihu.duration import parse_duration


class Outcome(Exception):
    """An end of an attempt that the task chooses: return it or raise it."""


class Snooze(Outcome):
    """Put the job back for ``delay`` (seconds, ``timedelta`` or text such as ``"10m"``)
    without using up an attempt.
    """

    def __init__(self, delay: float | timedelta | str) -> None:
        super().__init__(delay)
        self.delay = parse_duration(delay, "Snooze")


class Cancel(Outcome):
    """End the job as ``cancelled``."""

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason


class Discard(Outcome):
    """End the job as ``discarded``; its run is ``failed``."""

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason


class Retry(Outcome):
    """Fail this attempt. The next one starts after ``delay`` (seconds, ``timedelta`` or
    text), or after the task's backoff.
    """

    def __init__(
        self, reason: str | None = None, *, delay: float | timedelta | str | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.delay = None if delay is None else parse_duration(delay, "Retry(delay=)")


@dataclass(frozen=True, slots=True)
class Complete:
    """The task returned. ``value`` is the JSON text to store, or None. ``problem`` says
    why it cannot be stored; ``too_large`` means that only its size is wrong.
    """

    value: str | None = None
    problem: str | None = None
    too_large: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """The task raised, or could not start (its arguments no longer fit)."""

    error: BaseException
    retry: bool = True


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The job was asked to end while it ran."""


@dataclass(frozen=True, slots=True)
class Killed:
    """The attempt was killed. ``raised`` is what it raised then."""

    raised: BaseException | None = None


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The attempt ran longer than ``limit`` seconds and was ended. ``raised`` is what it
    raised then.
    """

    limit: float
    raised: BaseException | None = None


@dataclass(frozen=True, slots=True)
class Returned:
    """The node gives the attempt back, not counted: at once, or in ``delay`` seconds."""

    reason: str
    delay: float | None = None


Ending = (
    Complete | Failed | Cancelled | Killed | TimedOut | Returned | Snooze | Cancel | Discard | Retry
)
