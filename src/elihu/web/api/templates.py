"""``/api/system/templates``: job kinds in the database."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from elihu import Elihu
from elihu.accounts.roles import Role
from elihu.web.api.changes import IfMatch, answering_lost, digest_tag, expected_of
from elihu.web.api.jobs import JobOut, Text
from elihu.web.api.paging import Limit, Page
from elihu.web.api.routes import Resource
from elihu.web.audit_rows import record
from elihu.web.auth import CurrentActor
from elihu.web.context import context_of

templates = Resource("/system/templates", "system")
KIND = "template"

Code = Annotated[str, Path(alias="code", min_length=1, max_length=200)]
_Timeout = Annotated[float, Field(gt=0, le=31_622_400)]
_Attempts = Annotated[int, Field(ge=1, le=1_000_000)]
_Order = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]


class TemplateOut(BaseModel):
    """A job kind. ``schema`` is the JSON Schema of its context."""

    model_config = ConfigDict(from_attributes=True, populate_by_name=True)

    code: str
    name: str
    task: str
    queue: str
    schema_: Annotated[Any, Field(alias="schema")]
    default_timeout: float | None
    default_max_attempts: int
    active: bool
    display_order: int
    inserted_at: datetime
    updated_at: datetime


class TemplateChange(BaseModel):
    """What to change."""

    model_config = ConfigDict(extra="forbid")

    name: Text | None = None
    task: Text | None = None
    queue: Text | None = None
    schema_: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    default_timeout: _Timeout | None = None
    default_max_attempts: _Attempts | None = None
    active: bool | None = None
    display_order: _Order | None = None


class TemplateIn(TemplateChange):
    """A new job kind."""

    code: Text
    name: Text
    task: Text
    schema_: Annotated[dict[str, Any], Field(alias="schema")]


class TemplateJobIn(BaseModel):
    """A job of a template."""

    model_config = ConfigDict(extra="forbid")

    context: dict[str, Any]
    identifier: Text | None = None
    priority: Annotated[int, Field(ge=0, le=9)] | None = None
    timeout: _Timeout | None = None
    max_attempts: _Attempts | None = None
    run: Literal["queued", "wake", "now"] = "queued"


@templates.get()
async def list_templates(
    request: Request,
    active: bool | None = None,
    after: Annotated[str | None, Query(max_length=200)] = None,
    limit: Limit = 50,
) -> Page[TemplateOut]:
    """Job kinds in their display order."""
    page = await context_of(request).app.templates.list(active=active, after=after, limit=limit)
    return Page(items=[TemplateOut.model_validate(each) for each in page.items], next=page.next)


@templates.post(role=Role.EDIT, status_code=201)
async def create_template(
    request: Request, response: Response, actor: CurrentActor, given: TemplateIn
) -> TemplateOut:
    """Store a job kind."""
    context = context_of(request)
    values = given.model_dump(exclude_none=True, by_alias=True)
    shown = TemplateOut.model_validate(await context.app.templates.create(**values))
    await record(
        context, actor, "template.add", KIND, object_id=shown.code, object_name=shown.name,
        after=values,
    )  # fmt: skip
    response.headers["ETag"] = digest_tag(shown)
    return shown


@templates.post("/{code:path}/enqueue", status_code=201)
async def enqueue_template(
    request: Request, actor: CurrentActor, code: Code, given: TemplateJobIn
) -> JobOut:
    """Store a job of a template. Its ``identifier`` makes a repeated request do nothing."""
    context = context_of(request)
    values = given.model_dump(exclude_none=True)
    job = await context.app.templates.enqueue(code, values.pop("context"), **values)
    await record(context, actor, "template.enqueue", KIND, object_id=code, after={"job": job.id})
    return JobOut.model_validate(job)


@templates.get("/{code:path}")
async def get_template(request: Request, response: Response, code: Code) -> TemplateOut:
    """One job kind."""
    shown = TemplateOut.model_validate(await context_of(request).app.templates.get(code))
    response.headers["ETag"] = digest_tag(shown)
    return shown


@templates.patch("/{code:path}")
async def change_template(
    request: Request,
    response: Response,
    actor: CurrentActor,
    code: Code,
    given: TemplateChange,
    if_match: IfMatch = None,
) -> TemplateOut:
    """Change a job kind. Stored jobs keep what they have."""
    context = context_of(request)
    templates = context.app.templates
    values = given.model_dump(exclude_none=True, by_alias=True)
    async with answering_lost(partial(_current, context.app, code), values):
        template = await templates.get(code)
        before = TemplateOut.model_validate(template)
        expected = expected_of(if_match, before, values, template)
        changed = await templates.update(code, expected=expected, **values)
    shown = TemplateOut.model_validate(changed)
    old = before.model_dump(by_alias=True)
    await record(
        context, actor, "template.change", KIND, object_id=code, object_name=shown.name,
        before={name: old[name] for name in values}, after=values,
    )  # fmt: skip
    response.headers["ETag"] = digest_tag(shown)
    return shown


@templates.delete("/{code:path}", status_code=204)
async def delete_template(
    request: Request, actor: CurrentActor, code: Code, if_match: IfMatch = None
) -> None:
    """Delete a job kind. Its jobs stay."""
    context = context_of(request)
    async with answering_lost(partial(_current, context.app, code), {}):
        template = await context.app.templates.get(code)
        shown = TemplateOut.model_validate(template)
        expected = expected_of(if_match, shown, {}, template)
        await context.app.templates.delete(code, expected=expected)
    await record(context, actor, "template.delete", KIND, object_id=code)


async def _current(app: Elihu, code: str) -> TemplateOut:
    return TemplateOut.model_validate(await app.templates.get(code))
