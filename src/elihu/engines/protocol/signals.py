"""Announcements between processes, and what carries them."""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, Protocol


class SignalKind(StrEnum):
    """What an announcement is about."""

    JOBS = "jobs"
    """``payload`` is a queue that has available jobs."""
    INTENT = "intent"
    """``payload`` is a node that should look what was asked of its jobs, and which were
    taken from it.
    """
    LEADER = "leader"
    """The leader resigned."""
    QUEUES = "queues"
    """``payload`` is a node that should look at what was said of queues; none means
    every node.
    """
    CRON = "cron"
    """Cron entries changed."""
    PROBE = "probe"
    """A notifier's test of itself."""
    CHANGED = "changed"
    """Some other connection wrote: look for everything (SQLite)."""
    ENDED = "ended"
    """``payload`` is the ids of awaited jobs that ended, or of which an attempt did,
    joined by commas.
    """


class Signal(NamedTuple):
    """An announcement: a hint, never data."""

    kind: SignalKind
    payload: str = ""


class Notifier(Protocol):
    """Carries signals between processes, on a connection of its own."""

    async def start(self, deliver: Callable[[Signal], None]) -> None:
        """Begin to call ``deliver``, in the loop's thread, for each signal that
        arrives; reconnects by itself.
        """
        ...

    async def stop(self) -> None:
        """End the delivery. Safe to call twice, and before ``start``."""
        ...

    async def probe(self) -> bool:
        """Whether a signal sent now comes back within two seconds."""
        ...
