"""How an attempt ends: the one table of what each end makes of its job.

| end | attempts left | none left | counted | orphans |
| --- | --- | --- | --- | --- |
| completed | completed | completed | yes | 0 |
| failed | retryable, backoff | discarded | yes | 0 |
| discarded | discarded | discarded | yes | 0 |
| killed | retryable, backoff | discarded | yes | 0 |
| timed_out | retryable, backoff | discarded | yes | 0 |
| cancelled | cancelled | cancelled | yes | 0 |
| snoozed | scheduled, given | scheduled, given | no | 0 |
| returned | available | available | no | kept |
| postponed | scheduled, given | scheduled, given | no | kept |
| unfetched | available | available | no | kept |
| stopped | available | available | no | 0 |
| orphaned | see ``after_orphaning`` | discarded | yes | + 1 |

When a cancellation of the job was requested, every row that leaves the job unfinished
gives ``cancelled`` in place of its state. The runtime reads the table; the statements
of both engines are tested against it. Pure: no database, no clock.
"""

from enum import StrEnum
from typing import Final, NamedTuple

from elihu.job import FINISHED, JobState, RunOutcome

CANCELLED_REASON: Final = "cancelled"
EXPIRED_REASON: Final = "expired"
ORPHANED_REASON: Final = "orphaned"

MAX_ORPHANS: Final = 3
"""How many attempts in a row may be orphaned where a job does not say."""


class End(StrEnum):
    """What happened to an attempt."""

    COMPLETED = "completed"
    FAILED = "failed"
    """It raised an error after which the job is tried again."""
    DISCARDED = "discarded"
    """It raised an error after which the job is not tried again, or asked for this."""
    KILLED = "killed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    SNOOZED = "snoozed"
    RETURNED = "returned"
    """The node gives it back at once."""
    POSTPONED = "postponed"
    """The node gives it back for later."""
    UNFETCHED = "unfetched"
    """The answer to its fetch was lost: the node never ran it."""
    STOPPED = "stopped"
    """The job was taken from the node by ``jobs.stop``."""
    ORPHANED = "orphaned"
    """Its node died."""


class Delay(StrEnum):
    """When the job is due again."""

    UNCHANGED = "unchanged"
    """``scheduled_at`` stays as it is."""
    BACKOFF = "backoff"
    """After the task's backoff."""
    GIVEN = "given"
    """After the delay that the end itself names."""
    ORPHAN = "orphan"
    """17 to 34 seconds from now."""


class Orphans(StrEnum):
    """What becomes of the count of orphaned attempts in a row."""

    RESET = "reset"
    KEPT = "kept"
    RAISED = "raised"


class Next(NamedTuple):
    """What an end makes of its job. ``outcome`` is the run's; ``counted`` is false
    where the attempt is subtracted again; ``reason`` is the job's where the end does
    not bring one.
    """

    state: JobState
    outcome: RunOutcome
    delay: Delay = Delay.UNCHANGED
    counted: bool = True
    orphans: Orphans = Orphans.RESET
    reason: str | None = None

    @property
    def finished(self) -> bool:
        """Whether the job has ended: callers that wait for it are informed."""
        return self.state in FINISHED

    @property
    def announced(self) -> bool:
        """Whether the job's queue is announced, since the job can be fetched at once."""
        return self.state is JobState.AVAILABLE


_ATTEMPTS_LEFT: Final = {
    End.COMPLETED: Next(JobState.COMPLETED, RunOutcome.COMPLETED),
    End.FAILED: Next(JobState.RETRYABLE, RunOutcome.FAILED, Delay.BACKOFF),
    End.DISCARDED: Next(JobState.DISCARDED, RunOutcome.FAILED),
    End.KILLED: Next(JobState.RETRYABLE, RunOutcome.KILLED, Delay.BACKOFF),
    End.TIMED_OUT: Next(JobState.RETRYABLE, RunOutcome.TIMED_OUT, Delay.BACKOFF),
    End.CANCELLED: Next(JobState.CANCELLED, RunOutcome.CANCELLED),
    End.SNOOZED: Next(JobState.SCHEDULED, RunOutcome.SNOOZED, Delay.GIVEN, counted=False),
    End.RETURNED: Next(
        JobState.AVAILABLE, RunOutcome.RETURNED, counted=False, orphans=Orphans.KEPT
    ),
    End.POSTPONED: Next(
        JobState.SCHEDULED,
        RunOutcome.RETURNED,
        Delay.GIVEN,
        counted=False,
        orphans=Orphans.KEPT,
    ),
    End.UNFETCHED: Next(
        JobState.AVAILABLE, RunOutcome.RETURNED, counted=False, orphans=Orphans.KEPT
    ),
    End.STOPPED: Next(JobState.AVAILABLE, RunOutcome.STOPPED, counted=False),
}

_NONE_LEFT: Final = _ATTEMPTS_LEFT | {
    end: Next(JobState.DISCARDED, _ATTEMPTS_LEFT[end].outcome)
    for end in (End.FAILED, End.KILLED, End.TIMED_OUT)
}


def after(
    end: End, *, attempts_left: bool, cancel: bool = False, on_error_pending: bool = False
) -> Next:
    """What any end but ``ORPHANED`` makes of its job; ``cancel`` where a cancellation
    of the job was requested. ``on_error_pending`` is true for a job whose ``on_error``
    has not run: in place of being discarded it gets one more attempt for that alone.
    """
    following = (_ATTEMPTS_LEFT if attempts_left else _NONE_LEFT)[end]
    if on_error_pending and following.state is JobState.DISCARDED:
        following = following._replace(state=JobState.AVAILABLE)
    return _unless_cancelled(following, cancel)


def after_orphaning(
    *,
    attempts_left: bool,
    orphans: int,
    max_orphans: int = MAX_ORPHANS,
    cancel: bool = False,
    on_error_pending: bool = False,
) -> Next:
    """What the death of the node makes of the job. ``orphans`` are the orphaned
    attempts in a row before this one; ``attempts_left`` does not count an attempt whose
    transaction was rolled back. ``on_error_pending`` is true for a job whose
    ``on_error`` has not run: it gets one more attempt for that alone.

    The first orphaning makes the job available, the second delays it, and the third in
    a row (``max_orphans``) or the last attempt discards it.
    """
    spent = not attempts_left or orphans + 1 >= max_orphans
    if spent and not on_error_pending:
        following = _orphaned(JobState.DISCARDED)._replace(reason=ORPHANED_REASON)
    elif spent or orphans == 0:
        following = _orphaned(JobState.AVAILABLE)
    else:
        following = _orphaned(JobState.RETRYABLE)._replace(delay=Delay.ORPHAN)
    if cancel:
        return _orphaned(JobState.CANCELLED)._replace(reason=CANCELLED_REASON)
    return following


def _orphaned(state: JobState) -> Next:
    return Next(state, RunOutcome.ORPHANED, orphans=Orphans.RAISED)


def _unless_cancelled(following: Next, cancel: bool) -> Next:
    if not cancel or following.finished:
        return following
    return following._replace(
        state=JobState.CANCELLED, delay=Delay.UNCHANGED, reason=CANCELLED_REASON
    )
