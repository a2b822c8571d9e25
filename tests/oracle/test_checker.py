"""The checker finds each kind of broken promise in evidence made by hand, and nothing
in the evidence of a good run.
"""

from dataclasses import replace

import pytest

from oracle.checker import check
from oracle.checks.attempts import first_runs_after
from oracle.checks.findings import Findings
from oracle.checks.requests import ends_after_requests
from oracle.evidence import (
    Answer,
    Attempt,
    Change,
    Evidence,
    Fault,
    FaultKind,
    Recovery,
    Removal,
    Request,
    StoredJob,
    StoredRun,
)

A, B = "node-a", "node-b"
PIDS = {A: 1, B: 2}


def good() -> Evidence:
    """Job 1 completed by node A in its first attempt."""
    return Evidence(
        intended={"x"},
        acknowledged=[("x", 1)],
        jobs=[StoredJob(1, "x", "completed", 1, None)],
        changes=[
            Change(1, None, "available", 0, 0, None, 10.0),
            Change(1, "available", "executing", 0, 1, A, 11.0),
            Change(1, "executing", "completed", 1, 1, A, 13.0),
        ],
        attempts=[Attempt(1, 1, "x", 1, A, 11.1, 12.9)],
        effects=[(1, 1, "x")],
        nodes=PIDS,
    )


def twice(*faults: Fault) -> Evidence:
    """Node A dies in the first attempt after its effect; node B completes the job in
    the second.
    """
    return Evidence(
        intended={"x"},
        acknowledged=[("x", 1)],
        jobs=[StoredJob(1, "x", "completed", 2, None)],
        runs=[StoredRun(1, 1, "orphaned", A)],
        changes=[
            Change(1, None, "available", 0, 0, None, 10.0),
            Change(1, "available", "executing", 0, 1, A, 11.0),
            Change(1, "executing", "available", 1, 1, A, 20.0),
            Change(1, "available", "executing", 1, 2, B, 21.0),
            Change(1, "executing", "completed", 2, 2, B, 23.0),
        ],
        attempts=[Attempt(1, 1, "x", 1, A, 11.1, None), Attempt(1, 2, "x", 2, B, 21.1, 22.9)],
        effects=[(1, 1, "x"), (1, 2, "x")],
        nodes=PIDS,
        faults=list(faults),
    )


KILLED = Fault(FaultKind.KILL, 1, 12.0)


def kinds(evidence: Evidence) -> set[str]:
    return set(check(evidence).broken())


def test_a_good_run_has_no_findings():
    findings = check(good())
    assert findings == Findings(jobs=1)


def test_an_acknowledged_job_that_is_not_stored_is_lost():
    assert check(replace(good(), jobs=[], changes=[], attempts=[], effects=[])).lost == [
        "job 1 (x) was acknowledged and is not stored"
    ]


@pytest.mark.parametrize("state", ["available", "executing", "retryable", "scheduled", "suspended"])
def test_a_job_that_has_not_ended_is_lost(state: str):
    assert check(replace(good(), jobs=[StoredJob(1, "x", state, 1, None)])).lost == [
        f"job 1 (x) is {state} in the end"
    ]


@pytest.mark.parametrize("state", ["discarded", "cancelled"])
def test_an_end_without_a_request_is_a_loss(state: str):
    assert "lost" in kinds(replace(good(), jobs=[StoredJob(1, "x", state, 1, "boom")]))


def test_a_discard_is_no_loss_where_its_nodes_were_killed():
    evidence = twice(KILLED)
    evidence.jobs = [StoredJob(1, "x", "discarded", 1, "orphaned")]
    evidence.changes = [*evidence.changes[:2], Change(1, "executing", "discarded", 1, 1, A, 20.0)]
    evidence.attempts, evidence.effects = evidence.attempts[:1], evidence.effects[:1]
    findings = check(evidence)
    assert not findings.broken()
    assert len(findings.discarded) == 1
    evidence.faults = []
    assert "lost" in kinds(evidence)


def test_a_job_completed_without_its_effect_is_lost():
    assert kinds(replace(good(), effects=[])) == {"lost"}


def test_a_job_that_was_not_acknowledged_may_be_missing():
    assert not kinds(Evidence(intended={"x"}))


def test_a_job_without_an_intent_is_a_phantom():
    assert check(replace(good(), intended=set(), acknowledged=[])).phantom == [
        "job 1 (x) was never intended"
    ]


def test_one_intent_stored_twice_is_a_phantom():
    evidence = good()
    evidence.jobs.append(StoredJob(2, "x", "completed", 1, None))
    evidence.effects.append((2, 1, "x"))
    assert check(evidence).phantom == ["x is stored 2 times"]


def test_a_job_and_the_row_of_its_transaction_exist_both_or_neither():
    bound = replace(good(), bound={"x", "y"}, beside={"x"})
    assert not kinds(bound)
    assert check(replace(bound, beside=set())).phantom == [
        "job 1 (x) is stored, and the row of its transaction is not"
    ]
    assert check(replace(bound, beside={"x", "y"})).lost == [
        "y is not stored, and the row of its transaction is"
    ]


def test_an_attempt_of_a_job_that_is_not_stored_is_a_phantom():
    evidence = good()
    evidence.attempts.append(Attempt(9, 1, "y", 1, A, 1.0, 2.0))
    assert "phantom" in kinds(evidence)


@pytest.mark.parametrize(
    "change",
    [
        Change(1, "completed", "executing", 1, 2, B, 14.0),
        Change(1, "completed", "discarded", 1, 1, A, 14.0),
        Change(1, "executing", "completed", 1, 1, A, 14.0),
        Change(1, "completed", "available", 1, 0, A, 14.0),
        Change(2, None, "executing", 0, 1, A, 14.0),
    ],
)
def test_a_change_that_is_not_a_transition_is_illegal(change: Change):
    evidence = good()
    evidence.changes.append(change)
    assert "illegal" in kinds(evidence)


def test_a_claim_that_never_ended():
    evidence = good()
    evidence.changes.pop()
    assert "claim 1.1 ended 0 times" in check(evidence).double


def test_a_claim_that_ended_twice():
    evidence = good()
    evidence.changes.append(evidence.changes[-1])
    assert "claim 1.1 ended 2 times" in check(evidence).double


def test_an_end_that_is_not_on_record():
    evidence = twice(KILLED)
    evidence.runs = []
    assert "the end of claim 1.1 is not on record" in check(evidence).double


def test_a_completion_before_its_attempt_ended_is_a_double_end():
    evidence = good()
    evidence.attempts = [Attempt(1, 1, "x", 1, A, 11.1, 13.5)]
    assert check(evidence).double == ["attempt 1.1 was written completed before it ended"]


def test_a_second_run_after_a_kill_is_explained():
    findings = check(twice(KILLED))
    assert not findings.broken()
    assert findings.explained == 1


def test_a_second_run_without_a_fault_is_not_explained():
    assert kinds(twice()) == {"overlap", "unexplained", "wrong"}


def test_an_attempt_that_was_rescued_from_a_living_node_is_wrong():
    evidence = replace(twice(), effects=[(1, 2, "x")])
    evidence.attempts[0] = evidence.attempts[0]._replace(end=19.9)
    assert check(evidence).wrong == ["claim 1.1 was orphaned, and its node lived"]
    assert not kinds(replace(evidence, faults=[KILLED]))
    assert "wrong" in kinds(replace(evidence, faults=[KILLED._replace(at=30.0)]))


def test_an_effect_in_one_transaction_with_the_end_happens_once_in_spite_of_faults():
    assert kinds(replace(twice(KILLED), once={"x"})) == {"unexplained"}
    assert not kinds(replace(good(), once={"x"}))


def test_a_fault_of_another_process_explains_nothing():
    assert "unexplained" in kinds(twice(Fault(FaultKind.KILL, 7, 12.0)))


def test_a_later_fault_explains_nothing():
    assert "unexplained" in kinds(twice(Fault(FaultKind.KILL, 1, 30.0)))


def test_two_attempts_at_once_are_right_if_the_older_was_frozen():
    evidence = twice(Fault(FaultKind.FREEZE, 1, 12.0))
    evidence.attempts[0] = evidence.attempts[0]._replace(end=40.0)
    assert not kinds(evidence)
    evidence.faults = [Fault(FaultKind.FREEZE, 2, 12.0)]
    assert "overlap" in kinds(evidence)


def test_a_living_node_that_was_removed():
    assert "removed" in kinds(replace(good(), removals=[Removal(B, 20.0)]))
    assert "removed" not in kinds(
        replace(good(), removals=[Removal(B, 20.0)], faults=[Fault(FaultKind.KILL, 2, 5.0)])
    )


def test_a_removed_node_without_a_known_process_was_killed_before_it_could_write_its_id():
    unnamed = replace(good(), removals=[Removal("node-c", 20.0)])
    assert "removed" in kinds(unnamed)
    assert "removed" in kinds(replace(unnamed, faults=[Fault(FaultKind.DIED, 2, 5.0)]))
    assert "removed" in kinds(replace(unnamed, faults=[Fault(FaultKind.DIED, 3, 30.0)]))
    assert not kinds(replace(unnamed, faults=[Fault(FaultKind.DIED, 3, 5.0)]))


def test_a_wait_ends_once_with_the_right_answer():
    right = Answer("x", True, "7")
    assert not kinds(replace(good(), awaited={"x"}, answers=[right]))
    assert check(replace(good(), awaited={"x"})).wrong == ["the wait for x ended 0 times"]
    assert check(replace(good(), awaited={"x"}, answers=[right, right])).wrong == [
        "the wait for x ended 2 times"
    ]
    assert check(replace(good(), awaited={"x"}, answers=[Answer("x", False, "8")])).wrong == [
        "the wait for x returned 8"
    ]


def test_a_tick_that_was_due_has_its_job():
    assert not kinds(replace(good(), due={"x"}))
    assert check(replace(good(), due={"x", "y"})).lost == ["y was due and has no job"]


def ended(outcome: str, *requests: Request) -> Evidence:
    """The first attempt ends with this outcome while it runs, and its node has no
    fault.
    """
    evidence = twice()
    evidence.runs = [StoredRun(1, 1, outcome, A)]
    evidence.attempts[0] = evidence.attempts[0]._replace(end=19.9)
    evidence.requests = list(requests)
    return evidence


@pytest.mark.parametrize(("verb", "outcome"), [("kill", "killed"), ("stop", "stopped")])
def test_an_attempt_ends_by_force_only_after_a_request(verb: str, outcome: str):
    request = Request(1, verb, 15.0, 15.1, True)
    assert not kinds(ended(outcome, request))
    assert check(ended(outcome)).wrong == [f"claim 1.1 ended {outcome} without a request"]
    assert kinds(ended(outcome, request._replace(job_id=2))) == {"wrong"}
    assert ends_after_requests(ended(outcome, request)) == [pytest.approx(4.9)]


def test_an_attempt_that_timed_out_had_a_timeout():
    assert not kinds(replace(ended("timed_out"), timed={"x"}))
    assert kinds(ended("timed_out")) == {"wrong"}


def test_an_attempt_does_not_outlast_its_timeout():
    evidence = replace(good(), timed={"x"})
    evidence.attempts = [Attempt(1, 1, "x", 1, A, 1.0, 12.9)]
    assert check(evidence).wrong == [
        "attempt 1.1 outlasted its timeout, and completed after 11.9 s"
    ]


def test_a_cancelled_job_had_a_request_and_is_never_claimed_again():
    evidence = replace(good(), jobs=[StoredJob(1, "x", "cancelled", 1, None)])
    evidence.changes[-1] = evidence.changes[-1]._replace(after="cancelled")
    evidence.runs = [StoredRun(1, 1, "cancelled", A)]
    assert kinds(evidence) == {"lost", "wrong"}
    request = Request(1, "cancel", 12.0, 12.1, True)
    assert not kinds(replace(evidence, requests=[request]))
    assert kinds(replace(twice(KILLED), requests=[request])) == {"wrong"}


def test_a_recovery_beyond_its_bound_is_late_and_the_slowest_is_known():
    findings = check(
        replace(good(), recoveries=[Recovery("a job", 4.0, 5.0), Recovery("a leader", 13.0, 12.0)])
    )
    assert findings.late == ["a leader: 13.0 s, bound 12 s"]
    assert findings.slowest == 13.0


def test_the_first_run_after_a_kill_is_timed():
    ((job_id, seconds),) = first_runs_after(twice(KILLED), {FaultKind.KILL})
    assert job_id == 1
    assert seconds == pytest.approx(9.1)
    assert first_runs_after(twice(), {FaultKind.KILL}) == []


def test_a_stopped_attempt_may_run_beside_the_next():
    evidence = twice()
    evidence.runs = [StoredRun(1, 1, "stopped", A)]
    evidence.requests = [Request(1, "stop", 15.0, 15.1, True)]
    evidence.attempts[0] = evidence.attempts[0]._replace(end=22.0)
    findings = check(evidence)
    assert not findings.broken()
    assert findings.explained == 1
    evidence.runs = [StoredRun(1, 1, "failed", A)]
    assert kinds(evidence) == {"overlap", "unexplained"}
