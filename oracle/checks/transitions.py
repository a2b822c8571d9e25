"""Changes of state that the state machine does not have, and claims without exactly one
end.
"""

from collections import Counter

from elihu.job import TRANSITIONS, JobState
from oracle.checks.faults import CLOCKS
from oracle.evidence import Change, Evidence

FIRST_STATES = frozenset({JobState.SUSPENDED, JobState.SCHEDULED, JobState.AVAILABLE})
BY_FORCE = frozenset({"killed", "timed_out"})
"""The outcomes of attempts that may end without a word of the task's."""


def illegal(job_id: int, changes: list[Change]) -> list[str]:
    """The changes of one job that the state machine does not have."""
    illegal = []
    state, claim = None, 0
    for change in changes:
        step = (
            f"job {job_id}: {change.before} ({change.old_claim}) -> {change.after} ({change.claim})"
        )
        if change.before != state:
            illegal.append(f"{step}, and it was {state}")
        elif change.before is None:
            if change.after not in FIRST_STATES:
                illegal.append(f"{step}, which is not a first state")
        elif JobState(change.after) not in TRANSITIONS[JobState(change.before)]:
            illegal.append(f"{step}, which is not a transition")
        if change.old_claim != claim or change.claim != claim + (
            change.after == JobState.EXECUTING
        ):
            illegal.append(f"{step}, and its claim was {claim}")
        state, claim = change.after, change.claim
    return illegal


def ends(evidence: Evidence, changes: dict[int, list[Change]]) -> list[str]:
    """The claims that did not end exactly once, on record, after their attempt."""
    problems = []
    written = {(run.job_id, run.claim) for run in evidence.runs}
    taken_away = {
        (run.job_id, run.claim)
        for run in evidence.runs
        if run.outcome in {"orphaned", "returned", "stopped"}
    }
    by_force = {(run.job_id, run.claim) for run in evidence.runs if run.outcome in BY_FORCE}
    completed = {(job.id, job.claim) for job in evidence.jobs if job.state == JobState.COMPLETED}
    finished = {(attempt.job_id, attempt.claim): attempt.end for attempt in evidence.attempts}
    claimed: set[tuple[int, int]] = set()
    ends: Counter[tuple[int, int]] = Counter()
    for change in (each for made in changes.values() for each in made):
        key = change.job_id, change.claim
        if change.after == JobState.EXECUTING:
            claimed.add(key)
        if change.before != JobState.EXECUTING:
            continue
        ends[change.job_id, change.old_claim] += 1
        if change.after in {JobState.COMPLETED, JobState.RETRYABLE} and key not in taken_away:
            end = finished.get(key)
            if end is None and key in by_force:
                continue
            if end is None or end > change.at + CLOCKS:
                problems.append(
                    f"attempt {change.job_id}.{change.claim} was written {change.after} before it "
                    "ended"
                )
    problems += [
        f"claim {job_id}.{claim} ended {ends[job_id, claim]} times"
        for job_id, claim in claimed
        if ends[job_id, claim] != 1
    ]
    problems += [
        f"claim {job_id}.{claim} ended and was never made"
        for job_id, claim in ends.keys() - claimed
    ]
    problems += [
        f"the end of claim {j}.{c} is not on record"
        for j, c in claimed
        if ends[j, c] and (j, c) not in written | completed
    ]
    return problems
