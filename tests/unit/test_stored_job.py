"""The job that an enqueue returns."""

from dataclasses import FrozenInstanceError, fields
from datetime import UTC, datetime, timedelta

import pytest

from elihu.engines.protocol import Inserted
from elihu.enqueue import stored_job
from elihu.job import Job, JobState, NewJob

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
DUE = NOW + timedelta(minutes=1)


def test_it_is_a_job_like_any_other_and_cannot_be_changed() -> None:
    new = NewJob(
        task="t",
        args='{"a": 1}',
        queue="mail",
        priority=3,
        max_attempts=7,
        meta='{"m": [1]}',
        tags=("x",),
        expires=30.0,
        template="code",
        identifier="mine",
    )
    job = stored_job(new, Inserted(5, JobState.SCHEDULED, NOW, DUE, False, "key"))
    assert job == Job(
        id=5,
        state=JobState.SCHEDULED,
        queue="mail",
        task="t",
        args={"a": 1},
        meta={"m": [1]},
        tags=("x",),
        priority=3,
        attempt=0,
        max_attempts=7,
        unique_key="key",
        inserted_at=NOW,
        scheduled_at=DUE,
        template="code",
        identifier="mine",
        expires_at=DUE + timedelta(seconds=30),
    )
    assert list(vars(job).keys() ^ {field.name for field in fields(Job)}) == []
    with pytest.raises(FrozenInstanceError):
        job.id = 6  # type: ignore[misc]
