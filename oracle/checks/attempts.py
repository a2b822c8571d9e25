"""Attempts of one job at once, effects beyond the first, and how long a job waits after
its node died.
"""

from collections import defaultdict
from collections.abc import Iterable
from itertools import combinations, pairwise
from math import inf

from elihu.job import JobState
from oracle.checks.faults import CLOCKS, NOTICED, pids_of_attempts, was_faulted
from oracle.checks.transitions import BY_FORCE
from oracle.evidence import Attempt, Change, Evidence, Fault
from oracle.evidence import FaultKind as Kind


def first_runs_after(evidence: Evidence, kinds: Iterable[str]) -> list[tuple[int, float]]:
    """For each job that a fault of these kinds cut off: its id, and the seconds from
    the first such fault until its next attempt.
    """
    kinds = set(kinds)
    by_job: defaultdict[int, list[Attempt]] = defaultdict(list)
    for attempt in evidence.attempts:
        by_job[attempt.job_id].append(attempt)
    waits = []
    for job_id, attempts in by_job.items():
        attempts.sort(key=lambda attempt: attempt.claim)
        for cut, following in pairwise(attempts):
            ends = [
                fault.at
                for fault in evidence.faults
                if fault.kind in kinds and fault.pid == cut.pid and fault.at >= cut.begin - CLOCKS
            ]
            if ends and (cut.end is None or cut.end > min(ends)):
                waits.append((job_id, following.begin - min(ends)))
                break
    return waits


def overlaps(evidence: Evidence) -> list[str]:
    """Attempts that began while an older one of the same job ran on a node that lived."""
    by_job: defaultdict[int, list[Attempt]] = defaultdict(list)
    outcomes = {(run.job_id, run.claim): run.outcome for run in evidence.runs}
    for attempt in evidence.attempts:
        outcome = outcomes.get((attempt.job_id, attempt.claim))
        # a stopped attempt may run beside the next, and a process that was ended by
        # force writes no end
        if outcome != "stopped" and not (outcome in BY_FORCE and attempt.end is None):
            by_job[attempt.job_id].append(attempt)
    overlaps = []
    for job_id, attempts in by_job.items():
        attempts.sort(key=lambda attempt: attempt.claim)
        for older, newer in combinations(attempts, 2):
            if newer.begin >= _end(older, evidence.faults) - CLOCKS:
                continue
            if not was_faulted(
                evidence.faults,
                older.pid,
                before=newer.begin,
                kinds={Kind.FREEZE, Kind.CUT, Kind.STOP},
            ):
                overlaps.append(
                    f"job {job_id}: attempt {newer.claim} began while {older.claim} was running "
                    "on a node that lived"
                )
    return overlaps


def orphaned_on_living_nodes(evidence: Evidence, changes: dict[int, list[Change]]) -> list[str]:
    """Attempts that a rescue ended although their node lived, or was stopped in order."""
    pids = pids_of_attempts(evidence)
    taken = []
    for run in evidence.runs:
        pid = evidence.nodes.get(run.node or "", pids.get((run.job_id, run.claim)))
        if run.outcome != "orphaned" or pid is None:
            continue
        ended = min(
            (
                change.at
                for change in changes.get(run.job_id, ())
                if change.old_claim == run.claim and change.before == JobState.EXECUTING
            ),
            default=inf,
        )
        if not was_faulted(
            evidence.faults,
            pid,
            before=ended + NOTICED,
            kinds={Kind.KILL, Kind.DIED, Kind.FREEZE, Kind.CUT},
        ):
            taken.append(f"claim {run.job_id}.{run.claim} was orphaned, and its node lived")
    return taken


def _end(attempt: Attempt, faults: list[Fault]) -> float:
    if attempt.end is not None:
        return attempt.end
    ends = [
        fault.at - (NOTICED if fault.kind == Kind.DIED else 0)
        for fault in faults
        if fault.pid == attempt.pid and fault.kind in {Kind.KILL, Kind.DIED}
    ]
    return min(ends, default=inf)


def duplicates(
    evidence: Evidence, effects: dict[int, list[int]], changes: dict[int, list[Change]]
) -> tuple[int, list[str]]:
    """How many effects beyond the first a fault or a request explains, and those that
    nothing explains.
    """
    pids = pids_of_attempts(evidence)
    keys = {job.id: job.key for job in evidence.jobs}
    requested = {
        (run.job_id, run.claim) for run in evidence.runs if run.outcome in {*BY_FORCE, "stopped"}
    }
    explained = 0
    unexplained = []
    for job_id, claims in effects.items():
        last = max(claims)
        if len(claims) > 1 and keys.get(job_id) in evidence.once:
            unexplained.append(
                f"job {job_id} had its effect {len(claims)} times, each in one transaction with "
                "its end"
            )
            continue
        for claim in claims:
            if claim == last:
                continue
            left = min(
                (change.at for change in changes.get(job_id, ()) if change.old_claim == claim),
                default=inf,
            )
            if (job_id, claim) in requested or was_faulted(
                evidence.faults, pids.get((job_id, claim)), before=left + NOTICED
            ):
                explained += 1
            else:
                unexplained.append(
                    f"job {job_id} had its effect in attempt {claim} and again, and that node "
                    "had no fault"
                )
    return explained, unexplained
