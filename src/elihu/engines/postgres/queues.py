"""What people say of queues, and what is in them."""

from elihu.engines.postgres.session import Calls
from elihu.engines.protocol import QueueLoad, QueueOverride


class Queues(Calls):
    """The verbs of the queues API."""

    async def queue_overrides(self, node: str | None = None) -> list[QueueOverride]:
        """What was said to every node, and to ``node`` alone, or where None is given to
        each.
        """
        rows = await self._fetch("queue_overrides", self._sql["queue_overrides"], node)
        return [
            QueueOverride(row["queue"], row["node"], row["served"], row["slots"], row["paused"])
            for row in rows
        ]

    async def set_queue(self, rule: QueueOverride) -> bool:
        """Say what the rule says; False where there is no such node."""
        said = rule.queue, rule.served, rule.limit, rule.paused
        if rule.node is None:
            return (
                await self._fetch_value("set_queue", self._sql["queue_override"], *said) is not None
            )
        return (
            await self._fetch_value(
                "set_queue", self._sql["queue_override_of_node"], *said, rule.node
            )
            is not None
        )

    async def queue_loads(self) -> list[QueueLoad]:
        """The jobs available and executing, by queue, and of these by node."""
        return [
            QueueLoad(row["queue"], row["node"], row["jobs"])
            for row in await self._fetch("queue_loads", self._sql["queue_loads"])
        ]
