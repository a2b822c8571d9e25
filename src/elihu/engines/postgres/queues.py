"""What people say of queues, and what is in them."""

from elihu.engines.base import QueueLoad, QueueRule
from elihu.engines.postgres.calls import Calls


class Queues(Calls):
    """The verbs of the queues API."""

    async def queue_rules(self, node: str | None = None) -> list[QueueRule]:
        """What was said to every node, and to ``node`` alone, or where None is given to each."""
        rows = await self._fetch("queue_rules", self._sql["queue_rules"], node)
        return [QueueRule(row["queue"], row["node"], row["served"], row["slots"], row["paused"]) for row in rows]

    async def set_queue(self, rule: QueueRule) -> bool:
        """Say what the rule says; False where there is no such node."""
        said = rule.queue, rule.served, rule.limit, rule.paused
        if rule.node is None:
            return await self._fetch_value("set_queue", self._sql["queue_rule"], *said) is not None
        return await self._fetch_value("set_queue", self._sql["queue_rule_of_node"], *said, rule.node) is not None

    async def queue_loads(self) -> list[QueueLoad]:
        """The jobs available and executing, by queue, and of these by node."""
        return [QueueLoad(row["queue"], row["node"], row["jobs"]) for row in await self._fetch("queue_loads", self._sql["queue_loads"])]
