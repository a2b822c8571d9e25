"""How many attempts ended in which way."""

from dataclasses import dataclass

from elihu.job import JobState, RunOutcome
from elihu.telemetry.events import JobStopped


@dataclass(slots=True)
class Drained:
    """How many attempts ended in each way. ``failed`` are those that will be tried
    again.
    """

    completed: int = 0
    failed: int = 0
    discarded: int = 0
    snoozed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        """How many attempts ended."""
        return self.completed + self.failed + self.discarded + self.snoozed + self.cancelled

    def count(self, event: JobStopped) -> None:
        """Count the end of an attempt."""
        match event.outcome, event.state:
            case RunOutcome.COMPLETED, _:
                self.completed += 1
            case RunOutcome.SNOOZED, _:
                self.snoozed += 1
            case _, JobState.CANCELLED:
                self.cancelled += 1
            case _, JobState.DISCARDED:
                self.discarded += 1
            case RunOutcome.FAILED | RunOutcome.KILLED | RunOutcome.TIMED_OUT, _:
                self.failed += 1
