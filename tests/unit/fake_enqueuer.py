"""An enqueuer that keeps what a task gives it, and a task for it."""

import json
from datetime import UTC, date, datetime
from typing import Any

from elihu.job import Job, JobState, NewJob
from elihu.relay import Relay
from elihu.task.declare import declare
from elihu.task.task import Task


class FakeEnqueuer:
    """Keeps what a task gives it."""

    def __init__(self, max_args: int = 1_048_576) -> None:
        self.max_args = max_args
        self.closed = False
        self.stored: list[NewJob] = []
        self.conns: list[Any] = []

    def enqueue(self, new: NewJob, /, *, conn: Any = "not given", notify: bool = True) -> Job:
        self.stored.append(new)
        self.conns.append(conn)
        now = datetime.now(UTC)
        return Job(
            id=len(self.stored),
            state=JobState.AVAILABLE,
            queue=new.queue,
            task=new.task,
            args=json.loads(new.args),
            meta={},
            tags=new.tags,
            priority=new.priority,
            attempt=0,
            max_attempts=new.max_attempts,
            unique_key=None,
            inserted_at=now,
            scheduled_at=now,
        )

    async def aenqueue(self, new: NewJob, /, *, conn: Any = None, notify: bool = True) -> Job:
        return self.enqueue(new)

    def submitted(self, job: Job, /) -> Relay[Any]:
        raise NotImplementedError


def made(enqueuer: FakeEnqueuer | None = None, **options: Any) -> Task[..., Any]:
    def order(user_id: int, at: date | None = None) -> int:
        return 0

    task = declare(order, {"name": "order", **options})  # type: ignore[typeddict-item]
    if enqueuer:
        task.bind(enqueuer)
    return task
