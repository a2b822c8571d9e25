"""Environments, variables, crons and alerts: lists, forms, and what is done with them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, get_args
from uuid import UUID
from zoneinfo import available_timezones

from fastapi import APIRouter
from starlette.responses import Response

from elihu import InvalidFields
from elihu.accounts import audit
from elihu.commands.models import AlertEvent
from elihu.commands.rules import alerts, commands, crons, environments, schedules, variables
from elihu.web.pages import editing
from elihu.web.pages.run_filters import cursor
from elihu.web.pages.visits import EditVisit, PageRoute, ViewVisit, Visit

router = APIRouter(route_class=PageRoute, include_in_schema=False)
SHOWN: Final = 200
MOST: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sort:
    """A kind with its pages: what a new form holds, and how a form becomes values."""

    kind: editing.Kind
    title: str
    new: dict[str, Any]
    values: Callable[[Visit], dict[str, Any]]

    @property
    def name(self) -> str:
        """The word of the kind, which is in the names of its templates."""
        return self.kind.name


def _variable(visit: Visit) -> dict[str, Any]:
    """A secret that is left empty stays as it is."""
    found: dict[str, Any] = {
        "name": visit.text("name").strip(),
        "description": visit.text("description"),
        "environment_ids": editing.ids(visit, "environment_ids"),
    }
    if visit.text("how") == "secret":
        if visit.text("secret"):
            found["secret"] = visit.text("secret")
        elif not visit.text("has_secret"):
            found["secret"] = ""
    else:
        found["value"] = visit.text("value").replace("\r\n", "\n")
    return found


def _alert(visit: Visit) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": visit.text("name"),
        "on": visit.texts("on"),
        "channel": visit.text("channel"),
        "target": visit.text("target").strip(),
        "enabled": bool(visit.text("enabled")),
        "command_ids": editing.ids(visit, "command_ids"),
        "environment_ids": editing.ids(visit, "environment_ids"),
    }
    if visit.text("secret"):
        found["secret"] = visit.text("secret")
    elif visit.text("no_secret"):
        found["secret"] = None
    return found


ENVIRONMENT: Final = Sort(
    kind=editing.Kind(
        name="environment", rules=environments, fields=("name", "enabled"), path="/environments"
    ),
    title="Environments",
    new={"name": "", "enabled": True},
    values=lambda visit: {"name": visit.text("name"), "enabled": bool(visit.text("enabled"))},
)
VARIABLE: Final = Sort(
    kind=editing.Kind(
        name="variable",
        rules=variables,
        path="/variables",
        needs_host=True,
        fields=("name", "description", "value", "secret", "environment_ids"),
    ),
    title="Variables",
    new={"name": "", "description": "", "value": "", "is_secret": False, "environment_ids": []},
    values=_variable,
)
CRON: Final = Sort(
    kind=editing.Kind(
        name="cron",
        rules=crons,
        fields=("name", "expression", "timezone", "enabled"),
        path="/crons",
    ),
    title="Crons",
    new={"name": "", "expression": "", "timezone": "UTC", "enabled": True},
    values=lambda visit: {
        "name": visit.text("name"),
        "expression": " ".join(visit.text("expression").split()),
        "timezone": visit.text("timezone").strip(),
        "enabled": bool(visit.text("enabled")),
    },
)
ALERT: Final = Sort(
    kind=editing.Kind(
        name="alert", rules=alerts, path="/alerts", needs_host=True,
        fields=("name", "on", "channel", "target", "secret", "enabled", "command_ids",
                "environment_ids"),
    ),
    title="Alerts",
    new={"name": "", "on": ["failed"], "channel": "webhook", "target": "", "enabled": True,
         "command_ids": [], "environment_ids": [], "has_secret": False},
    values=_alert,
)  # fmt: skip
SORTS: Final = (ENVIRONMENT, VARIABLE, CRON, ALERT)


async def _list(visit: Visit, sort: Sort) -> Response:
    async with visit.context.sessions.read() as session:
        page = await sort.kind.rules.find_all(
            session, after=cursor(visit.request.query_params.get("after")), limit=SHOWN
        )
        more = await _around(session)
    values: dict[str, Any] = {}
    if sort is CRON:
        values["previews"] = {
            each.id: preview_of(each.expression, each.timezone, 1) for each in page.items
        }
    return visit.page(
        f"{sort.name}s.html",
        items=page.items,
        next=None if page.next is None else str(page.next),
        **more,
        **values,
    )


async def _around(session: Any) -> dict[str, Any]:
    """Names for ids, and which schedules use what."""
    planned = (await schedules.find_all(session, limit=MOST)).items
    places = (await environments.find_all(session, limit=MOST)).items
    known = (await commands.find_all(session, limit=MOST)).items
    return {
        "places": {each.id: each for each in places},
        "commands": {each.id: each for each in known},
        "planned": planned,
    }


async def _form(
    visit: Visit, sort: Sort, record_id: UUID | None, refused: editing.Refused | None = None
) -> Response:
    async with visit.context.sessions.read() as session:
        record = None if record_id is None else await sort.kind.rules.get(session, record_id)
        more = await _around(session)
        seen = (
            await variables.seen_by(session, record_id)
            if sort is ENVIRONMENT and record_id is not None
            else []
        )
    given: dict[str, Any]
    if refused is not None:
        given = _typed(visit, sort)
        given["has_secret"] = record is not None and getattr(record, "secret", None) is not None
    elif record is None:
        given = dict(sort.new)
    else:
        given = {
            name: [str(each) for each in value] if isinstance(value, list | tuple) else value
            for name in sort.new
            if (value := getattr(record, name, None)) is not None
        }
        given = sort.new | given | {"has_secret": getattr(record, "secret", None) is not None}
    version = record.version if record is not None else ""
    if refused is not None and refused.current is None:
        version = visit.text("version")
    values: dict[str, Any] = {}
    if sort is CRON:
        values["preview"] = preview_of(str(given["expression"]), str(given["timezone"]), 10)
        values["zones"] = sorted(available_timezones())
    return visit.page(
        f"{sort.name}.html",
        refused.status if refused else 200,
        record=record,
        values=given,
        version=version,
        errors=dict(refused.errors) if refused else {},
        both=editing.conflicts(refused, sort.kind, sort.values(visit)) if refused else [],
        seen=seen,
        events=get_args(AlertEvent),
        **more,
        **values,
    )


def _typed(visit: Visit, sort: Sort) -> dict[str, Any]:
    """The form as it was typed."""
    found: dict[str, Any] = {"is_secret": visit.text("how") == "secret"}
    for name, value in sort.new.items():
        if isinstance(value, list):
            found[name] = visit.texts(name)
        elif name not in found:
            found[name] = bool(visit.text(name)) if isinstance(value, bool) else visit.text(name)
    return found


def preview_of(expression: str, timezone: str, count: int) -> dict[str, Any]:
    """A cron in words with its next times, or why it cannot be read."""
    if not expression.strip():
        return {"words": "", "ticks": [], "errors": {}}
    try:
        found = crons.preview(expression, timezone or "UTC", count=count)
    except InvalidFields as error:
        return {"words": "", "ticks": [], "errors": dict(error.errors)}
    return {"words": found.description, "ticks": found.ticks, "errors": {}}


@router.get("/crons/preview")
async def preview_cron(visit: ViewVisit, expression: str = "", timezone: str = "UTC") -> Response:
    """A cron in words and its next ten times, while it is typed."""
    return visit.page(
        "cron_preview.html", values={"timezone": timezone[:100]},
        preview=preview_of(expression[:200], timezone[:100], 10),
    )  # fmt: skip


@router.post("/alerts/{record_id}/test")
async def test_alert(visit: EditVisit, record_id: UUID) -> Response:
    """Send a test."""
    async with visit.context.sessions.begin() as session:
        alert = await alerts.test(session, visit.context.host, record_id)
        await audit.record(
            session, visit.who, "alert.test", "alert", object_id=alert.id, object_name=alert.name
        )
    return visit.back(f"/alerts/{record_id}", f"A test of {alert.name} is queued.")


def _add_routes(sort: Sort) -> None:
    path = sort.kind.path

    @router.get(path)
    async def show_all(visit: ViewVisit) -> Response:
        return await _list(visit, sort)

    @router.get(f"{path}/new")
    async def show_new(visit: EditVisit) -> Response:
        return await _form(visit, sort, None)

    @router.post(f"{path}/new")
    async def create(visit: EditVisit) -> Response:
        return await _saved(visit, sort, None)

    @router.get(f"{path}/{{record_id}}")
    async def show_one(visit: ViewVisit, record_id: UUID) -> Response:
        return await _form(visit, sort, record_id)

    @router.post(f"{path}/{{record_id}}")
    async def change(visit: EditVisit, record_id: UUID) -> Response:
        return await _saved(visit, sort, record_id)

    @router.post(f"{path}/{{record_id}}/enabled")
    async def enable(visit: EditVisit, record_id: UUID) -> Response:
        return await editing.set_enabled(visit, sort.kind, record_id)

    @router.post(f"{path}/{{record_id}}/delete")
    async def delete(visit: EditVisit, record_id: UUID) -> Response:
        return await editing.delete(visit, sort.kind, record_id, typed=sort is ENVIRONMENT)


async def _saved(visit: Visit, sort: Sort, record_id: UUID | None) -> Response:
    saved = await editing.save(visit, sort.kind, record_id, sort.values(visit))
    if isinstance(saved, editing.Refused):
        return await _form(visit, sort, record_id, saved)
    return visit.go(f"{sort.kind.path}/{saved.id}", f"{saved.name} is saved.")


for _sort in SORTS:
    _add_routes(_sort)
