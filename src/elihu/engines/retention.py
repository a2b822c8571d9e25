"""When finished jobs are removed: the same rules for both engines.

A job gets ``prune_at`` when an exchange ends it. The pruner reads jobs past ``prune_at``,
and finished jobs without one (ended in another way, or by SQL) past the shortest age of
their state. It removes those that are due and gives the others a later ``prune_at``. So
each job is read once or twice, and what a round reads does not grow with what is kept.
"""

import json
from collections.abc import Mapping
from typing import Final, NamedTuple

from elihu.config import RetentionConfig

AWAITED_KEPT: Final = 3_600.0
"""Seconds for which an awaited job is kept after its end."""
UNKNOWN_KEPT: Final = 86_400.0
"""Seconds until a finished job whose state has no age is read again."""


class FinishedJob(NamedTuple):
    """A finished job that may be due. ``age`` is in seconds since its end, ``kept`` in
    seconds until ``keep_until`` (None without one).
    """

    id: int
    state: str
    queue: str
    task: str
    age: float
    kept: float | None
    awaited: bool


class Retention:
    """The ages of a configuration, as statements take them."""

    def __init__(self, config: RetentionConfig) -> None:
        self._config = config
        self.ages: Mapping[str, float | None] = {
            state: config.states.get(state) for state in ("completed", "cancelled", "discarded")
        }
        special: list[tuple[str, str | None, str | None, float]] = [
            (state, None, task, age)
            for task, ages in config.tasks.items()
            for state, age in ages.items()
        ]
        special += [
            (state, queue, None, age)
            for queue, ages in config.queues.items()
            for state, age in ages.items()
        ]
        self.special = json.dumps(special) if special else None
        """[state, queue, task, age] each, those of tasks first; None without any."""
        self.shortest: Mapping[str, float | None] = {
            state: min(
                (found for found in (age, *_of_state(special, state)) if found is not None),
                default=None,
            )
            for state, age in self.ages.items()
        }
        self.rules = json.dumps([dict(sorted(self.ages.items())), sorted(special, key=repr)])
        """The rules as one text, to be compared."""

    def age(self, state: str, queue: str, task: str) -> float | None:
        """The age for a job: that of its task, else of its queue, else of its state."""
        tables = self._config.tasks.get(task, {}), self._config.queues.get(queue, {})
        for table in tables:
            if state in table:
                return table[state]
        return self.ages[state]

    def due_in(self, job: FinishedJob) -> float:
        """Seconds until the job is removed; 0 or less where it is due."""
        age = self.age(job.state, job.queue, job.task)
        left = UNKNOWN_KEPT if age is None else age - job.age
        if job.kept is not None:
            left = max(left, job.kept)
        return max(left, AWAITED_KEPT - job.age) if job.awaited else left


def _of_state(special: list[tuple[str, str | None, str | None, float]], state: str) -> list[float]:
    return [age for of, _, _, age in special if of == state]
