"""The states of a job by their short names."""

from elihu import (
    JobState,
)

SUSPENDED, SCHEDULED, AVAILABLE, EXECUTING, RETRYABLE, COMPLETED, DISCARDED, CANCELLED = JobState
