"""Roll-ups: how many attempts ended in each minute or hour."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, Literal, NamedTuple, Protocol

BUCKETS: Final = 14
"""Buckets of a histogram. Bucket N counts times below 4**N milliseconds that are in no
earlier one; the last one counts all longer times.
"""
NUMBERS: Final = (
    "jobs", "run_ms", "wait_ms",
    *(f"run_{bucket}" for bucket in range(BUCKETS)),
    *(f"wait_{bucket}" for bucket in range(BUCKETS)),
)  # fmt: skip
"""The columns of a roll-up that are sums, in the order of ``RollUp.numbers``."""

RollUpKey = Literal["all", "queue", "task"]


class RollUp(NamedTuple):
    """What one writer counted in the minute (an epoch second) of a queue, a task and an
    outcome. ``numbers`` are in the order of ``NUMBERS``.
    """

    minute: int
    queue: str
    task: str
    outcome: str
    numbers: tuple[int, ...]


class RollUpRow(NamedTuple):
    """Sums from ``at`` on, of one key (None: of all) and outcome."""

    at: datetime
    key: str | None
    outcome: str
    numbers: tuple[int, ...]


class RollUps(Protocol):
    """Roll-ups."""

    async def write_rollups(self, writer: str, rows: Sequence[RollUp]) -> None:
        """Replace the writer's rows of these minutes."""
        ...

    async def rollups(
        self,
        since: datetime,
        until: datetime,
        step: int,
        *,
        by: RollUpKey,
        queue: str | None = None,
        task: str | None = None,
        histograms: bool = True,
        limit: int,
    ) -> list[RollUpRow]:
        """Sums in steps of ``step`` seconds, oldest first, at most ``limit`` rows. Without
        ``histograms`` their columns are left out.
        """
        ...

    async def thin_rollups(self, minutes: float, hours: float, limit: int) -> int:
        """Make hours of one hour's minutes that are older than ``minutes`` seconds, and
        remove at most ``limit`` hours older than ``hours`` seconds. Returns how many rows
        it removed.
        """
        ...
