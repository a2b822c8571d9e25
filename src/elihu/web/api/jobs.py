"""``/api/system/jobs``: lists, one job, and what can be done with jobs."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from elihu import Elihu, Job, JobState, JobSummary, RunOutcome
from elihu.accounts.roles import Role
from elihu.web.api.changes import (
    IdempotencyKey,
    IfMatch,
    answering_lost,
    digest_tag,
    expected_of,
    once,
)
from elihu.web.api.paging import After, Limit, Page
from elihu.web.api.routes import Resource
from elihu.web.audit_rows import record
from elihu.web.auth import CurrentActor
from elihu.web.context import context_of
from elihu.web.problems import Problem

jobs = Resource("/system/jobs", "system")
KIND = "job"
LARGEST = 2**63 - 1
MOST = 10_000
_PIECE = 1_000

JobId = Annotated[int, Path(alias="id", ge=1, le=LARGEST)]
Text = Annotated[str, Field(min_length=1, max_length=200)]
Name = Annotated[str | None, Query(max_length=200)]


class JobOut(BaseModel):
    """A whole job."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    state: JobState
    queue: str
    task: str
    args: Any
    meta: Any
    tags: tuple[str, ...]
    priority: int
    attempt: int
    max_attempts: int
    unique_key: str | None
    inserted_at: datetime
    scheduled_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    reason: str | None
    result: Any
    progress: Any
    node: str | None
    template: str | None
    identifier: str | None
    expires_at: datetime | None
    occurrence: datetime | None


class SummaryOut(BaseModel):
    """A job in a list, without arguments, result and ``meta``."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    state: JobState
    queue: str
    task: str
    tags: tuple[str, ...]
    priority: int
    attempt: int
    max_attempts: int
    inserted_at: datetime
    scheduled_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    reason: str | None
    node: str | None
    template: str | None
    identifier: str | None
    expires_at: datetime | None
    occurrence: datetime | None


class RunOut(BaseModel):
    """One attempt of a job."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    job_id: int
    claim: int
    attempt: int
    node: str | None
    started_at: datetime
    ended_at: datetime | None
    outcome: RunOutcome | None
    reason: str | None
    error: str | None
    traceback: str | None
    log: str | None


class CountOut(BaseModel):
    """A number of jobs; ``more`` where the count ended at its bound."""

    model_config = ConfigDict(from_attributes=True)

    number: int
    more: bool


class JobIn(BaseModel):
    """A job to store. ``args`` are the task's keywords."""

    model_config = ConfigDict(extra="forbid")

    task: Text
    args: dict[str, Any] = {}
    queue: Text | None = None
    priority: Annotated[int, Field(ge=0, le=9)] | None = None
    max_attempts: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    delay: Annotated[float, Field(ge=0, le=3_162_240_000)] | None = None
    tags: Annotated[list[Text], Field(max_length=100)] | None = None


class JobChange(BaseModel):
    """What to change in an unfinished job that is not executing."""

    model_config = ConfigDict(extra="forbid")

    args: dict[str, Any] | None = None
    queue: Text | None = None
    priority: Annotated[int, Field(ge=0, le=9)] | None = None
    run_at: datetime | None = None
    max_attempts: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    tags: Annotated[list[Text], Field(max_length=100)] | None = None
    meta: dict[str, Any] | None = None


class Filter(BaseModel):
    """Which jobs; at least one field. A list matches any of its values."""

    model_config = ConfigDict(extra="forbid")

    state: JobState | None = None
    queue: Annotated[list[Text], Field(max_length=100)] | None = None
    task: Annotated[list[Text], Field(max_length=100)] | None = None
    tags: Annotated[list[Text], Field(max_length=100)] | None = None
    template: Annotated[list[Text], Field(max_length=100)] | None = None


class Bulk(BaseModel):
    """An action on ids, or on at most ``most`` jobs that a filter matches."""

    model_config = ConfigDict(extra="forbid")

    action: Literal["retry", "cancel", "kill", "hold", "release", "delete"]
    ids: Annotated[list[Annotated[int, Field(ge=1, le=LARGEST)]], Field(max_length=MOST)] | None = (
        None
    )
    filter: Filter | None = None
    most: Annotated[int, Field(ge=1, le=MOST)] = _PIECE


class Changed(BaseModel):
    """How many jobs changed; ``more`` where more match than were to be changed."""

    changed: int
    more: bool = False


@jobs.get()
async def list_jobs(
    request: Request,
    state: JobState | None = None,
    queue: Name = None,
    task: Name = None,
    tag: Name = None,
    template: Name = None,
    node: Name = None,
    system: bool = False,
    after: After = None,
    limit: Limit = 50,
) -> Page[SummaryOut]:
    """Summaries. Of one state: available jobs in the order of fetch, scheduled and
    retryable ones by time, others newest first. A page reads a bounded number of jobs, so
    that it may be short while ``next`` is not null. ``system`` shows those of the command
    scheduler too.
    """
    page = await context_of(request).app.jobs.summaries(
        state=state, queue=queue, task=task, tags=tag, template=template, node=node,
        system=system, after=after, limit=limit,
    )  # fmt: skip
    return Page(items=[_summary(job) for job in page.items], next=page.next)


@jobs.post(role=Role.EDIT, status_code=201)
async def enqueue(
    request: Request, actor: CurrentActor, given: JobIn, key: IdempotencyKey = None
) -> JobOut:
    """Store a job of a task that this server knows. Any task may be given, so that it
    needs the role of who edits what runs.
    """
    context = context_of(request)
    task = context.app.task_named(given.task)
    options = {
        name: value
        for name in ("queue", "priority", "max_attempts", "delay", "tags")
        if (value := getattr(given, name)) is not None
    }
    new = task.using(**options).build(**given.args)

    async def work(session: Any) -> dict[str, Any]:
        return _whole(await context.app.aenqueue(new, conn=session)).model_dump(mode="json")

    shown = JobOut.model_validate(await once(request, context, actor, key, given, work))
    await record(context, actor, "job.enqueue", KIND, object_id=shown.id, object_name=shown.task)
    return shown


@jobs.get("/counts")
async def count_jobs(request: Request) -> dict[JobState, CountOut]:
    """The number of jobs of each state, counted up to 10,000."""
    found = await context_of(request).app.stats.counts()
    return {state: CountOut.model_validate(count) for state, count in found.items()}


@jobs.post("/bulk")
async def change_jobs(request: Request, actor: CurrentActor, given: Bulk) -> Changed:
    """Retry, cancel, kill, hold, release or delete many jobs. Deleting needs the role
    edit.
    """
    if given.action == "delete" and not actor.role.allows(Role.EDIT):
        raise Problem(403, f"this needs the role edit, and {actor.name} has {actor.role}")
    if (given.ids is None) == (given.filter is None):
        raise Problem(422, "expected ids or a filter", errors=[("ids", "give one of the two")])
    context = context_of(request)
    more = False
    ids = given.ids
    if given.filter is not None:
        ids, more = await _matching(context.app, given.filter, given.most)
    verb = getattr(context.app.jobs, given.action)
    done = await verb(ids=ids)
    await record(
        context, actor, f"job.{given.action}", KIND,
        after={"changed": done, "filter": given.filter and given.filter.model_dump(mode="json"),
               "ids": (given.ids or [])[:100]},
    )  # fmt: skip
    return Changed(changed=done, more=more)


@jobs.get("/{id}")
async def get_job(request: Request, response: Response, job_id: JobId) -> JobOut:
    """One job, whole."""
    shown = _whole(await context_of(request).app.jobs.get(job_id))
    response.headers["ETag"] = digest_tag(shown)
    return shown


@jobs.patch("/{id}")
async def change_job(
    request: Request,
    response: Response,
    actor: CurrentActor,
    job_id: JobId,
    given: JobChange,
    if_match: IfMatch = None,
) -> JobOut:
    """Change an unfinished job that is not executing."""
    context = context_of(request)
    app, wanted = context.app, given.model_dump(mode="json", exclude_none=True)
    values = given.model_dump(exclude_none=True)
    async with answering_lost(partial(_current, app, job_id), wanted):
        job = await app.jobs.get(job_id)
        before = _whole(job)
        expected = expected_of(if_match, before, wanted, job)
        shown = _whole(await app.jobs.update(job_id, expected=expected, **values))
    await record(
        context, actor, "job.change", KIND, object_id=job_id, object_name=shown.task,
        before={name: getattr(before, _COLUMN.get(name, name)) for name in values},
        after={name: getattr(shown, _COLUMN.get(name, name)) for name in values},
    )  # fmt: skip
    response.headers["ETag"] = digest_tag(shown)
    return shown


@jobs.delete("/{id}", status_code=204)
async def delete_job(
    request: Request, actor: CurrentActor, job_id: JobId, if_match: IfMatch = None
) -> None:
    """Delete a job that is not executing, with its runs."""
    context = context_of(request)
    async with answering_lost(partial(_current, context.app, job_id), {}):
        job = await context.app.jobs.get(job_id)
        expected = expected_of(if_match, _whole(job), {}, job)
        ids = () if expected else (job_id,)
        deleted = await context.app.jobs.delete(*ids, expected=expected)
    if not deleted:
        raise Problem(409, f"job {job_id} is executing: cancel or kill it first")
    await record(context, actor, "job.delete", KIND, object_id=job_id, object_name=job.task)


async def _current(app: Elihu, job_id: int) -> JobOut:
    return _whole(await app.jobs.get(job_id))


@jobs.get("/{id}/runs")
async def list_runs(
    request: Request,
    job_id: JobId,
    after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    limit: Limit = 50,
) -> Page[RunOut]:
    """The attempts of a job, first to last."""
    found = await context_of(request).app.jobs.runs(job_id, after=after, limit=limit)
    following = str(found[-1].claim) if len(found) == limit else None
    return Page(items=[RunOut.model_validate(run) for run in found], next=following)


def _add_action(action: str, about: str) -> None:
    async def act(request: Request, actor: CurrentActor, job_id: JobId) -> Changed:
        context = context_of(request)
        job = await context.app.jobs.get(job_id)
        done = await getattr(context.app.jobs, action)(job_id)
        await record(context, actor, f"job.{action}", KIND, object_id=job_id, object_name=job.task)
        return Changed(changed=1 if done is None else done)

    act.__name__ = f"{action}_job"
    act.__doc__ = about
    jobs.post(f"/{{id}}/{action}")(act)


for _action, _about in {
    "retry": "Make a job available again, from any state but executing.",
    "cancel": "Cancel an unfinished job; of an executing one the attempt is ended.",
    "kill": "End the attempt of an executing job; it is retried, or discarded.",
    "stop": "Give an executing job back without ending its attempt.",
    "hold": "Suspend a scheduled, available or retryable job.",
    "release": "Release a suspended job.",
}.items():
    _add_action(_action, _about)

_COLUMN: Mapping[str, str] = {"run_at": "scheduled_at"}


def _whole(job: Job) -> JobOut:
    return JobOut.model_validate(job)


def _summary(job: JobSummary) -> SummaryOut:
    return SummaryOut.model_validate(job)


async def _matching(app: Elihu, wanted: Filter, most: int) -> tuple[list[int], bool]:
    """The ids of at most ``most`` jobs, and whether there are more."""
    filters = wanted.model_dump(exclude_none=True)
    if not filters:
        raise Problem(422, "filter: expected one field at least")
    ids: list[int] = []
    after = None
    while True:
        page = await app.jobs.summaries(**filters, after=after, limit=_PIECE)
        ids += [job.id for job in page.items]
        after = page.next
        if len(ids) > most or after is None:
            return ids[:most], len(ids) > most
