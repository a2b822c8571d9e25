"""The verbs of the jobs API."""

from typing import NamedTuple, Protocol

from elihu.job import Job, JobChanges, JobFilter, JobPage, Run


class BulkResult(NamedTuple):
    """What a bulk verb did: the number of jobs changed, the queues that have new
    available jobs, the nodes that must read the intents of their jobs, and the awaited
    jobs that ended or were deleted.
    """

    changed: int
    queues: frozenset[str]
    nodes: frozenset[str]
    ended: frozenset[int] = frozenset()


class Jobs(Protocol):
    """The jobs API. Verbs that take a filter work in bounded pieces, each in a transaction
    with a deadline of its own.
    """

    async def get(self, job_id: int) -> Job | None:
        """The job with this id."""
        ...

    async def get_by_identifier(self, identifier: str) -> Job | None:
        """The job with this identifier."""
        ...

    async def find(self, where: JobFilter, after: int | None, limit: int) -> JobPage:
        """At most ``limit`` jobs below the id ``after``, newest first. A page ends early
        when its rows have more than ``PAGE_TEXT`` characters (``engines.rows``).
        """
        ...

    async def count(self, where: JobFilter) -> int:
        """The number of jobs."""
        ...

    async def counts(self) -> dict[str, dict[str, int]]:
        """The number of jobs as queue → state → number."""
        ...

    async def runs(self, job_id: int, after: int = 0, limit: int = 1_000) -> list[Run]:
        """At most ``limit`` attempts after the claim ``after``, by claim. A plainly
        completed and a running attempt are read from the job row. Empty for an unknown
        job.
        """
        ...

    async def cancel(self, where: JobFilter) -> BulkResult:
        """Cancel waiting jobs, and mark executing ones with ``Intent.CANCEL``."""
        ...

    async def kill(self, where: JobFilter) -> BulkResult:
        """Mark executing jobs that have no intent with ``Intent.KILL``."""
        ...

    async def stop(self, job_id: int) -> BulkResult:
        """Take an executing job from its node and make it available. The attempt does not
        count. Raises ``JobNotFound`` and ``InvalidTransition``.
        """
        ...

    async def retry(self, where: JobFilter) -> BulkResult:
        """Make jobs available, from any state but available and executing. Raises
        ``UniqueConflict``, and changes nothing of the piece, when another job holds the
        unique key.
        """
        ...

    async def delete(self, where: JobFilter, expected: Job | None = None) -> BulkResult:
        """Remove jobs that are not executing, with their runs. With ``expected`` only this
        one. Raises ``JobNotFound`` then, and ``ChangedMeanwhile`` where it differs.
        """
        ...

    async def hold(self, where: JobFilter) -> BulkResult:
        """Suspend scheduled, available and retryable jobs."""
        ...

    async def release(self, where: JobFilter) -> BulkResult:
        """Make suspended jobs available or scheduled, by their time."""
        ...

    async def update(
        self, job_id: int, changes: JobChanges, expected: Job | None = None
    ) -> tuple[Job, BulkResult]:
        """Change an unfinished job that is not executing. Raises ``JobNotFound``,
        ``InvalidTransition`` and, where it differs from ``expected``,
        ``ChangedMeanwhile``.
        """
        ...

    async def position(self, job_id: int) -> int | None:
        """The place of an available job in the order of fetch of its queue, from 1. None
        in any other state. Raises ``JobNotFound``.
        """
        ...
