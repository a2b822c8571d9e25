"""What becomes of a run while others of its command in its environment have not ended."""

from enum import Enum
from typing import Final, NamedTuple

from elihu.commands.models import Overlap


class Step(Enum):
    """What is done with a new run."""

    START = "start"
    WAIT = "wait"
    """It waits until no other is active."""
    SKIP = "skip"
    REPLACE = "replace"
    """Those that have not ended are ended, and it waits for that."""


class Load(NamedTuple):
    """The runs of a command in an environment that have not ended: ``active`` run or are
    in the queue, ``waiting`` wait for those.
    """

    active: int = 0
    waiting: int = 0


class Decision(NamedTuple):
    """A step, and the reason of a skip."""

    step: Step
    reason: str | None = None


NOT_ENDED: Final = "an earlier run has not ended"
ONE_WAITS: Final = "an earlier run has not ended, and one waits for it"
_START: Final = Decision(Step.START)
_WAIT: Final = Decision(Step.WAIT)


def decide(policy: Overlap, load: Load, *, forced: bool = False) -> Decision:
    """The step for a new run. A forced one always starts."""
    if forced or policy == "allow" or load == Load():
        return _START
    match policy:
        case "skip":
            return Decision(Step.SKIP, NOT_ENDED)
        case "queue_one":
            return Decision(Step.SKIP, ONE_WAITS) if load.waiting else _WAIT
        case "queue_all":
            return _WAIT
        case _:
            return Decision(Step.REPLACE)
