"""What the services of a node do to jobs: stage, rescue, reconcile, expire, prune."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from elihu.job import Intent, JobState


class Rescued(NamedTuple):
    """A job whose attempt was ended as orphaned, or given back since its claim never
    arrived.
    """

    id: int
    queue: str
    state: JobState
    awaited: bool


class Expired(NamedTuple):
    """A job that did not start in time."""

    id: int
    queue: str
    awaited: bool


class PruneRule(NamedTuple):
    """Finished jobs in ``state`` older than ``age`` seconds, of one queue or task
    (None: any) but not of those excepted.
    """

    state: JobState
    age: float
    queue: str | None = None
    task: str | None = None
    except_queues: tuple[str, ...] = ()
    except_tasks: tuple[str, ...] = ()


class Maintenance(Protocol):
    """The part of ``Engine`` for maintenance."""

    async def stage(self, limit: int) -> dict[str, int]:
        """Make at most ``limit`` due jobs available, oldest first; the number staged
        for each queue that has available jobs now (0 for those that merely have some).
        """
        ...

    async def rescue(self, limit: int) -> list[Rescued]:
        """End at most ``limit`` attempts of nodes that are no more."""
        ...

    async def reconcile(
        self, node: str, held: Sequence[tuple[int, int]], older_than: float
    ) -> list[Rescued]:
        """Give back, not counted, what is executing in the node's name, was claimed
        more than ``older_than`` seconds ago and is not among the claims held.
        """
        ...

    async def intents(self, node: str) -> list[tuple[int, int, Intent]]:
        """(id, claim, wish) of the node's executing jobs of which something was asked."""
        ...

    async def lost_claims(
        self, node: str, held: Sequence[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        """Which of the claims held, (id, claim) each, are no longer the node's own."""
        ...

    async def expire(self, limit: int) -> list[Expired]:
        """Cancel at most ``limit`` jobs that are scheduled or available, never started
        and past the time to start.
        """
        ...

    async def record_progress(self, node: str, progress: Sequence[tuple[int, int, str]]) -> None:
        """Store progress, (id, claim, JSON text) each, under the guard."""
        ...

    async def prune(self, rule: PruneRule, limit: int) -> int:
        """Remove at most ``limit`` jobs that the rule covers, with their runs; how many
        went. An awaited job stays for an hour after its end.
        """
        ...
