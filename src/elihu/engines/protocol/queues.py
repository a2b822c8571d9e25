"""Overrides of queue settings, and queue loads."""

from typing import NamedTuple, Protocol


class QueueOverride(NamedTuple):
    """What was said of a queue to one node, or (``node`` None) to every node: whether
    it is served, the limit of its jobs at a time, and whether it is paused. What is
    None was not said.
    """

    queue: str
    node: str | None = None
    served: bool | None = None
    limit: int | None = None
    paused: bool | None = None


class QueueLoad(NamedTuple):
    """How many jobs of a queue a node executes, or (``node`` None) how many are
    available.
    """

    queue: str
    node: str | None
    jobs: int


class Queues(Protocol):
    """The part of ``Engine`` for queues."""

    async def queue_overrides(self, node: str | None = None) -> list[QueueOverride]:
        """What was said to every node, and to ``node`` alone, or where None is given to
        each; by queue, that to every node first.
        """
        ...

    async def set_queue(self, rule: QueueOverride) -> bool:
        """Say what the rule says, and leave what it does not. Said to every node it
        ends what was said of the same to single ones. False where there is no such
        node.
        """
        ...

    async def queue_loads(self) -> list[QueueLoad]:
        """The jobs available and executing, by queue, and of these by node."""
        ...
