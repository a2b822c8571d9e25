"""``/api/system/throughput``, ``failures``, ``tasks`` and ``triggers``."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request
from pydantic import BaseModel, BeforeValidator, ConfigDict

from elihu.accounts.roles import Role
from elihu.web.api.jobs import Name
from elihu.web.api.paging import Page, as_number
from elihu.web.api.routes import Resource
from elihu.web.audit_rows import record
from elihu.web.auth import CurrentActor
from elihu.web.context import context_of

stats = Resource("/system", "system")

Step = Annotated[Literal[60, 300, 900, 3_600, 21_600, 86_400], BeforeValidator(as_number)]
"""Seconds; the address has them as text."""


class PointOut(BaseModel):
    """Attempts that ended within a step from ``at`` on. Number N of a histogram counts
    times below 4**N milliseconds that are in no earlier one; the last all longer ones.
    """

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    key: str | None
    outcome: str
    jobs: int
    run_ms: int
    wait_ms: int
    run_histogram: tuple[int, ...]
    wait_histogram: tuple[int, ...]


class FailureOut(BaseModel):
    """Jobs of one task that failed alike; ``ids`` are the latest ones."""

    model_config = ConfigDict(from_attributes=True)

    task: str
    error_type: str | None
    error: str
    jobs: int
    first_at: datetime
    last_at: datetime
    ids: tuple[int, ...]


class TaskOut(BaseModel):
    """A task that this server knows."""

    name: str
    queue: str
    max_attempts: int


class UsualOut(BaseModel):
    """The median of how many seconds the last 30 completed attempts took; null without."""

    task: str
    seconds: float | None


class TriggerOut(BaseModel):
    """A trigger on a model."""

    name: str
    model: str
    cron: str | None
    queue: str
    state: str
    task: str


class ScanOut(BaseModel):
    """How many records match, and how many jobs were stored."""

    model_config = ConfigDict(from_attributes=True)

    matched: int
    enqueued: int
    conflicts: int


@stats.get("/throughput")
async def throughput(
    request: Request,
    since: datetime,
    until: datetime,
    step: Step = 3_600,
    by: Literal["all", "queue", "task"] = "all",
    queue: Name = None,
    task: Name = None,
) -> Page[PointOut]:
    """How many attempts ended, how, and how long they took and their jobs waited. Minutes
    are kept for two days, hours for 90.
    """
    found = await context_of(request).app.stats.throughput(
        since=since, until=until, step=step, by=by, queue=queue, task=task
    )
    return Page(items=[PointOut.model_validate(point) for point in found])


@stats.get("/failures")
async def failures(
    request: Request, latest: Annotated[int, Query(ge=1, le=10_000)] = 1_000
) -> Page[FailureOut]:
    """The latest failed jobs, grouped by task and error; the largest group first."""
    found = await context_of(request).app.stats.failures(latest)
    return Page(items=[FailureOut.model_validate(group) for group in found])


@stats.get("/tasks")
async def list_tasks(request: Request) -> Page[TaskOut]:
    """The tasks of the app that this server has loaded."""
    app = context_of(request).app
    tasks = [app.task_named(name) for name in app.task_names()]
    return Page(
        items=[
            TaskOut(
                name=task.name, queue=task.options.queue, max_attempts=task.options.max_attempts
            )
            for task in tasks
        ]
    )


@stats.get("/tasks/{name:path}/usual")
async def usual_time(
    request: Request, name: Annotated[str, Path(min_length=1, max_length=200)]
) -> UsualOut:
    """How long a task usually takes."""
    return UsualOut(task=name, seconds=await context_of(request).app.stats.usual_time(name))


@stats.get("/triggers")
async def list_triggers(request: Request) -> Page[TriggerOut]:
    """The triggers of the app that this server has loaded."""
    return Page(items=[_trigger(trigger) for trigger in context_of(request).app.triggers])


@stats.post("/triggers/{name:path}/scan")
async def scan_trigger(
    request: Request,
    actor: CurrentActor,
    name: Annotated[str, Path(min_length=1, max_length=200)],
) -> ScanOut:
    """Store a job for each record that matches and has none."""
    context = context_of(request)
    counts = await context.app.triggers.get(name).scan()
    await record(context, actor, "trigger.scan", "trigger", object_id=name, object_name=name)
    return ScanOut.model_validate(counts)


def _add_action(action: Literal["pause", "resume"], about: str) -> None:
    async def act(
        request: Request,
        actor: CurrentActor,
        name: Annotated[str, Path(min_length=1, max_length=200)],
    ) -> TriggerOut:
        context = context_of(request)
        trigger = context.app.triggers.get(name)
        await getattr(context.app.crons, action)(trigger.scan_task.name)
        await record(
            context, actor, f"trigger.{action}", "trigger", object_id=name, object_name=name
        )
        return _trigger(trigger)

    act.__name__ = f"{action}_trigger"
    act.__doc__ = about
    stats.post(f"/triggers/{{name:path}}/{action}", role=Role.RUN)(act)


_add_action("pause", "Stop the scans of a trigger. Stored jobs still run.")
_add_action("resume", "Resume the scans of a trigger.")


def _trigger(trigger: Any) -> TriggerOut:
    options = trigger.options
    return TriggerOut(
        name=trigger.name,
        model=trigger.model.__name__,
        cron=options.cron,
        queue=options.queue,
        state=options.state,
        task=trigger.task_name,
    )
