"""One call of a task as a node makes it: through JSON, inside the middleware and the
lifespan, without a node and a stored job.
"""

import asyncio
import json
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from elihu.app import Elihu
from elihu.context import Context
from elihu.engines.protocol import Inserted
from elihu.enqueue.stored import stored_job
from elihu.errors import InvalidOption
from elihu.job import Job, JobState, NewJob
from elihu.outcome import Cancel, Discard, Retry, Snooze
from elihu.runtime.attempts.middleware import compose
from elihu.runtime.attempts.surroundings import await_inside, call_inside
from elihu.task import ResultNotStored, Task

OUTCOMES = (Snooze, Cancel, Discard, Retry)


class LocalAttempt:
    """What a ``Context`` needs of an attempt that no node runs. The last report of
    progress is kept, and ``ctx.complete`` writes nothing.
    """

    cause: str | None = None
    committed = False
    on_error_due: str | None = None

    def __init__(self, job: Job) -> None:
        self.attempt = job.attempt
        self.max_attempts = job.max_attempts
        self.carrier: dict[str, str] = {}
        self.progress: str | None = None
        self._job = job

    def read_job(self) -> Job:
        return self._job

    def report(self, progress: str) -> None:
        self.progress = progress

    def complete(self, *_arguments: Any) -> None:
        """Nothing: there is no stored job."""

    async def acomplete(self, *_arguments: Any) -> None:
        """Nothing: there is no stored job."""


def new_job(what: Task[..., Any] | NewJob | Job, args: Any, kwargs: Any) -> NewJob | Job:
    """The job to perform: one that was built or stored, or one for these arguments.
    Raises ``InvalidArguments`` and ``InvalidOption``.
    """
    if isinstance(what, Task):
        return what.build(*args, **kwargs)
    if not isinstance(what, NewJob | Job) or args or kwargs:
        raise InvalidOption(
            "perform(): expected a task and its arguments, or a job alone, got "
            f"{what!r} and {len(args) + len(kwargs)} arguments"
        )
    return what


async def perform(app: Elihu, new: NewJob | Job) -> Any:
    """Run the task of a job and return its value, or the outcome that it returns or
    raises. Raises any other exception of the task. The value makes the way through JSON
    too; one that JSON cannot hold is returned as it is where nobody stores it, else it
    raises ``ResultNotStored``.
    """
    task = app.task_named(new.task)
    ctx = Context(LocalAttempt(_claimed(new, app)))
    text = new.args if isinstance(new, NewJob) else json.dumps(dict(new.args))
    try:
        async with app.lifespan() or nullcontext() as ctx.state:
            call = partial(_call, app, task, text)
            value = await compose(app._runner.middlewares, call)(ctx)
    except OUTCOMES as outcome:
        return outcome
    return value if isinstance(value, OUTCOMES) else _returned(app, task, value)


async def _call(app: Elihu, task: Task[..., Any], text: str, ctx: Context) -> Any:
    args, kwargs = task.codec.decode(text)
    if task.context_parameter is not None:
        kwargs[task.context_parameter] = ctx
    call = partial(task.fn, *args, **kwargs)
    if asyncio.iscoroutinefunction(task.fn):
        return await await_inside(app.arounds, ctx, call)
    return await asyncio.to_thread(call_inside, app.arounds, ctx, call)


def _returned(app: Elihu, task: Task[..., Any], value: Any) -> Any:
    try:
        return task.codec.decode_result(task.codec.encode_result(value, app.config.max_result))
    except ResultNotStored:
        if task.options.record:
            raise
        return value


def _claimed(new: NewJob | Job, app: Elihu) -> Job:
    """The job as its task sees it."""
    if isinstance(new, Job):
        return replace(new, state=JobState.EXECUTING, attempt=new.attempt + 1)
    now = datetime.now(UTC)
    due = new.run_at or now
    stored = stored_job(
        new, Inserted(0, JobState.EXECUTING, now, due, conflict=False, unique_key=None)
    )
    return replace(stored, attempt=1, started_at=now)
