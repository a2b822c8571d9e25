"""Cron entries of tasks: their forms, a reset to what the code declares, and new ones."""

import hashlib
import json
from typing import Any, Final
from zoneinfo import available_timezones

from fastapi import APIRouter
from starlette.responses import Response

from elihu import ChangedMeanwhile, CronEntry, ElihuError, UnknownTask
from elihu.secret_names import is_secret_name
from elihu.web.pages.editing import whole
from elihu.web.pages.kept import preview_of
from elihu.web.pages.visits import EditVisit, PageRoute, RunVisit, ViewVisit, Visit
from elihu.web.problems import Problem

router = APIRouter(route_class=PageRoute, include_in_schema=False)
KIND: Final = "cron_entry"
FIELDS: Final = ("cron", "tz", "catch_up", "args", "queue", "priority", "max_attempts", "tags")
NAMES: Final = {"cron": "expression", "tz": "timezone"}
"""The names of fields in forms, where they are others."""
_NEW: Final = {
    "name": "", "task": "", "expression": "", "timezone": "UTC", "catch_up": "last", "args": "{}",
    "queue": "", "priority": "", "max_attempts": "", "tags": "",
}  # fmt: skip


@router.post("/entries/change")
async def act(visit: RunVisit) -> Response:
    """Run, pause or resume an entry."""
    name, action = visit.text("entry"), visit.text("action")
    crons = visit.context.app.crons
    opened = None
    if action == "run":
        job = await crons.run_now(name)
        text, opened = f"Job {job.id} of {name} is stored.", f"/jobs/{job.id}"
    elif action in {"pause", "resume"}:
        await getattr(crons, action)(name)
        text = f"{name} is {action}d."
    else:
        raise Problem(422, "action: expected run, pause or resume")
    await visit.record(f"{KIND}.{action}", KIND, object_id=name, object_name=name)
    return visit.back("/triggers", text, open_=opened)


@router.get("/entries/new")
async def new_entry(visit: EditVisit) -> Response:
    """The form of an entry that no code declares."""
    return _form(visit, None, dict(_NEW))


@router.post("/entries/new")
async def create_entry(visit: EditVisit) -> Response:
    """Store one."""
    values, errors = _typed(visit)
    name, task = visit.text("name").strip(), visit.text("task").strip()
    if not errors:
        try:
            entry = await visit.context.app.crons.create(name, values.pop("cron"), task, **values)
        except ElihuError as error:
            errors = _at_field(error)
        else:
            await visit.record(
                f"{KIND}.add", KIND, object_id=name, object_name=name, after=_facts(entry)
            )
            return visit.go("/triggers", f"{name} is saved.", open_=f"/entries/{name}")
    return _form(visit, None, _as_typed(visit), errors)


@router.get("/entries/{name:path}")
async def show_entry(visit: ViewVisit, name: str) -> Response:
    """One, with its form."""
    entry = await visit.context.app.crons.get(name)
    return _form(visit, entry, _shown(entry))


@router.post("/entries/{name:path}/reset")
async def reset_entry(visit: EditVisit, name: str) -> Response:
    """Return an entry to what the code declares."""
    crons = visit.context.app.crons
    before = _facts(await crons.get(name))
    after = _facts(await crons.reset(name))
    await visit.record(
        f"{KIND}.reset", KIND, object_id=name, object_name=name, before=before, after=after
    )
    return visit.go(f"/entries/{name}", f"{name} is as the code declares it.")


@router.post("/entries/{name:path}/delete")
async def delete_entry(visit: EditVisit, name: str) -> Response:
    """Delete an entry that no code declares."""
    await visit.context.app.crons.delete(name)
    await visit.record(f"{KIND}.delete", KIND, object_id=name, object_name=name)
    return visit.go("/triggers", f"{name} is deleted.")


@router.post("/entries/{name:path}")
async def change_entry(visit: EditVisit, name: str) -> Response:
    """Change an entry until it is reset."""
    crons = visit.context.app.crons
    entry = await crons.get(name)
    before = _facts(entry)
    values, errors = _typed(visit)
    changes = {field: value for field, value in values.items() if value != before[field]}
    if visit.text("seen") != _seen(entry):
        return _form(visit, entry, _as_typed(visit), errors, both=_both(visit, entry))
    if not errors and changes:
        try:
            after = _facts(await crons.update(name, expected=entry, **changes))
        except ChangedMeanwhile:
            return await change_entry(visit, name)
        except ElihuError as error:
            errors = _at_field(error)
        else:
            await visit.record(
                f"{KIND}.change", KIND, object_id=name, object_name=name, before=before,
                after=after,
            )  # fmt: skip
    if errors:
        return _form(visit, entry, _as_typed(visit), errors)
    return visit.go(f"/entries/{name}", f"{name} is saved.")


def _form(
    visit: Visit, entry: CronEntry | None, values: dict[str, str],
    errors: dict[str, str] | None = None, both: list[tuple[str, str, str]] | None = None,
) -> Response:  # fmt: skip
    status = 422 if errors else 412 if both else 200
    return visit.page(
        "entry.html", status, entry=entry, values=values, errors=errors or {}, both=both or [],
        seen="" if entry is None else _seen(entry), zones=sorted(available_timezones()),
        preview=preview_of(values["expression"], values["timezone"], 10),
        has_secret=entry is not None and _has_secret(entry),
        tasks=sorted(visit.context.app.task_names()),
    )  # fmt: skip


def _facts(entry: CronEntry) -> dict[str, Any]:
    facts = {name: getattr(entry, name) for name in FIELDS}
    return facts | {"args": dict(entry.args), "tags": list(entry.tags)}


def _shown(entry: CronEntry) -> dict[str, str]:
    """The fields of an entry as its form shows them."""
    facts = _facts(entry)
    args = "" if _has_secret(entry) else json.dumps(facts["args"], indent=2, ensure_ascii=False)
    return {NAMES.get(name, name): str(facts[name]) for name in FIELDS} | {
        "name": entry.name, "task": entry.task, "tags": ", ".join(entry.tags), "args": args,
    }  # fmt: skip


def _has_secret(entry: CronEntry) -> bool:
    return any(is_secret_name(str(name)) for name in entry.args)


def _seen(entry: CronEntry) -> str:
    """What tells whether an entry was changed since its form was read."""
    text = json.dumps(_facts(entry), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _as_typed(visit: Visit) -> dict[str, str]:
    return {name: visit.text(name) for name in _NEW}


def _both(visit: Visit, entry: CronEntry) -> list[tuple[str, str, str]]:
    """The fields in which what is stored differs from what was typed."""
    stored = _shown(entry)
    return [
        (name, stored[name], visit.text(name))
        for name in (NAMES.get(each, each) for each in FIELDS)
        if stored[name].strip() != visit.text(name).replace("\r\n", "\n").strip()
    ]


def _typed(visit: Visit) -> tuple[dict[str, Any], dict[str, str]]:
    """The values of the form; a field that is left empty is not among them."""
    found: dict[str, Any] = {"cron": " ".join(visit.text("expression").split())}
    errors: dict[str, str] = {}
    for name in ("tz", "catch_up", "queue"):
        if text := visit.text(NAMES.get(name, name)).strip():
            found[name] = text
    for name in ("priority", "max_attempts"):
        number = whole(visit.text(name))
        if isinstance(number, str):
            errors[name] = f"expected a number, got {number[:40]!r}"
        elif number is not None:
            found[name] = number
    found["tags"] = [tag.strip() for tag in visit.text("tags").split(",") if tag.strip()]
    if text := visit.text("args").strip():
        try:
            found["args"] = json.loads(text)
            if not isinstance(found["args"], dict):
                errors["args"] = "expected an object: names and values"
        except ValueError as error:
            errors["args"] = f"expected JSON: {error}"
    return found, errors


def _at_field(error: ElihuError) -> dict[str, str]:
    """The field that an error names; the expression where it names none."""
    words = str(error).partition(": expected")[0].replace(":", " ").split()
    named = (NAMES.get(word, word) for word in reversed(words))
    field = next((name for name in named if name in _NEW), "expression")
    return {"task" if isinstance(error, UnknownTask) else field: str(error)}
