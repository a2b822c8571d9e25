"""A clock that a test moves: the time of the test's database."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from elihu.errors import InvalidOption


class FakeClock:
    """The clock of the test's database: what is due, when jobs start and end, and which
    cron ticks have passed.

    It shows the real time until ``advance`` or ``move_to`` is called. From then on it
    stands still. ``time.time`` and ``datetime.now`` of the code under test are not
    changed.
    """

    def __init__(self, write: Callable[[datetime], Any]) -> None:
        self._write = write
        self._at: datetime | None = None

    def now(self) -> datetime:
        """The time in UTC."""
        return self._at or datetime.now(UTC)

    def unix(self) -> float:
        """The time in seconds since 1970."""
        return time.time() if self._at is None else self._at.timestamp()

    def advance(self, seconds: float | timedelta) -> None:
        """Move the clock forward by so many seconds. Raises ``InvalidOption``."""
        step = seconds.total_seconds() if isinstance(seconds, timedelta) else seconds
        if isinstance(step, bool) or not isinstance(step, int | float) or not step >= 0:
            raise InvalidOption(
                f"advance(): expected a number of seconds of at least 0, got {seconds!r}"
            )
        self._set(self.now() + timedelta(seconds=step))

    def move_to(self, moment: datetime) -> None:
        """Set the clock to a time, earlier or later. Raises ``InvalidOption`` for a
        time without a UTC offset.
        """
        if not isinstance(moment, datetime) or moment.utcoffset() is None:
            raise InvalidOption(f"move_to(): expected a datetime with a UTC offset, got {moment!r}")
        self._set(moment.astimezone(UTC))

    def _set(self, moment: datetime) -> None:
        self._at = moment
        self._write(moment)
