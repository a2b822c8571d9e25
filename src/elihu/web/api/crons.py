"""``/api/system/crons``: the cron entries of tasks."""

from datetime import datetime
from functools import partial
from typing import Annotated, Any

from fastapi import Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from elihu import Elihu
from elihu.accounts.roles import Role
from elihu.web.api.changes import IfMatch, answering_lost, digest_tag, expected_of
from elihu.web.api.jobs import JobOut, Text
from elihu.web.api.paging import Page
from elihu.web.api.routes import Resource
from elihu.web.audit_rows import record
from elihu.web.auth import CurrentActor
from elihu.web.context import context_of

entries = Resource("/system/crons", "system")
KIND = "cron_entry"

EntryName = Annotated[str, Path(alias="name", min_length=1, max_length=200)]
_Expression = Annotated[str, Field(min_length=1, max_length=200)]
_Priority = Annotated[int, Field(ge=0, le=9)]
_Attempts = Annotated[int, Field(ge=1, le=1_000_000)]
_Tags = Annotated[list[Text], Field(max_length=100)]


class EntryOut(BaseModel):
    """A cron entry. ``error`` says why one cannot be read."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    cron: str
    tz: str
    catch_up: str
    task: str
    args: Any
    queue: str
    priority: int
    max_attempts: int
    tags: tuple[str, ...]
    meta: Any
    source: str
    paused: bool
    fires: bool
    changed: tuple[str, ...]
    next_at: datetime | None
    fired_at: datetime | None
    job_id: int | None
    created_at: datetime
    updated_at: datetime
    error: str | None


class EntryChange(BaseModel):
    """What to change."""

    model_config = ConfigDict(extra="forbid")

    cron: _Expression | None = None
    tz: Text | None = None
    catch_up: Text | None = None
    args: dict[str, Any] | None = None
    queue: Text | None = None
    priority: _Priority | None = None
    max_attempts: _Attempts | None = None
    tags: _Tags | None = None
    meta: dict[str, Any] | None = None


class EntryIn(EntryChange):
    """A new entry."""

    name: Text
    task: Text
    cron: _Expression
    paused: bool = False


@entries.get()
async def list_entries(request: Request, system: bool = False) -> Page[EntryOut]:
    """All entries, by name; ``system`` shows those of the command scheduler too."""
    found = await context_of(request).app.crons.list(system=system)
    return Page(items=[EntryOut.model_validate(entry) for entry in found])


@entries.post(role=Role.EDIT, status_code=201)
async def create_entry(
    request: Request, response: Response, actor: CurrentActor, given: EntryIn
) -> EntryOut:
    """Store an entry without code."""
    context = context_of(request)
    values = given.model_dump(exclude_none=True)
    name, cron, task = values.pop("name"), values.pop("cron"), values.pop("task")
    shown = EntryOut.model_validate(await context.app.crons.create(name, cron, task, **values))
    await record(
        context, actor, "cron_entry.add", KIND, object_id=name, object_name=name,
        after=given.model_dump(exclude_none=True),
    )  # fmt: skip
    response.headers["ETag"] = digest_tag(_compared(shown))
    return shown


def _add_action(action: str, role: Role, about: str) -> None:
    async def act(request: Request, actor: CurrentActor, name: EntryName) -> EntryOut:
        context = context_of(request)
        entry = await getattr(context.app.crons, action)(name)
        await record(context, actor, f"cron_entry.{action}", KIND, object_id=name, object_name=name)
        return EntryOut.model_validate(entry)

    act.__name__ = f"{action}_entry"
    act.__doc__ = about
    entries.post(f"/{{name:path}}/{action}", role=role)(act)


_add_action("pause", Role.RUN, "Stop an entry until it is resumed.")
_add_action("resume", Role.RUN, "Resume an entry; it has missed no ticks.")
_add_action("reset", Role.EDIT, "Return an entry to what the code declares.")


@entries.post("/{name:path}/run")
async def run_entry(request: Request, actor: CurrentActor, name: EntryName) -> JobOut:
    """Store the job of an entry now."""
    context = context_of(request)
    job = await context.app.crons.run_now(name)
    await record(context, actor, "cron_entry.run", KIND, object_id=name, object_name=name)
    return JobOut.model_validate(job)


@entries.get("/{name:path}")
async def get_entry(request: Request, response: Response, name: EntryName) -> EntryOut:
    """One entry."""
    shown = EntryOut.model_validate(await context_of(request).app.crons.get(name))
    response.headers["ETag"] = digest_tag(_compared(shown))
    return shown


@entries.patch("/{name:path}")
async def change_entry(
    request: Request,
    response: Response,
    actor: CurrentActor,
    name: EntryName,
    given: EntryChange,
    if_match: IfMatch = None,
) -> EntryOut:
    """Change an entry until it is reset."""
    context = context_of(request)
    crons, values = context.app.crons, given.model_dump(exclude_none=True)
    async with answering_lost(partial(_current, context.app, name), values):
        entry = await crons.get(name)
        before = EntryOut.model_validate(entry)
        expected = expected_of(if_match, _compared(before), values, entry)
        changed = await crons.update(name, expected=expected, **values)
    shown = EntryOut.model_validate(changed)
    await record(
        context, actor, "cron_entry.change", KIND, object_id=name, object_name=name,
        before=before.model_dump(include=set(values)), after=shown.model_dump(include=set(values)),
    )  # fmt: skip
    response.headers["ETag"] = digest_tag(_compared(shown))
    return shown


@entries.delete("/{name:path}", status_code=204)
async def delete_entry(
    request: Request, actor: CurrentActor, name: EntryName, if_match: IfMatch = None
) -> None:
    """Delete an entry that no code declares."""
    context = context_of(request)
    async with answering_lost(partial(_current, context.app, name), {}):
        entry = await context.app.crons.get(name)
        shown = _compared(EntryOut.model_validate(entry))
        await context.app.crons.delete(name, expected=expected_of(if_match, shown, {}, entry))
    await record(context, actor, "cron_entry.delete", KIND, object_id=name, object_name=name)


async def _current(app: Elihu, name: str) -> EntryOut:
    return _compared(EntryOut.model_validate(await app.crons.get(name)))


def _compared(entry: EntryOut) -> EntryOut:
    """The entry without what changes by itself."""
    return entry.model_copy(
        update={"next_at": None, "fired_at": None, "job_id": None, "fires": False}
    )
