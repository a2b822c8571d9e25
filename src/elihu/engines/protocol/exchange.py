"""The hot path: acknowledge and fetch in one round trip."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from elihu.engines.protocol.signals import Signal
from elihu.job import JobState, RunOutcome

RUNS_KEPT: Final = 100
"""Consecutive ``snoozed`` and ``returned`` runs that are kept of one job."""
_BOUNDED: Final = frozenset({RunOutcome.SNOOZED, RunOutcome.RETURNED})


class Position(NamedTuple):
    """A place in a queue's order of fetch."""

    priority: int
    scheduled_at: datetime
    id: int


class ClaimedJob(NamedTuple):
    """A fetched job, which this node may execute under the guard (id, node, claim). JSON
    stays text. The order of fetch comes first, so that claims are sorted as they are.
    """

    priority: int
    scheduled_at: datetime
    id: int
    claim: int
    task: str
    args: str
    attempt: int
    max_attempts: int
    orphans: int
    awaited: bool
    options: str | None
    meta: str | None
    unique_key: str | None
    template: str | None
    identifier: str | None
    expires_at: datetime | None
    occurrence: datetime | None
    tags: tuple[str, ...]
    inserted_at: datetime
    started_at: datetime


class Ack(NamedTuple):
    """The end of an attempt, to be written under the guard.

    ``state`` is the job's next state. ``delay`` is in seconds from now; None leaves
    ``scheduled_at`` as it is. ``refund_attempt`` is 1 where the attempt does not count.
    ``value`` is the result as JSON text. ``error_type`` is the type of the error as
    ``module:qualname``. ``waited`` are the seconds from the claim to the start of an
    attempt that waited in its node for a slot.
    """

    id: int
    claim: int
    outcome: RunOutcome
    state: JobState
    delay: float | None = None
    refund_attempt: int = 0
    value: str | None = None
    reason: str | None = None
    error: str | None = None
    traceback: str | None = None
    log: str | None = None
    error_type: str | None = None
    waited: float = 0.0


def plain_ack(key: tuple[int, int], value: str | None = None) -> Ack:
    """The end of an attempt that completed, by the job's id and its claim. Every job
    passes here, and a call of a named tuple's class is a call of Python.
    """
    return tuple.__new__(Ack, (*key, *_BEFORE_VALUE, value, *_AFTER_VALUE))


def is_plain(ack: Ack) -> bool:
    """Whether it is what ``plain_ack`` makes."""
    return ack[2:6] == _BEFORE_VALUE and ack[7:] == _AFTER_VALUE


def is_plain_ahead(ack: Ack) -> bool:
    """Whether it is what ``plain_ack`` makes, of a claim that may have waited."""
    return ack[2:6] == _BEFORE_VALUE and ack[7:12] == _NO_TEXTS


_BEFORE_VALUE: Final = (RunOutcome.COMPLETED, JobState.COMPLETED, None, 0)
_NO_TEXTS: Final = (None,) * 5
_AFTER_VALUE: Final = (*_NO_TEXTS, 0.0)


def to_trim(acks: Sequence[Ack]) -> list[tuple[int, int]]:
    """The ends, (id, claim) each, after which a job may have more runs than are kept."""
    return [
        (ack.id, ack.claim) for ack in acks if ack.claim > RUNS_KEPT and ack.outcome in _BOUNDED
    ]


class AckStatus(StrEnum):
    """Why an exchange did not confirm an acknowledgement."""

    BUSY = "busy"
    """The claim is still valid, and another transaction holds the row: send it again."""
    WRITTEN = "written"
    """This end is in the database already: an earlier answer was lost."""
    REFUSED = "refused"
    """The claim is no longer valid."""


class Exchange(NamedTuple):
    """The answer of an exchange: the acknowledgements written (the job's id, and whether
    the job is awaited), and the jobs claimed, in order of fetch.
    """

    acked: list[tuple[int, bool]]
    claims: list[ClaimedJob]

    @property
    def last(self) -> Position | None:
        """Where the last claim is."""
        if not self.claims:
            return None
        claim = self.claims[-1]
        return Position(claim.priority, claim.scheduled_at, claim.id)


class Exchanges(Protocol):
    """Exchange and announcements."""

    async def exchange(
        self,
        node: str,
        queue: str,
        free: int,
        acks: Sequence[Ack],
        *,
        after: Position | None = None,
        exclude: Sequence[str] = (),
        ahead: int | None = None,
    ) -> Exchange:
        """Write the ends in ``acks`` and claim at most ``free`` jobs of ``queue``, in one
        round trip. Jobs up to the position ``after`` and jobs of the tasks in
        ``exclude`` are left out. The last ``ahead`` of the ``free`` jobs wait in the node
        and have not started; one of them that has started before has no ``expires_at``.
        None is for a queue whose jobs never wait.

        A job is in ``acks`` at most once. The call waits for no row lock. It claims
        nothing for a node that is not registered. Raises ``DataRefused`` when a value
        cannot be stored.
        """
        ...

    async def ack_statuses(
        self, node: str, acks: Sequence[Ack]
    ) -> dict[tuple[int, int], AckStatus]:
        """Why these acknowledgements were not confirmed, by (id, claim)."""
        ...

    async def notify(self, signals: Sequence[Signal]) -> None:
        """Send announcements to other processes. They are hints, and may be lost."""
        ...
