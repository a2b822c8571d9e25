"""Waits for results, and attempts that a user cancelled, killed or stopped."""

from collections import Counter, defaultdict
from itertools import pairwise

from elihu.job import JobState
from oracle.checks.faults import pids_of_attempts, was_faulted
from oracle.evidence import Change, Evidence

OUTCOMES = {"cancel": "cancelled", "kill": "killed", "stop": "stopped"}
"""The outcome of an attempt, by the verb that ended it."""
OUTLASTED = 6.0
"""Seconds after which an attempt with a timeout of half a second was not ended for it."""


def wrong_answers(evidence: Evidence) -> list[str]:
    """Waits that did not end exactly once, with the right answer."""
    times = Counter(answer.key for answer in evidence.answers)
    wrong = [
        f"the wait for {key} ended {times[key]} times"
        for key in sorted(evidence.awaited)
        if times[key] != 1
    ]
    return wrong + [
        f"the wait for {answer.key} returned {answer.got}"
        for answer in evidence.answers
        if not answer.right
    ]


def wrong_ends(evidence: Evidence, changes: dict[int, list[Change]]) -> list[str]:
    """Attempts that ended without a request, or did not end as requested."""
    requested = {(request.job_id, OUTCOMES[request.verb]) for request in evidence.requests}
    keys = {job.id: job.key for job in evidence.jobs}
    wrong = [
        f"claim {run.job_id}.{run.claim} ended {run.outcome} without a request"
        for run in evidence.runs
        if (run.outcome in OUTCOMES.values() and (run.job_id, run.outcome) not in requested)
        or (run.outcome == "timed_out" and keys.get(run.job_id) not in evidence.timed)
    ]
    wrong += [
        f"job {request.job_id} was claimed again after it was cancelled"
        for request in evidence.requests
        if request.verb == "cancel"
        and request.changed
        and any(
            c.after == JobState.EXECUTING and c.at > request.done for c in changes[request.job_id]
        )
    ]
    outlasted = {
        (change.job_id, change.claim)
        for made in changes.values()
        for change in made
        if change.before == JobState.EXECUTING and change.after == JobState.COMPLETED
    }
    return wrong + [
        f"attempt {each.job_id}.{each.claim} outlasted its timeout, and completed after "
        f"{each.end - each.begin:.1f} s"
        for each in evidence.attempts
        if each.key in evidence.timed
        and each.end is not None
        and each.end - each.begin > OUTLASTED
        and (each.job_id, each.claim) in outlasted
    ]


def ends_after_requests(evidence: Evidence) -> list[float]:
    """For each request to end an attempt that ran, on a node without a fault: the
    seconds until that end was written.
    """
    pids = pids_of_attempts(evidence)
    by_job: defaultdict[int, list[Change]] = defaultdict(list)
    for change in evidence.changes:
        by_job[change.job_id].append(change)
    waits = []
    for request in evidence.requests:
        for claimed, ended in pairwise(by_job[request.job_id]):
            ran = (
                claimed.after == JobState.EXECUTING
                and claimed.at < request.asked
                and ended.at > request.done
            )
            if (
                request.changed
                and ran
                and not was_faulted(
                    evidence.faults, pids.get((request.job_id, claimed.claim)), before=ended.at
                )
            ):
                waits.append(ended.at - request.done)
    return waits
