"""The verbs of a node's services: stage, rescue, reconcile, expire, prune."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from elihu.config import RetentionConfig
from elihu.job import Intent, JobState


class Staged(NamedTuple):
    """The number of jobs that a call of ``stage`` made available in each queue, and
    whether a job is past its expiry; None where that was not looked up.
    """

    queues: dict[str, int]
    expired: bool | None


class Rescued(NamedTuple):
    """A job whose attempt ended as orphaned, or was returned because its node never
    received the claim.
    """

    id: int
    queue: str
    state: JobState
    awaited: bool


class Expired(NamedTuple):
    """A job that was cancelled because it did not start in time."""

    id: int
    queue: str
    awaited: bool


class Pruned(NamedTuple):
    """How many jobs a call of ``prune`` removed, and how many it left for later."""

    removed: int
    deferred: int


class Maintenance(Protocol):
    """The verbs of services."""

    async def stage(self, limit: int, *, ready: bool = True) -> Staged:
        """Make at most ``limit`` due jobs available, oldest first. With ``ready`` the
        result also has 0 for each other queue that has available jobs, and ``expired``.
        """
        ...

    async def rescue(self, limit: int) -> list[Rescued]:
        """End at most ``limit`` attempts of nodes that are not registered. One bad row does
        not stop the others.
        """
        ...

    async def reconcile(
        self, node: str, held: Sequence[tuple[int, int]], older_than: float
    ) -> list[Rescued]:
        """Return the jobs that execute in the node's name, were claimed more than
        ``older_than`` seconds ago and are not among the claims in ``held``. Their
        attempts do not count.
        """
        ...

    async def intents(self, node: str) -> list[tuple[int, int, Intent]]:
        """The intents on the node's executing jobs, as (id, claim, intent)."""
        ...

    async def lost_claims(
        self, node: str, held: Sequence[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        """The claims in ``held``, (id, claim) each, that are no longer the node's."""
        ...

    async def expire(self, limit: int) -> list[Expired]:
        """Cancel at most ``limit`` jobs that are scheduled or available, never started
        and past ``expires_at``.
        """
        ...

    async def record_starts(self, node: str, starts: Sequence[tuple[int, int, float]]) -> list[int]:
        """Record under the guard that jobs which waited in the node have started, as (id,
        claim, seconds from the claim to the start); not none. Returns the ids written.
        """
        ...

    async def record_progress(self, node: str, progress: Sequence[tuple[int, int, str]]) -> None:
        """Store progress under the guard, as (id, claim, JSON text)."""
        ...

    async def prune(self, retention: RetentionConfig, limit: int) -> Pruned:
        """Read at most ``limit`` finished jobs that may be due, and remove those that are,
        with their runs. No job goes before ``keep_until``, and an awaited one not within
        an hour of its end. The jobs that are not due are not read again before they are.
        """
        ...

    async def review_retention(self, retention: RetentionConfig, limit: int) -> bool:
        """After a change of the retention, make at most ``limit`` jobs ready to be read
        by ``prune`` again. True while there are more.
        """
        ...
