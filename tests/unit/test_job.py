"""States, the table of legal transitions, and the values around a job."""

from dataclasses import FrozenInstanceError, fields

import pytest

from elihu.job import (
    FINISHED,
    INCOMPLETE,
    TRANSITIONS,
    Intent,
    Job,
    JobFilter,
    JobPage,
    JobState,
    NewJob,
    Run,
    RunOutcome,
)

S = JobState

LEGAL = {
    S.SUSPENDED: {S.AVAILABLE, S.SCHEDULED, S.CANCELLED},
    S.SCHEDULED: {S.AVAILABLE, S.SUSPENDED, S.CANCELLED},
    S.AVAILABLE: {S.EXECUTING, S.SCHEDULED, S.SUSPENDED, S.CANCELLED},
    S.EXECUTING: {S.COMPLETED, S.DISCARDED, S.CANCELLED, S.RETRYABLE, S.SCHEDULED, S.AVAILABLE},
    S.RETRYABLE: {S.AVAILABLE, S.SCHEDULED, S.SUSPENDED, S.CANCELLED},
    S.COMPLETED: {S.AVAILABLE},
    S.DISCARDED: {S.AVAILABLE},
    S.CANCELLED: {S.AVAILABLE},
}


@pytest.mark.parametrize("state", S)
def test_transitions(state: JobState) -> None:
    assert TRANSITIONS[state] == LEGAL[state]


def test_the_table_is_whole_and_cannot_be_changed() -> None:
    assert set(TRANSITIONS) == set(S)
    with pytest.raises(TypeError):
        TRANSITIONS[S.COMPLETED] = frozenset()  # type: ignore[index]


def test_no_state_follows_itself() -> None:
    assert all(state not in following for state, following in TRANSITIONS.items())


def test_finished_and_incomplete() -> None:
    assert {S.COMPLETED, S.DISCARDED, S.CANCELLED} == FINISHED
    assert {S.SUSPENDED, S.SCHEDULED, S.AVAILABLE, S.EXECUTING, S.RETRYABLE} == INCOMPLETE


def test_a_finished_job_only_comes_back_by_retry() -> None:
    assert {following for state in FINISHED for following in TRANSITIONS[state]} == {S.AVAILABLE}


def test_every_state_can_be_reached_from_a_new_job_and_can_end() -> None:
    reached = {S.AVAILABLE}
    while (
        more := reached | {following for state in reached for following in TRANSITIONS[state]}
    ) != reached:
        reached = more
    assert reached == set(S)
    assert all(TRANSITIONS[state] for state in S)


def test_only_a_fetch_executes() -> None:
    assert [state for state in S if S.EXECUTING in TRANSITIONS[state]] == [S.AVAILABLE]


def test_names_are_those_of_the_database() -> None:
    assert [str(state) for state in S] == [
        "suspended",
        "scheduled",
        "available",
        "executing",
        "retryable",
        "completed",
        "discarded",
        "cancelled",
    ]
    assert (
        " ".join(RunOutcome)
        == "completed failed killed timed_out orphaned cancelled snoozed stopped returned"
    )
    assert [str(intent) for intent in Intent] == ["cancel", "kill"]


def test_fields_of_a_job_and_of_a_run() -> None:
    assert " ".join(field.name for field in fields(Job)) == (
        "id state queue task args meta tags priority attempt max_attempts unique_key inserted_at "
        "scheduled_at started_at "
        "finished_at reason result progress node template identifier expires_at occurrence conflict"
    )
    assert " ".join(field.name for field in fields(Run)) == (
        "id job_id claim attempt node started_at ended_at outcome reason error traceback log"
    )


def test_defaults_and_frozenness() -> None:
    new = NewJob(task="x")
    assert (new.args, new.queue, new.priority, new.max_attempts, new.hold) == (
        "{}",
        "default",
        0,
        20,
        False,
    )
    with pytest.raises(FrozenInstanceError):
        new.queue = "y"  # type: ignore[misc]
    assert all(getattr(JobFilter(), field.name) is None for field in fields(JobFilter))
    assert JobPage() == JobPage(items=[], next=None)
