"""From evidence to findings: pure, without a database, a file or a clock."""

from collections import defaultdict

from oracle.checks.attempts import duplicates, orphaned_on_living_nodes, overlaps
from oracle.checks.faults import lived
from oracle.checks.findings import Findings
from oracle.checks.jobs import lost, phantoms
from oracle.checks.requests import wrong_answers, wrong_ends
from oracle.checks.transitions import ends, illegal
from oracle.evidence import Change, Evidence


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
    findings.lost, findings.discarded = lost(evidence, effects)
    findings.phantom = phantoms(evidence)
    for job_id, made in changes.items():
        findings.illegal += illegal(job_id, made)
    findings.double = ends(evidence, changes)
    findings.overlap = overlaps(evidence)
    findings.explained, findings.unexplained = duplicates(evidence, effects, changes)
    findings.removed = [
        f"node {each.dead} was removed as dead at {each.at:.3f} and lived"
        for each in evidence.removals
        if lived(evidence, each)
    ]
    findings.late = [
        f"{late.what}: {late.seconds:.1f} s, bound {late.bound:g} s"
        for late in evidence.recoveries
        if late.seconds > late.bound
    ]
    findings.wrong = [
        *wrong_answers(evidence),
        *wrong_ends(evidence, changes),
        *orphaned_on_living_nodes(evidence, changes),
    ]
    return findings
