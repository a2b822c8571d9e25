"""Overrides of queue settings, and queue loads."""

from elihu.engines.postgres.session import Session
from elihu.engines.protocol import QueueLoad, QueueOverride


async def queue_overrides(session: Session, node: str | None) -> list[QueueOverride]:
    return [
        QueueOverride(row["queue"], row["node"], row["served"], row["slots"], row["paused"])
        for row in await session.fetch("queue_overrides", node)
    ]


async def set_queue(session: Session, rule: QueueOverride) -> bool:
    values = rule.queue, rule.served, rule.limit, rule.paused
    if rule.node is None:
        return await session.fetch_value("set_queue", *values, waits=True) is not None
    return (
        await session.fetch_value("set_queue", *values, rule.node, part="of_node", waits=True)
        is not None
    )


async def queue_loads(session: Session, most: int) -> list[QueueLoad]:
    return [QueueLoad(*row) for row in await session.fetch("queue_loads", most)]
