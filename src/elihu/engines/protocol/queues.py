"""Overrides of queue settings, and queue loads."""

from typing import NamedTuple, Protocol


class QueueOverride(NamedTuple):
    """Settings of a queue on one node, or with ``node`` None on every node: whether it
    is served, its number of slots, and whether it is paused. None leaves the node's
    configuration.
    """

    queue: str
    node: str | None = None
    served: bool | None = None
    limit: int | None = None
    paused: bool | None = None


class QueueLoad(NamedTuple):
    """The number of jobs of a queue that a node executes, or with ``node`` None the
    number available and the seconds for which the one that is due longest has waited.
    """

    queue: str
    node: str | None
    jobs: int
    longest_wait: float | None = None


class Queues(Protocol):
    """The queues API."""

    async def queue_overrides(self, node: str | None = None) -> list[QueueOverride]:
        """The overrides for every node, and those for ``node`` alone (None: for each
        node), by queue. The override for every node comes first.
        """
        ...

    async def set_queue(self, rule: QueueOverride) -> bool:
        """Write the settings of an override that are not None. An override for every node
        clears the same settings of single nodes. False where there is no such node.
        """
        ...

    async def queue_loads(self, most: int) -> list[QueueLoad]:
        """The available jobs by queue, each counted up to ``most``, and the executing ones
        by queue and node.
        """
        ...
