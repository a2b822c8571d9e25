"""What a producer is to store, as it crosses to its process."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``jobs`` jobs whose keys begin with ``prefix``, in groups of ``together`` that
    are intended at once and enqueued at the same moment.

    ``how`` is ``single`` (one call a job), ``bulk`` (one call a group), ``unique``
    (each key by three calls at once) or ``transactions`` (each group in one of the
    producer's own). Each job lasts between the ``seconds``; the shares ``delayed`` and
    ``failing`` of them wait first, or fail their first attempt; ``pause`` is waited
    after each group, in seconds. Of the share ``timed`` the first attempt outlasts its
    time. ``awaited`` is another producer: it waits for the end of every job.
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

    def text(self) -> str:
        return json.dumps(asdict(self))


def plan_of(text: str) -> Plan:
    """What ``Plan.text`` made."""
    fields = json.loads(text)
    return Plan(**{**fields, "seconds": tuple(fields["seconds"])})
