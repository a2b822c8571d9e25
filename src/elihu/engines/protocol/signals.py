"""Announcements between processes, and their notifier."""

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple, Protocol


class SignalKind(StrEnum):
    """The subject of an announcement."""

    JOBS = "jobs"
    """``payload`` is a queue that has available jobs."""
    INTENT = "intent"
    """``payload`` is a node that should read the intents on its jobs and its lost
    claims.
    """
    LEADER = "leader"
    """The leader resigned."""
    QUEUES = "queues"
    """``payload`` is a node that should read the overrides of queues. Empty means every
    node.
    """
    CRON = "cron"
    """Cron entries changed."""
    PROBE = "probe"
    """A notifier's loop-back test."""
    TOPIC = "topic"
    """``payload`` names what people watch and what has changed."""
    CHANGED = "changed"
    """SQLite: another connection has written, so anything may have changed."""
    ENDED = "ended"
    """``payload`` is the ids of awaited jobs that ended, or whose attempt ended, joined
    by commas.
    """


class Signal(NamedTuple):
    """An announcement. It is a hint and carries no data."""

    kind: SignalKind
    payload: str = ""


def text_of(signal: Signal) -> str:
    """The signal as a text, ``kind:payload``."""
    return f"{signal.kind.value}:{signal.payload}"


def signal_of(text: str) -> Signal | None:
    """The signal in a text, None for a kind that this code does not know."""
    kind, _, payload = text.partition(":")
    return Signal(SignalKind(kind), payload) if kind in set(SignalKind) else None


class Notifier(Protocol):
    """Carries signals between processes, on a connection of its own."""

    async def start(self, deliver: Callable[[Signal], None]) -> None:
        """Begin to call ``deliver``, in the loop's thread, for each signal. The notifier
        reconnects by itself.
        """
        ...

    async def stop(self) -> None:
        """End the delivery. Safe to call twice, and before ``start``."""
        ...

    async def probe(self) -> bool:
        """Whether a signal that is sent now arrives within two seconds."""
        ...

    def silence(self) -> float:
        """Seconds since a signal arrived that was no probe of this process; infinite where
        none has, or where no connection listens.
        """
        ...
