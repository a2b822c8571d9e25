"""The verbs of the jobs API."""

from typing import NamedTuple, Protocol

from elihu.job import Job, JobChanges, JobFilter, Run


class BulkResult(NamedTuple):
    """What a bulk verb did: how many jobs changed, the queues that have available jobs
    by it, the nodes that must look, the awaited jobs that ended or went by it.
    """

    changed: int
    queues: frozenset[str]
    nodes: frozenset[str]
    ended: frozenset[int] = frozenset()


class Jobs(Protocol):
    """The part of ``Engine`` for jobs."""

    async def get(self, job_id: int) -> Job | None: ...

    async def get_by_identifier(self, identifier: str) -> Job | None:
        """The job that has this identifier."""
        ...

    async def find(self, where: JobFilter, after: int | None, limit: int) -> list[Job]:
        """Newest first; ``after`` is the last id of the page before."""
        ...

    async def count(self, where: JobFilter) -> int: ...

    async def counts(self) -> dict[str, dict[str, int]]:
        """queue → state → number."""
        ...

    async def runs(self, job_id: int) -> list[Run]:
        """All attempts by claim, a plainly completed or a running one read from the job
        row. Empty for an unknown job.
        """
        ...

    async def cancel(self, where: JobFilter) -> BulkResult:
        """Cancel what waits; mark what executes with ``Intent.CANCEL``."""
        ...

    async def kill(self, where: JobFilter) -> BulkResult:
        """Mark what executes with ``Intent.KILL``, where nothing was asked of it yet."""
        ...

    async def stop(self, job_id: int) -> BulkResult:
        """Take a running job from its node and give it back, not counted. Raises
        ``JobNotFound`` and ``InvalidTransition``.
        """
        ...

    async def retry(self, where: JobFilter) -> BulkResult:
        """Make available, from any state but available and executing. Raises
        ``UniqueConflict``, and changes nothing of the batch, when another job holds the
        key.
        """
        ...

    async def delete(self, where: JobFilter) -> BulkResult:
        """Remove jobs that are not executing, with their runs."""
        ...

    async def hold(self, where: JobFilter) -> BulkResult: ...

    async def release(self, where: JobFilter) -> BulkResult: ...

    async def update(self, job_id: int, changes: JobChanges) -> tuple[Job, BulkResult]:
        """Change an unfinished job that is not executing. Raises ``JobNotFound`` and
        ``InvalidTransition``.
        """
        ...

    async def position(self, job_id: int) -> int | None:
        """1 for the next to be fetched of its queue; None unless available. Raises
        ``JobNotFound``.
        """
        ...
