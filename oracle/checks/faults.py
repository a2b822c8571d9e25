"""Whether a fault explains what happened to an attempt or a node."""

from oracle.evidence import Evidence, Fault, Removal
from oracle.evidence import FaultKind as Kind

CLOCKS = 0.02
"""Seconds by which two readings of the machine's clock may disagree: one by a database,
one by a task.
"""
NOTICED = 2.0
"""Seconds within which the death of a process that killed itself is noticed."""


def pids_of_attempts(evidence: Evidence) -> dict[tuple[int, int], int]:
    """The process of each attempt, by job id and claim."""
    return {(attempt.job_id, attempt.claim): attempt.pid for attempt in evidence.attempts}


def was_faulted(
    faults: list[Fault], pid: int | None, *, before: float, kinds: set[str] | None = None
) -> bool:
    """Whether process ``pid`` had a fault (of one of these kinds) by then."""
    return any(
        fault.pid in {None, pid} and fault.at <= before and (kinds is None or fault.kind in kinds)
        for fault in faults
    )


def lived(evidence: Evidence, removal: Removal) -> bool:
    """Whether a removed node had no fault. A node whose process is not known was killed
    before it could write its id.
    """
    before = removal.at + NOTICED
    if removal.dead in evidence.nodes:
        return not was_faulted(evidence.faults, evidence.nodes[removal.dead], before=before)
    named = set(evidence.nodes.values())
    return not any(
        each.kind in {Kind.KILL, Kind.DIED} and each.pid not in named and each.at <= before
        for each in evidence.faults
    )
