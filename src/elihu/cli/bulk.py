"""Applies a method of ``app.jobs`` to ids and filters, and explains the outcome."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from elihu.app import Elihu
from elihu.job import INCOMPLETE, JobState

SHOWN: Final = 20
"""The largest number of ids that are explained."""

_WAITING = INCOMPLETE - {JobState.EXECUTING}
_CHANGED_BY: Final = {
    "cancel": INCOMPLETE,
    "kill": frozenset({JobState.EXECUTING}),
    "retry": frozenset(JobState) - {JobState.AVAILABLE, JobState.EXECUTING},
    "delete": frozenset(JobState) - {JobState.EXECUTING},
    "hold": frozenset({JobState.SCHEDULED, JobState.AVAILABLE, JobState.RETRYABLE}),
    "release": frozenset({JobState.SUSPENDED}),
}
"""The states of jobs that each method changes."""


@dataclass(frozen=True, slots=True)
class BulkOutcome:
    """What a bulk command did.

    ``changed`` jobs are in their new state. ``signalled`` running jobs were asked to
    end. ``refusals`` explains each id if a command with ids only changed nothing.
    """

    changed: int
    signalled: int = 0
    refusals: list[str] = field(default_factory=list)


async def count_affected(app: Elihu, verb: str, chosen: Mapping[str, list[Any]]) -> int:
    """How many jobs the method would change now."""
    states = _CHANGED_BY[verb] & {JobState(state) for state in chosen.get("state", JobState)}
    return await app.jobs.count(**{**chosen, "state": sorted(states)}) if states else 0


async def apply_to_jobs(app: Elihu, verb: str, chosen: Mapping[str, list[Any]]) -> BulkOutcome:
    """Apply the method. A job that changes state at the same time may be counted as
    ``changed`` or as ``signalled``."""
    signalled = 0
    if verb == "cancel":
        states = _WAITING & {JobState(state) for state in chosen.get("state", _WAITING)}
        waiting = await app.jobs.count(**{**chosen, "state": sorted(states)}) if states else 0
        changed = await app.jobs.cancel(**chosen)
        signalled = max(0, changed - waiting)
    else:
        changed = await getattr(app.jobs, verb)(**chosen)
        signalled = changed if verb == "kill" else 0
    refusals = (
        await _refusals(app, verb, list(dict.fromkeys(chosen["ids"])))
        if not changed and chosen.keys() == {"ids"}
        else []
    )
    return BulkOutcome(changed - signalled, signalled, refusals)


async def _refusals(app: Elihu, verb: str, ids: list[int]) -> list[str]:
    page = await app.jobs.list(ids=ids[:SHOWN], limit=SHOWN)
    states = {job.id: job.state for job in page.items}
    texts = [
        f"job {each} is {states[each]}, {verb} does not apply"
        if each in states
        else f"job {each} not found"
        for each in ids[:SHOWN]
    ]
    return [*texts, f"and {len(ids) - SHOWN:,} more"] if len(ids) > SHOWN else texts
