"""Jobs that are stored later, when another database commits."""

import json
from collections.abc import Coroutine
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from elihu import Job, JobState, NewJob

T = TypeVar("T")


def pending_job(new: NewJob) -> Job:
    """The job as it will be stored, with the id 0."""
    now = datetime.now(UTC)
    due = new.run_at or now + timedelta(seconds=new.delay or 0)
    return Job(
        id=0,
        state=JobState.SUSPENDED
        if new.hold
        else JobState.SCHEDULED
        if due > now
        else JobState.AVAILABLE,
        queue=new.queue,
        task=new.task,
        args=json.loads(new.args),
        meta=json.loads(new.meta) if new.meta else {},
        tags=new.tags,
        priority=new.priority,
        attempt=0,
        max_attempts=new.max_attempts,
        unique_key=None,
        inserted_at=now,
        scheduled_at=due,
    )


def fill(pending: Job, stored: Job) -> None:
    """Give a pending job the values of the stored one."""
    for field in fields(Job):
        object.__setattr__(pending, field.name, getattr(stored, field.name))


def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """The value of a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    coroutine.close()
    raise RuntimeError("expected a coroutine that has nothing to wait for")
