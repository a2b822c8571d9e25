"""Helpers for tests: what was enqueued, and ``drain``, which runs it.

They use Django's connection, so that they see and change what the test's own transaction
holds, in ``TestCase``, ``TransactionTestCase`` and pytest-django alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from elihu import JobState, Task
from elihu.contrib.django.attempts import perform
from elihu.contrib.django.models import Job

MOST = 10_000


@dataclass(slots=True)
class Drained:
    """How many attempts ended in each way. ``failed`` are those that will be tried
    again.
    """

    completed: int = 0
    failed: int = 0
    discarded: int = 0
    snoozed: int = 0
    cancelled: int = 0


def all_enqueued(task: object = None, *, queue: str | None = None) -> list[Job]:
    """The unfinished jobs, first to last: of one task, or its name, and of one queue,
    where given.
    """
    jobs = _unfinished()
    if task is not None:
        jobs = jobs.filter(task=_name_of(task))
    if queue is not None:
        jobs = jobs.filter(queue=queue)
    return list(jobs.order_by("id"))


def assert_enqueued(
    task: object, *, args: Mapping[str, Any] | None = None, queue: str | None = None
) -> Job:
    """The newest unfinished job of a task that has at least these arguments. Raises
    ``AssertionError``, which shows the jobs that there are.
    """
    found = _matching(task, args, queue)
    if not found:
        raise AssertionError(
            f"expected a job of {_name_of(task)} with {dict(args or {})}, got {_shown(_all())}"
        )
    return found[-1]


def refute_enqueued(
    task: object, *, args: Mapping[str, Any] | None = None, queue: str | None = None
) -> None:
    """Raise ``AssertionError`` if there is such an unfinished job."""
    if found := _matching(task, args, queue):
        raise AssertionError(f"expected no job of {_name_of(task)}, got {_shown(found)}")


def drain(*, queue: str | None = None, scheduled: bool = False) -> Drained:
    """Run the jobs that are due, and those that they enqueue, until none is left; with
    ``scheduled`` those that are due later too, each at once.

    Each runs in this thread, whatever its task's ``run_in`` is, inside the app's
    ``around``, without its middleware and time limits. An error is stored and logged as
    a node does. Raises ``RuntimeError`` after 10,000 attempts.
    """
    done = Drained()
    for _ in range(MOST):
        job = _next(queue, scheduled)
        if job is None:
            return done
        end = perform(job)
        setattr(done, end, getattr(done, end) + 1)
    raise RuntimeError(f"drain(): expected an end, got {MOST:,} attempts")


def _next(queue: str | None, scheduled: bool) -> Job | None:
    waiting = (JobState.AVAILABLE, JobState.SCHEDULED, JobState.RETRYABLE)
    jobs = _unfinished().filter(state__in=waiting)
    if queue is not None:
        jobs = jobs.filter(queue=queue)
    if not scheduled:
        jobs = jobs.filter(scheduled_at__lte=datetime.now(UTC))
    return jobs.order_by("priority", "scheduled_at", "id").first()


def _unfinished() -> Any:
    return Job.objects.filter(finished_at=None)


def _all() -> list[Job]:
    return list(_unfinished().order_by("id")[:20])


def _matching(task: object, args: Mapping[str, Any] | None, queue: str | None) -> list[Job]:
    return [
        job
        for job in all_enqueued(task, queue=queue)
        if all(name in job.args and job.args[name] == value for name, value in (args or {}).items())
    ]


def _name_of(task: object) -> str:
    """The name of a task of Elihu's, or of one of Django's."""
    if isinstance(task, str):
        return task
    name = task.name if isinstance(task, Task) else getattr(task, "module_path", None)
    if not isinstance(name, str):
        raise TypeError(f"expected a task or its name, got {task!r}")
    return name


def _shown(jobs: list[Job]) -> str:
    return ", ".join(f"{job.task} {job.args}" for job in jobs) or "no unfinished job"
