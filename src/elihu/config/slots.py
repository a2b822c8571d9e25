"""The slots of a queue on a node."""

from collections.abc import Mapping
from typing import Self

QueueSlots = Mapping[str, int | Mapping[str, int]]
"""The slots of each queue, or a table of ``limit`` and ``prefetch``."""


class Slots(int):
    """How many jobs of a queue a node runs at a time, and in ``prefetch`` how many more
    wait in the node.
    """

    prefetch: int

    def __new__(cls, limit: int, prefetch: int) -> Self:
        slots = super().__new__(cls, limit)
        slots.prefetch = prefetch
        return slots


def shown_slots(slots: int) -> str:
    """The slots as they are given on the command line: ``10``, or ``10+100``."""
    prefetch = prefetch_of(slots)
    return f"{slots:d}+{prefetch:d}" if prefetch else f"{slots:d}"


def prefetch_of(slots: int) -> int:
    """The ``prefetch`` of a queue's slots."""
    return slots.prefetch if isinstance(slots, Slots) else 0
