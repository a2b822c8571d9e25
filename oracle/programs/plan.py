"""What an enqueuer is to store, as it passes to its process."""

import json
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``jobs`` jobs whose keys begin with ``prefix``, in groups of ``together`` that
    are enqueued at the same moment.

    ``how``: ``single`` is one call a job, ``bulk`` one call a group, ``unique`` three
    calls a key at once, ``transactions`` one transaction of the enqueuer's a group,
    ``awaited`` a process that waits for the end of every job, ``records`` a record and
    the job of a trigger a key. ``seconds`` is the range
    of durations. ``delayed`` and ``failing`` are the shares of jobs that wait first, or
    fail their first attempt; ``timed`` is the share whose first attempt outlasts its
    timeout. ``pause`` follows each group, in seconds.
    """

    jobs: int
    prefix: str = "a"
    how: str = "single"
    together: int = 50
    task: str = "oracle.wait"
    seconds: tuple[float, float] = (0.0, 0.01)
    delayed: float = 0.0
    failing: float = 0.0
    timed: float = 0.0
    pause: float = 0.0
    seed: int = 0

    def rng(self) -> random.Random:
        """What is drawn is the same for the same seed and prefix."""
        return random.Random(f"{self.seed}{self.prefix}")

    def groups(self) -> Iterator[list[str]]:
        """The keys of each group."""
        for first in range(0, self.jobs, self.together):
            last = min(first + self.together, self.jobs)
            yield [f"{self.prefix}{number}" for number in range(first, last)]

    def text(self) -> str:
        return json.dumps(asdict(self))


def plan_of(text: str) -> Plan:
    """Read what ``Plan.text`` made."""
    fields = json.loads(text)
    return Plan(**{**fields, "seconds": tuple(fields["seconds"])})
