"""The only module that reads this machine's clocks.

Due times and leases go by the database's clock. These clocks measure intervals, and
stamp what never reaches the database.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

TEST_FILES: Final[dict[Path, Callable[[], float]]] = {}
"""Databases of SQLite whose clock a test moves: what gives the Unix time in each."""
TEST_SCHEMAS: Final[set[str]] = set()
"""Schemas of PostgreSQL whose clock a test moves: each has functions of its own in place
of ``now`` and its like.
"""


class Clock(Protocol):
    """The clocks that the runtime needs."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back. Only differences have a meaning."""
        ...

    def now(self) -> datetime:
        """The current time in UTC."""
        ...


class SystemClock:
    """This machine's clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)
