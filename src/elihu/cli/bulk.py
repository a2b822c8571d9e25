"""Applies a verb of ``app.jobs`` to ids and filters, and finds out what it did."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from elihu.app import Elihu
from elihu.job import INCOMPLETE, JobState

SHOWN: Final = 20
"""So many ids are explained."""

_WAITING = INCOMPLETE - {JobState.EXECUTING}


@dataclass(frozen=True, slots=True)
class Steered:
    """How many jobs changed, how many running ones were told to end, and why ids alone
    changed nothing.
    """

    changed: int
    told: int = 0
    refusals: list[str] = field(default_factory=list)


async def steer(app: Elihu, verb: str, chosen: Mapping[str, list[Any]]) -> Steered:
    """Apply the verb; jobs that move meanwhile may be counted with the others."""
    told = 0
    if verb == "cancel":
        states = _WAITING & {JobState(state) for state in chosen.get("state", _WAITING)}
        waiting = await app.jobs.count(**{**chosen, "state": sorted(states)}) if states else 0
        changed = await app.jobs.cancel(**chosen)
        told = max(0, changed - waiting)
    else:
        changed = await getattr(app.jobs, verb)(**chosen)
        told = changed if verb == "kill" else 0
    refusals = (
        await _refusals(app, verb, list(dict.fromkeys(chosen["ids"])))
        if not changed and chosen.keys() == {"ids"}
        else []
    )
    return Steered(changed - told, told, refusals)


async def _refusals(app: Elihu, verb: str, ids: list[int]) -> list[str]:
    page = await app.jobs.list(ids=ids[:SHOWN], limit=SHOWN)
    states = {job.id: job.state for job in page.items}
    texts = [
        f"job {each} is {states[each]}, which {verb} does not change"
        if each in states
        else f"job {each} does not exist"
        for each in ids[:SHOWN]
    ]
    return [*texts, f"and {len(ids) - SHOWN:,} more"] if len(ids) > SHOWN else texts
