"""From a stored end to what a waiter gets: one that cannot be read is an error of its own."""

from datetime import UTC, datetime

import pytest

from elihu import Job, JobState, ResultNotRecorded, RunOutcome, Tasks
from elihu.engines.protocol.waits import JobEnd
from elihu.results.answers import answer_of
from elihu.task import Registry

NOW = datetime(2026, 1, 1, tzinfo=UTC)
JOB = Job(
    id=7, state=JobState.COMPLETED, queue="q", task="t", args={}, meta={}, tags=(), priority=0,
    attempt=1, max_attempts=1, unique_key=None, inserted_at=NOW, scheduled_at=NOW,
)  # fmt: skip


def completed(value: str) -> JobEnd:
    return JobEnd(
        0, JobState.COMPLETED, 1, None, value, RunOutcome.COMPLETED, None, None, None, None, True
    )


def registry(*, known: bool) -> Registry:
    found, group = Registry(), Tasks()

    @group.task(name="t")
    async def t() -> int:
        return 1

    if known:
        found.add(*group)
    return found


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    "value", ["9" * 5_000, "[" * 100_000 + "]" * 100_000, "{broken", '"' + "x" * 9]
)
def test_a_result_that_cannot_be_read_is_an_error_of_its_own(value: str, known: bool):
    answer = answer_of(registry(known=known), 7, JOB, completed(value))
    assert isinstance(answer.error, ResultNotRecorded)
    assert answer.error.job_id == 7
    assert answer.error.__cause__ is not None


def test_a_good_one_is_the_value():
    assert answer_of(registry(known=True), 7, JOB, completed("3")).value == 3
    assert answer_of(registry(known=False), 7, JOB, completed('{"a": 1}')).value == {"a": 1}
