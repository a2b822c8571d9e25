"""From evidence to findings: pure, without a database, a file or a clock."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from math import inf

from elihu.job import FINISHED, TRANSITIONS, JobState
from oracle.evidence import Attempt, Burial, Change, Evidence, Harm, Injury, Recovery, StoredJob

FIRST_STATES = frozenset({JobState.SUSPENDED, JobState.SCHEDULED, JobState.AVAILABLE})
CLOCKS = 0.02
"""Seconds by which two readings of the machine's clock, by a database and by a task,
may disagree.
"""
NOTICED = 2.0
"""Seconds within which the death of a process that killed itself is noticed."""

ENDS = {"cancel": "cancelled", "kill": "killed", "stop": "stopped"}
"""How an attempt ends of which somebody asked this."""
BY_FORCE = frozenset({"killed", "timed_out"})
OUTLASTED = 6.0
"""Seconds after which an attempt that may last for half a second was not ended for its
time.
"""


@dataclass(slots=True, kw_only=True)
class Findings:
    """What was found. All lists but ``discarded`` are empty when every promise was
    kept.

    ``lost``: acknowledged, and neither ended nor, where it was discarded, for a cause
    that was injected; or ended without its effect. ``phantom``: stored, run or effected
    without an intent, or more than once for one. ``illegal``: a change of state that no
    way leads to, or a claim that does not count up. ``double``: a claim that ended
    twice, never, or before its attempt did. ``overlap``: two attempts of a job at once,
    the older one on a node that lived and not given back by a stop. ``unexplained``:
    effects of a job beyond the first that no injury and nobody's wish explains.
    ``buried``: nodes taken for dead that lived. ``late``: what took longer to work
    again than it may. ``wrong``: waits that came to nothing, to two ends or to a wrong
    one, and attempts that ended otherwise than somebody asked for. ``problems``: what
    the processes themselves reported.
    """

    lost: list[str] = field(default_factory=list)
    phantom: list[str] = field(default_factory=list)
    illegal: list[str] = field(default_factory=list)
    double: list[str] = field(default_factory=list)
    overlap: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    discarded: list[str] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)
    explained: int = 0
    jobs: int = 0

    @property
    def slowest(self) -> float | None:
        """The longest recovery, in seconds."""
        return max((recovery.seconds for recovery in self.recoveries), default=None)

    BROKEN = (
        "lost",
        "phantom",
        "illegal",
        "double",
        "overlap",
        "unexplained",
        "buried",
        "late",
        "wrong",
        "problems",
    )

    def broken(self) -> dict[str, list[str]]:
        """The kinds of findings that there are, with their texts."""
        return {kind: found for kind in self.BROKEN if (found := getattr(self, kind))}


def check(evidence: Evidence) -> Findings:
    """Judge one experiment."""
    findings = Findings(
        jobs=len(evidence.jobs), problems=list(evidence.problems), recoveries=evidence.recoveries
    )
    effects: defaultdict[int, list[int]] = defaultdict(list)
    for job_id, claim, _ in evidence.effects:
        effects[job_id].append(claim)
    changes: defaultdict[int, list[Change]] = defaultdict(list)
    for change in evidence.changes:
        changes[change.job_id].append(change)
    findings.lost, findings.discarded = _lost(evidence, effects)
    findings.phantom = _phantoms(evidence)
    for job_id, made in changes.items():
        findings.illegal += _illegal(job_id, made)
    findings.double = _ends(evidence, changes)
    findings.overlap = _overlaps(evidence)
    findings.explained, findings.unexplained = _duplicates(evidence, effects, changes)
    findings.removed = [
        f"node {each.dead} was taken for dead at {each.at:.3f} and lived"
        for each in evidence.burials
        if _lived(evidence, each)
    ]
    findings.late = [
        f"{late.what}: {late.seconds:.1f} s, bound {late.bound:g} s"
        for late in evidence.recoveries
        if late.seconds > late.bound
    ]
    findings.wrong = _wrong_answers(evidence) + _wrong_ends(evidence, changes)
    return findings


def first_runs_after(evidence: Evidence, harms: Iterable[str]) -> list[tuple[int, float]]:
    """For each job that an injury of these kinds cut off: its id, and the seconds from
    the first time until its next attempt.
    """
    harms = set(harms)
    by_job: defaultdict[int, list[Attempt]] = defaultdict(list)
    for attempt in evidence.attempts:
        by_job[attempt.job_id].append(attempt)
    waits = []
    for job_id, attempts in by_job.items():
        attempts.sort(key=lambda attempt: attempt.claim)
        for cut, following in pairwise(attempts):
            ends = [
                i.at
                for i in evidence.injuries
                if i.harm in harms and i.pid == cut.pid and i.at >= cut.begin - CLOCKS
            ]
            if ends and (cut.end is None or cut.end > min(ends)):
                waits.append((job_id, following.begin - min(ends)))
                break
    return waits


def _lost(evidence: Evidence, effects: dict[int, list[int]]) -> tuple[list[str], list[str]]:
    lost, discarded = [], []
    jobs = {job.id: job for job in evidence.jobs}
    pids = _pids(evidence)
    cancelled = {intent.job_id for intent in evidence.wishes if intent.verb == "cancel"}
    for key, job_id in dict.fromkeys(evidence.acknowledged):
        job = jobs.get(job_id)
        if job is None:
            lost.append(f"job {job_id} ({key}) was acknowledged and is not there")
        elif job.key != key:
            lost.append(f"job {job_id} was acknowledged as {key} and is {job.key}")
    keys = {job.key for job in evidence.jobs}
    lost += [f"{key} was due and has no job" for key in sorted(evidence.due - keys)]
    lost += [
        f"{key} is not stored, and what its transaction stored beside it is"
        for key in sorted(evidence.beside - keys)
    ]
    for job in evidence.jobs:
        if job.state not in FINISHED:
            lost.append(f"{_named(job)} is {job.state} in the end")
        elif job.state == JobState.COMPLETED:
            if job.claim not in effects.get(job.id, ()):
                lost.append(
                    f"{_named(job)} is completed, and the attempt {job.claim} that completed it "
                    "had no effect"
                )
        elif job.state == JobState.CANCELLED and job.id in cancelled:
            continue
        elif job.state == JobState.DISCARDED and _orphaned_to_the_end(evidence, job, pids):
            discarded.append(f"{_named(job)} was discarded after its nodes died")
        else:
            lost.append(f"{_named(job)} is {job.state}, which nobody asked for: {job.reason}")
    return lost, discarded


def _orphaned_to_the_end(
    evidence: Evidence, job: StoredJob, pids: dict[tuple[int, int], int]
) -> bool:
    orphaned = [run for run in evidence.runs if run.job_id == job.id and run.result == "orphaned"]
    injured = {injury.pid for injury in evidence.injuries}
    return job.reason == "orphaned" and all(
        evidence.nodes.get(run.node or "", pids.get((job.id, run.claim))) in injured
        for run in orphaned
    )


def _phantoms(evidence: Evidence) -> list[str]:
    phantoms = [
        f"{_named(job)} was never intended"
        for job in evidence.jobs
        if job.key not in evidence.intended
    ]
    phantoms += [
        f"{key} is stored {times} times"
        for key, times in Counter(job.key for job in evidence.jobs).items()
        if times > 1
    ]
    phantoms += [
        f"{_named(job)} is stored, and what its transaction stored beside it is not"
        for job in evidence.jobs
        if job.key in evidence.bound - evidence.beside
    ]
    stored = {job.id for job in evidence.jobs}
    phantoms += [
        f"job {each.job_id} ({each.key}) was run and is not stored"
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


def _illegal(job_id: int, changes: list[Change]) -> list[str]:
    illegal = []
    state, claim = None, 0
    for change in changes:
        way = (
            f"job {job_id}: {change.before} ({change.old_claim}) -> {change.after} ({change.claim})"
        )
        if change.before != state:
            illegal.append(f"{way}, and it was {state}")
        elif change.before is None:
            if change.after not in FIRST_STATES:
                illegal.append(f"{way}, which is no state to begin with")
        elif JobState(change.after) not in TRANSITIONS[JobState(change.before)]:
            illegal.append(f"{way}, where no way leads")
        if change.old_claim != claim or change.claim != claim + (
            change.after == JobState.EXECUTING
        ):
            illegal.append(f"{way}, and its claim was {claim}")
        state, claim = change.after, change.claim
    return illegal


def _ends(evidence: Evidence, changes: dict[int, list[Change]]) -> list[str]:
    problems = []
    written = {(run.job_id, run.claim) for run in evidence.runs}
    taken_away = {
        (run.job_id, run.claim)
        for run in evidence.runs
        if run.result in {"orphaned", "returned", "stopped"}
    }
    by_force = {(run.job_id, run.claim) for run in evidence.runs if run.result in BY_FORCE}
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


def _overlaps(evidence: Evidence) -> list[str]:
    by_job: defaultdict[int, list[Attempt]] = defaultdict(list)
    results = {(run.job_id, run.claim): run.result for run in evidence.runs}
    for attempt in evidence.attempts:
        result = results.get((attempt.job_id, attempt.claim))
        # one that was stopped may go on beside the next, and a process that was ended
        # by force has no words left
        if result != "stopped" and not (result in BY_FORCE and attempt.end is None):
            by_job[attempt.job_id].append(attempt)
    overlaps = []
    for job_id, attempts in by_job.items():
        attempts.sort(key=lambda attempt: attempt.claim)
        for older, newer in combinations(attempts, 2):
            if newer.begin >= _end(older, evidence.injuries) - CLOCKS:
                continue
            if not _injured(
                evidence.injuries,
                older.pid,
                before=newer.begin,
                harms={Harm.FREEZE, Harm.CUT, Harm.STOP},
            ):
                overlaps.append(
                    f"job {job_id}: attempt {newer.claim} began while {older.claim} was running "
                    "on a node that lived"
                )
    return overlaps


def _end(attempt: Attempt, injuries: list[Injury]) -> float:
    if attempt.end is not None:
        return attempt.end
    ends = [
        injury.at - (NOTICED if injury.harm == Harm.DIED else 0)
        for injury in injuries
        if injury.pid == attempt.pid and injury.harm in {Harm.KILL, Harm.DIED}
    ]
    return min(ends, default=inf)


def _duplicates(
    evidence: Evidence, effects: dict[int, list[int]], changes: dict[int, list[Change]]
) -> tuple[int, list[str]]:
    pids = _pids(evidence)
    keys = {job.id: job.key for job in evidence.jobs}
    asked = {
        (run.job_id, run.claim) for run in evidence.runs if run.result in {*BY_FORCE, "stopped"}
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
            if (job_id, claim) in asked or _injured(
                evidence.injuries, pids.get((job_id, claim)), before=left + NOTICED
            ):
                explained += 1
            else:
                unexplained.append(
                    f"job {job_id} had its effect in attempt {claim} and again, and nothing was "
                    "done to that node"
                )
    return explained, unexplained


def _wrong_answers(evidence: Evidence) -> list[str]:
    times = Counter(answer.key for answer in evidence.answers)
    wrong = [
        f"the wait for {key} ended {times[key]} times"
        for key in sorted(evidence.awaited)
        if times[key] != 1
    ]
    return wrong + [
        f"the wait for {answer.key} came to {answer.got}"
        for answer in evidence.answers
        if not answer.right
    ]


def _wrong_ends(evidence: Evidence, changes: dict[int, list[Change]]) -> list[str]:
    asked = {(intent.job_id, ENDS[intent.verb]) for intent in evidence.wishes}
    keys = {job.id: job.key for job in evidence.jobs}
    wrong = [
        f"claim {run.job_id}.{run.claim} ended {run.result}, which nobody asked for"
        for run in evidence.runs
        if (run.result in ENDS.values() and (run.job_id, run.result) not in asked)
        or (run.result == "timed_out" and keys.get(run.job_id) not in evidence.timed)
    ]
    wrong += [
        f"job {intent.job_id} was claimed again after it was cancelled"
        for intent in evidence.wishes
        if intent.verb == "cancel"
        and intent.changed
        and any(
            c.after == JobState.EXECUTING and c.at > intent.done for c in changes[intent.job_id]
        )
    ]
    outlasted = {
        (change.job_id, change.claim)
        for made in changes.values()
        for change in made
        if change.before == JobState.EXECUTING and change.after == JobState.COMPLETED
    }
    return wrong + [
        f"attempt {each.job_id}.{each.claim} was to be ended for its time, and completed after "
        f"{each.end - each.begin:.1f} s"
        for each in evidence.attempts
        if each.key in evidence.timed
        and each.end is not None
        and each.end - each.begin > OUTLASTED
        and (each.job_id, each.claim) in outlasted
    ]


def ends_after_wishes(evidence: Evidence) -> list[float]:
    """For each attempt whose end was asked for while it ran, on a node to which nothing
    was done: the seconds until its end was written.
    """
    pids = _pids(evidence)
    by_job: defaultdict[int, list[Change]] = defaultdict(list)
    for change in evidence.changes:
        by_job[change.job_id].append(change)
    waits = []
    for intent in evidence.wishes:
        for claimed, ended in pairwise(by_job[intent.job_id]):
            ran = (
                claimed.after == JobState.EXECUTING
                and claimed.at < intent.asked
                and ended.at > intent.done
            )
            if (
                intent.changed
                and ran
                and not _injured(
                    evidence.injuries, pids.get((intent.job_id, claimed.claim)), before=ended.at
                )
            ):
                waits.append(ended.at - intent.done)
    return waits


def _lived(evidence: Evidence, burial: Burial) -> bool:
    """Whether nothing had been done to a buried node. One that never said who it was is
    one of those killed before they could.
    """
    before = burial.at + NOTICED
    if burial.dead in evidence.nodes:
        return not _injured(evidence.injuries, evidence.nodes[burial.dead], before=before)
    named = set(evidence.nodes.values())
    return not any(
        each.harm in {Harm.KILL, Harm.DIED} and each.pid not in named and each.at <= before
        for each in evidence.injuries
    )


def _pids(evidence: Evidence) -> dict[tuple[int, int], int]:
    return {(attempt.job_id, attempt.claim): attempt.pid for attempt in evidence.attempts}


def _injured(
    injuries: list[Injury], pid: int | None, *, before: float, harms: set[str] | None = None
) -> bool:
    """Whether process ``pid`` was injured (in one of these ways) by then."""
    return any(
        injury.pid in {None, pid}
        and injury.at <= before
        and (harms is None or injury.harm in harms)
        for injury in injuries
    )


def _named(job: StoredJob) -> str:
    return f"job {job.id} ({job.key})"
