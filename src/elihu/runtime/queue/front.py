"""Where the next fetch of a queue begins.

A fetch begins at the front of the queue. Entries of jobs that are done stay in the
database's index while a snapshot is held open, and each fetch from the front reads all
of them. So where a fetch from behind the last claimed job is much faster, the front is
read at most once a second.
"""

from typing import Final

from elihu.engines.protocol import Position

INTERVAL: Final = 1.0
"""Seconds between two fetches from a slow front."""
NOTICEABLE: Final = 0.003
"""Seconds by which a fetch from behind must be faster."""
FACTOR: Final = 2.0
"""How many times faster it must be where acknowledgements are written too."""
RECHECK: Final = 10.0
"""Seconds until fetches are compared again."""


class Front:
    """Chooses between the front and the position of the last claim. Times are of one
    monotonic clock.
    """

    def __init__(self) -> None:
        self._reached: Position | None = None
        self._durations: dict[bool, tuple[float, float]] = {}
        self._read_at = float("-inf")
        self._compare_at = float("-inf")
        self._slow_until = float("-inf")
        self._not_faster = 0

    def begin(self, now: float, *, acks: bool) -> Position | None:
        """The position to begin behind; None for the front."""
        if self._reached is None or now >= self._read_at + INTERVAL:
            return None
        if now < self._slow_until:
            return self._reached
        compare = now >= self._compare_at and self._duration(acks) > NOTICEABLE
        return self._reached if compare else None

    def due_in(self, now: float) -> float:
        """Seconds until the front may be read again."""
        return max(self._read_at + INTERVAL - now, 0.0)

    def fetched(
        self, after: Position | None, last: Position | None, now: float, took: float, *, acks: bool
    ) -> None:
        """Note a fetch that began behind ``after``, took so many seconds, and whose last
        job is at ``last``. Fetches with and without acknowledgements are not compared.
        """
        if after is None:
            self._read_at = now
            self._durations[acks] = (self._durations.get(acks, (0.0, 0.0))[1], took)
        elif now >= self._slow_until and acks in self._durations:
            front = self._duration(acks)
            if front - took > NOTICEABLE and (not acks or front > FACTOR * took):
                self._slow_until = self._compare_at = now + RECHECK
                self._not_faster = 0
            else:  # of two, since a busy machine may have held up one
                self._not_faster = (self._not_faster + 1) % 2
                if not self._not_faster:
                    self._compare_at = now + RECHECK
        if last is not None:
            self._reached = last

    def _duration(self, acks: bool) -> float:
        """The quicker of the last two fetches from the front: the first of a connection
        is slow, and so is one that a busy machine held up.
        """
        return min(self._durations.get(acks, (0.0, 0.0)))
