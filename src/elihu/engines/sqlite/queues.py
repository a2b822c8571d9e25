"""Overrides of queue settings, and queue loads."""

from typing import Final

from elihu.engines.protocol import QueueLoad, QueueOverride
from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.session import Session

_OVERRIDES: Final = statement("queue_overrides")
_SET_QUEUE: Final = statement("set_queue")
_SET_QUEUE_ENDS: Final = statement("set_queue_ends")
_SET_QUEUE_OF_NODE: Final = statement("set_queue_of_node")
_LOADS: Final = statement("queue_loads")


def queue_overrides(session: Session, node: str | None) -> list[QueueOverride]:
    found = session.rows(_OVERRIDES, {"node": node})
    return [
        QueueOverride(queue, of, _bool(served), limit, _bool(paused))
        for queue, of, served, limit, paused in found
    ]


def set_queue(session: Session, rule: QueueOverride) -> bool:
    values = rule._asdict()
    with session.write():
        if rule.node is not None:
            return session.execute(_SET_QUEUE_OF_NODE, values).rowcount > 0
        session.execute(_SET_QUEUE, values)
        session.execute(_SET_QUEUE_ENDS, values)
    return True


def queue_loads(session: Session, most: int) -> list[QueueLoad]:
    now = session.now()
    return [
        QueueLoad(queue, node, jobs, None if since is None else now - since)
        for queue, node, jobs, since in session.rows(_LOADS, {"most": most})
    ]


def _bool(value: int | None) -> bool | None:
    return None if value is None else bool(value)
