"""Job templates: lists, forms, and jobs made from them."""

import json
from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from elihu import ChangedMeanwhile, ElihuError, Template, UnknownTask
from elihu.web.pages.editing import decimal, whole
from elihu.web.pages.visits import EditVisit, PageRoute, RunVisit, ViewVisit, Visit

router = APIRouter(route_class=PageRoute, include_in_schema=False)
KIND: Final = "template"
FIELDS: Final = (
    "name", "task", "queue", "schema", "default_timeout", "default_max_attempts", "active",
    "display_order",
)  # fmt: skip
_NEW: Final = {
    "code": "", "name": "", "task": "", "queue": "", "default_timeout": "60",
    "default_max_attempts": "3", "display_order": "0", "active": "on",
    "schema": json.dumps({"type": "object", "properties": {}}, indent=2),
}  # fmt: skip


@router.get("/templates")
async def list_templates(visit: ViewVisit, after: str = "") -> Response:
    """Job kinds in their order."""
    page = await visit.context.app.templates.list(after=after[:200] or None, limit=50)
    return visit.page("templates.html", templates=page.items, next=page.next)


@router.get("/templates/new")
async def new_template(visit: EditVisit) -> Response:
    """The form of a new one."""
    return _form(visit, None, dict(_NEW))


@router.post("/templates/new")
async def create_template(visit: EditVisit) -> Response:
    """Store one."""
    values, errors = _typed(visit)
    if not errors:
        try:
            template = await visit.context.app.templates.create(
                visit.text("code").strip(), **values
            )
        except ElihuError as error:
            errors = _at_field(error)
        else:
            await visit.record(
                "template.add", KIND, object_id=template.code, object_name=template.name,
                after=_facts(template),
            )  # fmt: skip
            return visit.go(f"/templates/{template.code}", f"{template.name} is saved.")
    return _form(visit, None, _as_typed(visit), errors)


@router.get("/templates/{code:path}/edit")
async def edit_template(visit: EditVisit, code: str) -> Response:
    """The form of one."""
    template = await visit.context.app.templates.get(code)
    return _form(visit, template, _shown(template))


@router.get("/templates/{code:path}")
async def show_template(visit: ViewVisit, code: str) -> Response:
    """One, with the form of a job."""
    template = await visit.context.app.templates.get(code)
    return visit.page(
        "template.html", template=template, values={"context": "{}", "identifier": ""}
    )


@router.post("/templates/{code:path}/enqueue")
async def enqueue_template(visit: RunVisit, code: str) -> Response:
    """Store a job of a template."""
    app = visit.context.app
    values = {"context": visit.text("context"), "identifier": visit.text("identifier")}
    template = await app.templates.get(code)
    errors: dict[str, str] = {}
    try:
        context = json.loads(values["context"] or "{}")
        job = await app.templates.enqueue(
            code, context, identifier=values["identifier"].strip() or None
        )
    except (ValueError, ElihuError) as error:
        errors["context"] = str(error)
        return visit.page("template.html", 422, template=template, values=values, errors=errors)
    await visit.record("template.enqueue", KIND, object_id=code, after={"job": job.id})
    return visit.go(f"/jobs/{job.id}", f"Job {job.id} of {template.name} is stored.")


@router.post("/templates/{code:path}/edit")
async def change_template(visit: EditVisit, code: str) -> Response:
    """Change one; stored jobs keep what they have."""
    templates = visit.context.app.templates
    template = await templates.get(code)
    values, errors = _typed(visit)
    if visit.text("seen") != str(template.revision):
        stored = _shown(template)
        both = [
            (name, stored[name], typed)
            for name, typed in _as_typed(visit).items()
            if name != "code" and stored[name].strip() != typed.replace("\r\n", "\n").strip()
        ]
        return _form(visit, template, _as_typed(visit), errors, both)
    before = _facts(template)
    changes: Any = {name: value for name, value in values.items() if value != before[name]}
    if not errors and changes:
        try:
            after = _facts(await templates.update(code, expected=template, **changes))
        except ChangedMeanwhile:
            return await change_template(visit, code)
        except ElihuError as error:
            errors = _at_field(error)
        else:
            await visit.record(
                "template.change", KIND, object_id=code, object_name=str(after["name"]),
                before=before, after=after,
            )  # fmt: skip
    if errors:
        return _form(visit, template, _as_typed(visit), errors)
    return visit.go(f"/templates/{code}", f"{values['name']} is saved.")


@router.post("/templates/{code:path}/delete")
async def delete_template(visit: EditVisit, code: str) -> Response:
    """Delete one."""
    template = await visit.context.app.templates.get(code)
    await visit.context.app.templates.delete(code)
    await visit.record(
        "template.delete", KIND, object_id=code, object_name=template.name,
        before=_facts(template),
    )  # fmt: skip
    return visit.go("/templates", f"{template.name} is deleted.")


def _form(
    visit: Visit, template: Template | None, values: dict[str, str],
    errors: dict[str, str] | None = None, both: list[tuple[str, str, str]] | None = None,
) -> Response:  # fmt: skip
    return visit.page(
        "template_form.html", 422 if errors else 412 if both else 200, template=template,
        values=values, errors=errors or {}, both=both or [],
        seen="" if template is None else str(template.revision),
        tasks=sorted(visit.context.app.task_names()),
    )  # fmt: skip


def _facts(template: Template) -> dict[str, Any]:
    found = {name: getattr(template, name) for name in FIELDS}
    return found | {"schema": dict(template.schema)}


def _shown(template: Template) -> dict[str, str]:
    """The fields of a template as its form shows them."""
    timeout = template.default_timeout
    return {name: str(getattr(template, name)) for name in FIELDS} | {
        "code": template.code,
        "schema": json.dumps(dict(template.schema), indent=2, ensure_ascii=False),
        "active": "on" if template.active else "",
        "default_timeout": "" if timeout is None else f"{timeout:g}",
    }


def _as_typed(visit: Visit) -> dict[str, str]:
    return {name: visit.text(name) for name in _NEW}


def _typed(visit: Visit) -> tuple[dict[str, Any], dict[str, str]]:
    """The values of the form, and what is wrong with it."""
    errors: dict[str, str] = {}
    timeout = visit.text("default_timeout").strip()
    found: dict[str, Any] = {
        "name": visit.text("name").strip(),
        "task": visit.text("task").strip(),
        "default_timeout": decimal(timeout) if timeout else None,
        "default_max_attempts": whole(visit.text("default_max_attempts")),
        "display_order": whole(visit.text("display_order")),
        "active": bool(visit.text("active")),
    }
    if queue := visit.text("queue").strip():
        found["queue"] = queue
    for name in ("default_timeout", "default_max_attempts", "display_order"):
        if isinstance(found[name], str):
            errors[name] = f"expected a number, got {found[name][:40]!r}"
    try:
        found["schema"] = json.loads(visit.text("schema") or "{}")
        if not isinstance(found["schema"], dict):
            errors["schema"] = "expected an object"
    except ValueError as error:
        errors["schema"] = f"expected JSON: {error}"
    return found, errors


def _at_field(error: ElihuError) -> dict[str, str]:
    """The field that an error names; the schema where it names none."""
    words = str(error).replace(":", " ").replace("'", " ").split()
    field = next((word for word in words if word in _NEW and word != "name"), "")
    if isinstance(error, UnknownTask):
        field = "task"
    return {field or ("name" if "name" in words else "schema"): str(error)}
