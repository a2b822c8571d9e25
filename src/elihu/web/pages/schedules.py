"""Schedules: commands by environment, the week ahead, and the form of one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, get_args
from uuid import UUID
from zoneinfo import available_timezones

from fastapi import APIRouter, Query
from starlette.responses import Response

from elihu import InvalidFields
from elihu.commands.models import CatchUp, Command, Cron
from elihu.commands.rules import presets
from elihu.commands.rules import schedules as rules
from elihu.web.pages import editing, shapes
from elihu.web.pages.kept import preview_of
from elihu.web.pages.texts import zone_of
from elihu.web.pages.visits import ZONE, EditVisit, PageRoute, ViewVisit, Visit
from elihu.web.reads import plan as plans

router = APIRouter(route_class=PageRoute, include_in_schema=False)
KIND: Final = editing.Kind(
    name="schedule", rules=rules, path="/schedules",
    fields=("command_id", "environment_ids", "cron_ids", "enabled", "catch_up"),
)  # fmt: skip
DAYS: Final = 7
MOST_COMMANDS: Final = 200
FEW: Final = 2
MOST_WEEKS: Final = 52


@router.get("/schedules")
async def list_schedules(
    visit: ViewVisit,
    text: str = "",
    off: str = "1",
    week: Annotated[int, Query(ge=0, le=MOST_WEEKS)] = 0,
) -> Response:
    """The matrix, the days ahead and the load of each hour, from this week on or a later one."""
    zone = zone_of(visit.request.cookies.get(ZONE))
    moment = datetime.now(UTC)
    begin = moment.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [begin + timedelta(days=DAYS * week + number) for number in range(DAYS)]
    async with visit.context.sessions.read() as session:
        plan = await plans.load(session)
    places = [
        place for place in plan.places() if _matches(place, text) and (off == "1" or place.on)
    ]
    chosen = {place.command.id for place in places}
    if text:
        lower = text.casefold()
        chosen |= {each.id for each in plan.commands.values() if lower in each.name.casefold()}
    else:
        chosen |= set(plan.commands)
    commands = sorted(
        (plan.commands[each] for each in chosen), key=lambda command: command.name.casefold()
    )[:MOST_COMMANDS]
    cells: dict[Any, list[plans.Place]] = {}
    for place in places:
        cells.setdefault((place.command.id, place.environment.id), []).append(place)
    return visit.page(
        "schedules.html",
        plan=plan,
        commands=commands,
        cells=cells,
        loose=[each for each in plan.schedules if not each.environments or not each.crons],
        days=days,
        number=week,
        most=MOST_WEEKS,
        week=_week(places, days, moment),
        load=_load(places, days),
        today=((moment - begin).total_seconds() / 360) / 10,
        hour=moment.astimezone(zone).hour,
        upcoming={
            (each.schedule.id, each.environment.id, each.cron.id): _next(each, moment)
            for each in places
        },
        changes=plans.clock_changes(plan, max(moment, days[0]), DAYS),
        text=text,
        off=off,
        count=len(plan.commands),
    )


@router.get("/schedules/new")
async def new_schedule(visit: EditVisit) -> Response:
    """The form of a new one; an address can name what is chosen."""
    query = visit.request.query_params
    return await _form(visit, None, {
        "command_id": query.get("command_id", ""),
        "environment_ids": query.getlist("environment_id"),
        "cron_ids": query.getlist("cron_id"), "enabled": True, "catch_up": "last",
    })  # fmt: skip


@router.post("/schedules/new")
async def create_schedule(visit: EditVisit) -> Response:
    """Store a new one."""
    return await _saved(visit, None)


@router.get("/schedules/{schedule_id}")
async def show_schedule(visit: ViewVisit, schedule_id: UUID) -> Response:
    """One, with its form."""
    async with visit.context.sessions.read() as session:
        record = await rules.get(session, schedule_id)
    return await _form(visit, schedule_id, {
        "command_id": str(record.command_id),
        "environment_ids": [str(each) for each in record.environment_ids],
        "cron_ids": [str(each) for each in record.cron_ids],
        "enabled": record.enabled, "catch_up": record.catch_up,
    })  # fmt: skip


@router.post("/schedules/{schedule_id}")
async def change_schedule(visit: EditVisit, schedule_id: UUID) -> Response:
    """Save the form."""
    return await _saved(visit, schedule_id)


@router.post("/schedules/{schedule_id}/enabled")
async def enable_schedule(visit: EditVisit, schedule_id: UUID) -> Response:
    """Switch one on or off."""
    return await editing.set_enabled(visit, KIND, schedule_id)


@router.post("/schedules/{schedule_id}/delete")
async def delete_schedule(visit: EditVisit, schedule_id: UUID) -> Response:
    """Delete one."""
    return await editing.delete(visit, KIND, schedule_id)


async def _saved(visit: Visit, schedule_id: UUID | None) -> Response:
    values: dict[str, Any] = {
        "environment_ids": editing.ids(visit, "environment_ids"),
        "cron_ids": editing.ids(visit, "cron_ids"),
        "enabled": bool(visit.text("enabled")),
        "catch_up": visit.text("catch_up"),
    }
    if schedule_id is None:
        chosen = editing.ids(visit, "command_id")
        values["command_id"] = chosen[0] if chosen else None
    saved: Any = None
    if values["environment_ids"] and visit.text("expression").strip():
        saved = await _add_cron(visit, values)
    if saved is None:
        saved = await editing.save(visit, KIND, schedule_id, values)
    if not isinstance(saved, editing.Refused):
        return visit.go("/schedules", "The schedule is saved.", open_=f"/schedules/{saved.id}")
    return await _form(visit, schedule_id, {
        "command_id": visit.text("command_id"),
        "environment_ids": visit.texts("environment_ids"), "cron_ids": visit.texts("cron_ids"),
        "enabled": bool(visit.text("enabled")), "catch_up": visit.text("catch_up"),
        "expression": visit.text("expression"), "timezone": visit.text("timezone"),
    }, saved)  # fmt: skip


async def _add_cron(visit: Visit, values: dict[str, Any]) -> editing.Refused | None:
    """Find or make the cron of an expression that was typed, and choose it."""
    text = " ".join(visit.text("expression").split())
    try:
        async with visit.context.sessions.begin() as session:
            cron = await presets.cron_for(session, text, visit.text("timezone") or "UTC")
    except InvalidFields as error:
        return editing.Refused({"expression": "; ".join(text for _, text in error.errors)}, 422)
    if cron.id not in values["cron_ids"]:
        values["cron_ids"].append(cron.id)
    return None


async def _form(
    visit: Visit, schedule_id: UUID | None, values: dict[str, Any],
    refused: editing.Refused | None = None,
) -> Response:  # fmt: skip
    async with visit.context.sessions.read() as session:
        plan = await plans.load(session)
        record = None if schedule_id is None else await rules.get(session, schedule_id)
    zone = str(zone_of(visit.request.cookies.get(ZONE)))
    values = {"expression": "", "timezone": zone} | values
    version = record.version if record is not None else ""
    if refused is not None and refused.current is None:
        version = visit.text("version")
    both = []
    if refused is not None and refused.current is not None:
        both = editing.conflicts(refused, KIND, {
            name: values[name] for name in ("environment_ids", "cron_ids", "enabled", "catch_up")
        })  # fmt: skip
    return visit.page(
        "schedule.html",
        refused.status if refused else 200,
        record=record, plan=plan, values=values, version=version, both=both,
        errors=dict(refused.errors) if refused else {},
        catch_ups=get_args(CatchUp), zones=sorted(available_timezones()),
        preview=preview_of(values["expression"], values["timezone"], 5),
    )  # fmt: skip


def _matches(place: plans.Place, text: str) -> bool:
    lower = text.casefold()
    return any(
        lower in each.casefold()
        for each in (place.command.name, place.environment.name, place.cron.name,
                     place.cron.expression)
    )  # fmt: skip


def _next(place: plans.Place, moment: datetime) -> datetime | None:
    """The next start of a place within a week."""
    if not place.on:
        return None
    at = plans.next_tick(place.cron.expression, place.cron.timezone, moment)
    end = (moment + timedelta(minutes=1, days=DAYS)).replace(second=0, microsecond=0)
    return at if at is not None and at < end else None


@dataclass(frozen=True, slots=True)
class Day:
    """The starts of a command on one day: how many, at how many different times, the first
    of these times, and paths on a scale of 240 with their looks.
    """

    starts: int
    times: int
    first: Sequence[str]
    paths: Sequence[tuple[str, str]]


def _week(
    places: Sequence[plans.Place], days: Sequence[datetime], moment: datetime
) -> list[tuple[Command, list[Day]]]:
    """The days of each command that starts, by name."""
    crons: dict[UUID, tuple[Command, list[Cron]]] = {}
    for place in places:
        if place.on:
            crons.setdefault(place.command.id, (place.command, []))[1].append(place.cron)
    found = sorted(crons.values(), key=lambda each: each[0].name.casefold())[:MOST_COMMANDS]
    known: dict[tuple[UUID, ...], list[Day]] = {}
    week = []
    for command, there in found:
        key = tuple(sorted(cron.id for cron in there))
        if key not in known:
            known[key] = [_day(there, day, moment) for day in days]
        week.append((command, known[key]))
    return week


def _day(crons: Sequence[Cron], day: datetime, moment: datetime) -> Day:
    starts = 0
    times: set[datetime] = set()
    for cron in crons:
        found = plans.ticks(cron, day, day + timedelta(days=1))
        starts += len(found)
        times.update(found)
    ordered = sorted(times)
    tenths = sorted({round((at - day).total_seconds() / 360) for at in ordered})
    today = (moment - day).total_seconds() / 360
    width = 2.0 if len(tenths) > 100 else 3.0
    marks = [(tenth, width, "idle" if tenth < today else "plan") for tenth in tenths]
    first = [f"{at.astimezone(day.tzinfo):%H:%M}" for at in ordered[:FEW]]
    return Day(starts, len(ordered), first, shapes.row(marks, 2, 8))


def _load(places: Sequence[plans.Place], days: Sequence[datetime]) -> list[list[int]]:
    """Starts of each hour of each day."""
    total = [[0] * 24 for _ in days]
    crons = {place.cron.id: place.cron for place in places}
    runs = Counter(place.cron.id for place in places if place.on)
    for cron_id, count in runs.items():
        for number, day in enumerate(days):
            for at in plans.ticks(crons[cron_id], day, day + timedelta(days=1)):
                total[number][at.astimezone(day.tzinfo).hour] += count
    return total
