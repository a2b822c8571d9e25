"""``/api/runs``, ``/api/events``, and what starts and ends runs."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Request
from pydantic import BaseModel, ConfigDict, Field

from elihu.accounts import audit
from elihu.commands.admission import Pair, pair_of
from elihu.commands.models import CommandJob, EventStatus, Source, Status
from elihu.commands.rules import commands as command_rules
from elihu.commands.rules import history
from elihu.commands.rules import runs as rules
from elihu.commands.usual import usual_of, usual_seconds
from elihu.web.api.changes import IdempotencyKey, once
from elihu.web.api.edited import Search, commands
from elihu.web.api.editing import RecordId
from elihu.web.api.models import Given
from elihu.web.api.paging import Limit, Page
from elihu.web.api.routes import Resource
from elihu.web.auth import CurrentActor
from elihu.web.context import Context, context_of
from elihu.web.problems import Problem
from elihu.web.reads.runs import TooMany, histogram

runs = Resource("/runs", "runs")
events = Resource("/events", "events")
KIND = "run"
MOST_STEPS = 1_000


class RunOut(BaseModel):
    """A run. Names and texts are as they were; ``peak_memory`` is in bytes, ``cpu_time`` in
    seconds.
    """

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    command_id: UUID | None
    command_name: str
    schedule_id: UUID | None
    environment_id: UUID | None
    environment_name: str
    cron_id: UUID | None
    cron_expression: str | None
    shell_command: str
    job_id: int | None
    source: Source
    forced: bool
    occurrence: datetime | None
    status: Status
    reason: str | None
    attempt: int
    max_attempts: int
    node: str | None
    exit_code: int | None
    signal: int | None
    peak_memory: int | None
    cpu_time: float | None
    dropped_bytes: int | None
    created_at: datetime
    due_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    late_at: datetime | None
    long_at: datetime | None


class OneRunOut(RunOut):
    """A run, and how many seconds such runs usually take; null where none succeeded."""

    usual_seconds: float | None = None


class EventOut(BaseModel):
    """What happened to a run, with excerpts of what the attempt wrote."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    run_id: Annotated[UUID, Field(validation_alias="command_job_id")]
    command_id: UUID | None
    attempt: int
    status: EventStatus
    reason: str | None
    exit_code: int | None
    signal: int | None
    started_at: datetime | None
    finished_at: datetime | None
    duration_ms: int | None
    stdout: str
    stderr: str


class StepOut(BaseModel):
    """Runs of one status that were made within a step from ``at`` on."""

    at: datetime
    status: str
    runs: int


class RunIn(Given):
    """Where to run. Without an environment it is the first enabled one of the command's
    schedules.
    """

    environment_id: UUID | None = None
    force: bool = False


class RunLaterIn(RunIn):
    """When to run: in so many seconds."""

    delay_seconds: Annotated[float, Field(ge=1, le=31_622_400)]


@runs.get()
async def list_runs(
    request: Request,
    command_id: UUID | None = None,
    environment_id: UUID | None = None,
    schedule_id: UUID | None = None,
    status: Annotated[list[Status] | None, Query(max_length=10)] = None,
    since: datetime | None = None,
    until: datetime | None = None,
    text: Search = None,
    after: UUID | None = None,
    limit: Limit = 50,
) -> Page[RunOut]:
    """Runs, newest first. A page reads a bounded number of runs, so that it may be short while
    ``next`` is not null.
    """
    _check_zones(since, until)
    async with context_of(request).sessions.read() as session:
        page = await history.find_all(
            session, command_id=command_id, environment_id=environment_id,
            schedule_id=schedule_id, statuses=tuple(dict.fromkeys(status or ())), since=since,
            until=until, text=text, after=after, limit=limit,
        )  # fmt: skip
        return Page(
            items=[RunOut.model_validate(run) for run in page.items],
            next=None if page.next is None else str(page.next),
        )


@runs.get("/histogram")
async def count_runs(
    request: Request,
    since: datetime,
    until: datetime,
    step: Annotated[int, Query(ge=60, le=604_800)] = 3_600,
    command_id: UUID | None = None,
    environment_id: UUID | None = None,
) -> Page[StepOut]:
    """How many runs were made in each step of so many seconds, by their status now; at
    most 1,000 steps.
    """
    _check_zones(since, until)
    if not 0 < (until - since).total_seconds() <= MOST_STEPS * step:
        raise Problem(
            422, f"expected until after since, and at most {MOST_STEPS:,} steps between them",
            errors=[("until", "expected another time, or a longer step")],
        )  # fmt: skip
    try:
        async with context_of(request).sessions.read() as session:
            found = await histogram(
                session, since, until, step, command_id=command_id, environment_id=environment_id
            )
    except TooMany as error:
        raise Problem(
            422, f"{error}: give a shorter time, or a command or an environment",
            errors=[("until", "expected a shorter time")],
        ) from error  # fmt: skip
    return Page(items=[StepOut(at=at, status=status, runs=n) for at, status, n in found])


@runs.get("/{id}")
async def get_run(request: Request, record_id: RecordId) -> OneRunOut:
    """One run."""
    return await shown_run(context_of(request), record_id)


@runs.post("/{id}/kill")
async def kill_run(request: Request, actor: CurrentActor, record_id: RecordId) -> RunOut:
    """End a run, whatever attempts are left. One that waits is cancelled."""
    context = context_of(request)
    async with context.sessions.begin() as session:
        run = await rules.kill(session, context.host, record_id)
        shown = RunOut.model_validate(run)
        await audit.record(
            session, actor, "run.kill", KIND, object_id=run.id, object_name=run.command_name
        )
    return shown


@commands.post("/{id}/run", status_code=201)
async def run_command(
    request: Request,
    actor: CurrentActor,
    record_id: RecordId,
    given: RunIn | None = None,
    key: IdempotencyKey = None,
) -> RunOut:
    """Run a command now. What the rule of overlap leaves out is a run that was skipped."""
    wanted = given or RunIn()

    async def work(session: Any) -> dict[str, Any]:
        run = await rules.run(session, context_of(request).host, record_id, **wanted.model_dump())
        return await _started(session, actor, "run", run)

    return await _once(request, actor, key, wanted, work)


@commands.post("/{id}/run_in", status_code=201)
async def run_command_later(
    request: Request,
    actor: CurrentActor,
    record_id: RecordId,
    given: RunLaterIn,
    key: IdempotencyKey = None,
) -> RunOut:
    """Run a command later."""

    async def work(session: Any) -> dict[str, Any]:
        run = await rules.run_in(session, context_of(request).host, record_id, **given.model_dump())
        return await _started(session, actor, "run_in", run)

    return await _once(request, actor, key, given, work)


@commands.post("/{id}/retry_last_failed", status_code=201)
async def retry_last_failed(
    request: Request, actor: CurrentActor, record_id: RecordId, key: IdempotencyKey = None
) -> RunOut:
    """Run a command again in the environment of its last run that did not succeed."""

    async def work(session: Any) -> dict[str, Any]:
        run = await rules.retry_last_failed(session, context_of(request).host, record_id)
        return await _started(session, actor, "retry_last_failed", run)

    return await _once(request, actor, key, None, work)


@commands.get("/{id}/usual")
async def usual_times(request: Request, record_id: RecordId) -> dict[UUID, float | None]:
    """How many seconds a command usually takes, by environment of its last 100 runs."""
    async with context_of(request).sessions.read() as session:
        await command_rules.get(session, record_id)
        page = await history.find_all(session, command_id=record_id, limit=100)
        usual = await usual_of(session, [pair for run in page.items if (pair := pair_of(run))])
        return {pair.environment_id: seconds for pair, seconds in usual.items()}


@events.get()
async def list_events(
    request: Request,
    command_id: UUID | None = None,
    run_id: UUID | None = None,
    after: UUID | None = None,
    limit: Limit = 50,
) -> Page[EventOut]:
    """Events of a command, of a run, or of all; newest first."""
    async with context_of(request).sessions.read() as session:
        page = await history.events(
            session, command_id=command_id, run_id=run_id, after=after, limit=limit
        )
        return Page(
            items=[EventOut.model_validate(each) for each in page.items],
            next=None if page.next is None else str(page.next),
        )


@events.get("/{id}")
async def get_event(request: Request, record_id: RecordId) -> EventOut:
    """One event."""
    async with context_of(request).sessions.read() as session:
        return EventOut.model_validate(await history.event(session, record_id))


@events.post("/{id}/retry", status_code=201)
async def retry_event(
    request: Request, actor: CurrentActor, record_id: RecordId, key: IdempotencyKey = None
) -> RunOut:
    """Run the command of an event again, in the same environment and with the same cron."""

    async def work(session: Any) -> dict[str, Any]:
        run = await rules.retry(session, context_of(request).host, record_id)
        return await _started(session, actor, "retry", run)

    return await _once(request, actor, key, None, work)


async def shown_run(context: Context, run_id: UUID) -> OneRunOut:
    """A run with its usual time."""
    async with context.sessions.read() as session:
        run = await history.get(session, run_id)
        usual = None
        if run.command_id is not None and run.environment_id is not None:
            usual = await usual_seconds(session, Pair(run.command_id, run.environment_id))
        return OneRunOut.model_validate(run).model_copy(update={"usual_seconds": usual})


async def _started(session: Any, actor: Any, action: str, run: CommandJob) -> dict[str, Any]:
    await audit.record(
        session, actor, f"command.{action}", "command", object_id=run.command_id,
        object_name=run.command_name,
        after={"run": run.id, "environment": run.environment_name, "status": run.status},
    )  # fmt: skip
    return RunOut.model_validate(run).model_dump(mode="json")


async def _once(
    request: Request, actor: Any, key: str | None, given: BaseModel | None, work: Any
) -> RunOut:
    return RunOut.model_validate(await once(request, context_of(request), actor, key, given, work))


def _check_zones(*times: datetime | None) -> None:
    if any(time is not None and time.tzinfo is None for time in times):
        raise Problem(422, "expected times with a zone", errors=[("since", "add Z or an offset")])
