"""Jobs that are lost, and jobs or effects without an intent."""

from collections import Counter

from elihu.job import FINISHED, JobState
from oracle.checks.faults import pids_of_attempts
from oracle.evidence import Evidence, StoredJob


def lost(evidence: Evidence, effects: dict[int, list[int]]) -> tuple[list[str], list[str]]:
    """The lost jobs, and those that were discarded for an injected cause."""
    lost, discarded = [], []
    jobs = {job.id: job for job in evidence.jobs}
    pids = pids_of_attempts(evidence)
    cancelled = {request.job_id for request in evidence.requests if request.verb == "cancel"}
    for key, job_id in dict.fromkeys(evidence.acknowledged):
        job = jobs.get(job_id)
        if job is None:
            lost.append(f"job {job_id} ({key}) was acknowledged and is not stored")
        elif job.key != key:
            lost.append(f"job {job_id} was acknowledged as {key} and is {job.key}")
    keys = {job.key for job in evidence.jobs}
    lost += [f"{key} was due and has no job" for key in sorted(evidence.due - keys)]
    lost += [
        f"{key} is not stored, and the row of its transaction is"
        for key in sorted(evidence.beside - keys)
    ]
    for job in evidence.jobs:
        if job.state not in FINISHED:
            lost.append(f"{named(job)} is {job.state} in the end")
        elif job.state == JobState.COMPLETED:
            if job.claim not in effects.get(job.id, ()):
                lost.append(
                    f"{named(job)} is completed, and the attempt {job.claim} that completed it "
                    "had no effect"
                )
        elif job.state == JobState.CANCELLED and job.id in cancelled:
            continue
        elif job.state == JobState.DISCARDED and _orphaned_to_the_end(evidence, job, pids):
            discarded.append(f"{named(job)} was discarded after its nodes died")
        else:
            lost.append(f"{named(job)} is {job.state} without a request: {job.reason}")
    return lost, discarded


def _orphaned_to_the_end(
    evidence: Evidence, job: StoredJob, pids: dict[tuple[int, int], int]
) -> bool:
    orphaned = [run for run in evidence.runs if run.job_id == job.id and run.outcome == "orphaned"]
    faulted = {fault.pid for fault in evidence.faults}
    return job.reason == "orphaned" and all(
        evidence.nodes.get(run.node or "", pids.get((job.id, run.claim))) in faulted
        for run in orphaned
    )


def phantoms(evidence: Evidence) -> list[str]:
    """What is stored, ran or had an effect without an intent, or twice for one."""
    phantoms = [
        f"{named(job)} was never intended"
        for job in evidence.jobs
        if job.key not in evidence.intended
    ]
    phantoms += [
        f"{key} is stored {times} times"
        for key, times in Counter(job.key for job in evidence.jobs).items()
        if times > 1
    ]
    phantoms += [
        f"{named(job)} is stored, and the row of its transaction is not"
        for job in evidence.jobs
        if job.key in evidence.bound - evidence.beside
    ]
    stored = {job.id for job in evidence.jobs}
    phantoms += [
        f"job {each.job_id} ({each.key}) ran and is not stored"
        for each in evidence.attempts
        if each.job_id not in stored
    ]
    seen = Counter((job_id, claim) for job_id, claim, _ in evidence.effects)
    phantoms += [
        f"attempt {job_id}.{claim} had its effect {times} times"
        for (job_id, claim), times in seen.items()
        if times > 1
    ]
    return phantoms


def named(job: StoredJob) -> str:
    """How a finding names a job."""
    return f"job {job.id} ({job.key})"
