"""The only module that reads this machine's clocks.

Due times and leases go by the database's clock. These clocks measure intervals, and
stamp what never reaches the database.
"""

import time
from datetime import UTC, datetime
from typing import Protocol


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
