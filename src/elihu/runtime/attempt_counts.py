"""How many attempts of this node ended in each minute, and how long they took.

The node's loop counts a batch at a time; the writer of roll-ups takes what changed. A
minute is that of the database's clock: of the start that it wrote, and the time since.
"""

import threading
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Final, NamedTuple
from uuid import uuid4

from elihu.engines.protocol import ClaimedJob
from elihu.engines.protocol.rollups import BUCKETS, NUMBERS, RollUp
from elihu.job import RunOutcome

MINUTE: Final = 60
KEPT: Final = 2 * MINUTE
"""Seconds for which a written minute can still grow."""
MOST_MINUTES: Final = 120
"""Minutes that are kept while they cannot be written."""
_LAST: Final = BUCKETS - 1
_RUN: Final = 3
_WAIT: Final = _RUN + BUCKETS
_NONE: Final = [0] * len(NUMBERS)
_MILLISECOND: Final = timedelta(milliseconds=1)
_BUCKET: Final = [min((bits + 1) >> 1, _LAST) for bits in range(128)]
"""The bucket of a number of milliseconds, by its length in bits."""


class EndedAttempt(NamedTuple):
    """An attempt that ended. ``duration`` is in seconds."""

    claim: ClaimedJob
    task: str
    outcome: RunOutcome
    duration: float


class AttemptCounts:
    """Counts by minute, queue, task and outcome, under the id ``writer``. May be used by
    several threads.
    """

    def __init__(self) -> None:
        self.writer = str(uuid4())
        self._lock = threading.Lock()
        self._minutes: dict[int, dict[tuple[str, str, str], list[int]]] = {}
        self._changed: set[int] = set()

    def add(self, queue: str, ended: Sequence[EndedAttempt]) -> None:
        """Count attempts that ended at about the same time; not none."""
        first = ended[0]
        minute = int(first.claim.started_at.timestamp() + first.duration) // MINUTE * MINUTE
        with self._lock:
            rows = self._minutes.get(minute)
            if rows is None:
                rows = self._begin(minute)
            self._changed.add(minute)
            before: tuple[object, object] | None = None
            numbers: list[int] = []
            for claim, task, outcome, duration in ended:
                if before is None or task is not before[0] or outcome is not before[1]:
                    before = task, outcome
                    key = (queue, task, outcome)
                    if (found := rows.get(key)) is None:
                        found = rows[key] = _NONE.copy()
                    numbers = found
                run = int(duration * 1_000)
                wait = (claim.started_at - claim.scheduled_at) // _MILLISECOND
                wait = max(wait, 0)
                numbers[0] += 1
                numbers[1] += run
                numbers[2] += wait
                numbers[_RUN + _BUCKET[run.bit_length()]] += 1
                numbers[_WAIT + _BUCKET[wait.bit_length()]] += 1

    def take(self) -> list[RollUp]:
        """The rows of all minutes that have changed since the last call."""
        with self._lock:
            changed, self._changed = self._changed, set()
            return [
                RollUp(minute, *key, tuple(numbers))
                for minute in sorted(changed)
                for key, numbers in self._minutes[minute].items()
            ]

    def put_back(self, rows: Iterable[RollUp]) -> None:
        """These rows were not written."""
        with self._lock:
            self._changed |= {row.minute for row in rows} & self._minutes.keys()

    def _begin(self, minute: int) -> dict[tuple[str, str, str], list[int]]:
        newest = max(minute, *self._minutes) if self._minutes else minute
        for old in sorted(self._minutes):
            written = old not in self._changed and old < newest - KEPT
            if written or len(self._minutes) >= MOST_MINUTES:
                del self._minutes[old]
                self._changed.discard(old)
        rows = self._minutes[minute] = {}
        return rows
