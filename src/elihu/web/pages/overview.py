"""The first page: what needs a look, what runs, what runs next, and how it went."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final, Literal
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from elihu import CronEntry, Elihu, FailureGroup, Queue
from elihu.commands.models import Command, Cron
from elihu.commands.rules import commands as command_rules
from elihu.job import FAILURES
from elihu.system_queues import SYSTEM_QUEUES
from elihu.web.pages.cron_words import in_brief
from elihu.web.pages.texts import zone_of
from elihu.web.pages.visits import ZONE, PageRoute, ViewVisit
from elihu.web.reads import overview as reads
from elihu.web.reads import plan as plans
from elihu.web.reads import run_figures
from elihu.web.reads.beside import beside
from elihu.web.reads.concerns import find_concerns
from elihu.web.reads.ended import Ended

router = APIRouter(route_class=PageRoute, include_in_schema=False)
LANES: Final = 12
MARK: Final = 4.0
"""How wide a start is, in minutes."""
BEFORE: Final = timedelta(hours=2)
"""The past that the picture of a day shows at least."""
DAY: Final = timedelta(days=1)
_SPANS: Final = {"hour": (60, 1, 60, "minute"), "day": (900, 2, 48, "half hour"),
                 "week": (3_600, 4, 42, "4 hours")}  # fmt: skip
Span = Literal["hour", "day", "week"]


@dataclass(frozen=True, slots=True)
class Lane:
    """One command of the day ahead, with how many starts are planned. Marks are minutes from
    the left edge, with a look.
    """

    command: Command
    words: str
    planned: int
    marks: Sequence[tuple[float, float, str]]


@dataclass(frozen=True, slots=True)
class Coming:
    """A start to come of a command, in these environments, or of a cron entry of tasks."""

    at: datetime
    name: str
    path: str
    what: str


@dataclass(frozen=True, slots=True)
class Work:
    """Attempts that ended in steps of equal length, the last one now."""

    labels: Sequence[datetime]
    completed: Sequence[int]
    failed: Sequence[int]
    unit: str


@router.get("/")
async def overview(visit: ViewVisit, span: Span = "day") -> Response:
    """The page."""
    context = visit.context
    moment = datetime.now(UTC)
    left = _left(moment, zone_of(visit.request.cookies.get(ZONE)))
    async with (
        beside(_work(context.ended, moment, span)) as work,
        beside(_of_engine(context.app)) as engine,
    ):
        async with context.sessions.read() as session:
            plan = await plans.load(session)
            planned = _planned(plan, moment, left)
            recent = await reads.recent(session, left, [lane.command.id for lane in planned])
            values: dict[str, Any] = {
                "counts": await reads.active_counts(session),
                "running": await reads.running(session),
                "troubles": await find_concerns(session, moment),
                "failed": await reads.failed_since(session, moment - DAY),
                "lately": await run_figures.in_steps(session, moment - DAY, 7_200, 12),
            }
        queues, nodes, failures, entries = await engine
        values["work"] = await work
    slots: dict[str, list[int]] = {node.id: [0, 0] for node in nodes}
    for queue in queues:
        for each in queue.nodes:
            found = slots.setdefault(each.node, [0, 0])
            found[0] += each.executing
            found[1] += each.limit
    coming = [*_coming(plan, moment), *_of_tasks(entries, moment)]
    return visit.page(
        "overview.html",
        **values,
        failures=[group for group in failures if _is_new(group, moment)],
        upcoming=sorted(coming, key=lambda each: (each.at, each.name))[:8],
        lanes=[_with_runs(lane, recent, moment, left) for lane in planned],
        presses=_presses(plan, left),
        left=left,
        at_now=_minutes(moment, left),
        nodes=nodes,
        slots=slots,
        queues=queues,
        jobs=sum(queue.executing for queue in queues if queue.name not in SYSTEM_QUEUES),
        waiting=sum(min(queue.available, 10_000) for queue in queues),
        waiting_more=any(queue.available > 10_000 for queue in queues),
        span=span,
        commands=len(plan.commands),
        is_open=context.user is None and visit.who.via == "loopback",
    )


@router.get("/jump")
async def jump(visit: ViewVisit, q: str = "") -> Response:
    """Go to the command, run or job of this name or id."""
    text = q.strip()[:200]
    if text.isdecimal() and text.isascii():
        return RedirectResponse(visit.address(f"/jobs/{text}"), 303)
    async with visit.context.sessions.read() as session:
        page = await command_rules.find_all(session, text=text or None, limit=2)
    if len(page.items) == 1:
        return RedirectResponse(visit.address(f"/commands/{page.items[0].id}"), 303)
    if len(text) == 36 and text.count("-") == 4:
        return RedirectResponse(visit.address(f"/runs/{text.lower()}"), 303)
    return RedirectResponse(
        str(visit.request.url.replace(path=visit.address("/commands"), query="")
            .include_query_params(text=text)), 303,
    )  # fmt: skip


async def _of_engine(
    app: Elihu,
) -> tuple[list[Queue], list[Any], list[FailureGroup], list[CronEntry]]:
    return (
        await app.queues.list(most=10_001),
        await app.nodes.list(),
        await app.stats.failures(),
        await app.crons.list(system=False),
    )


def _is_new(group: Any, moment: datetime) -> bool:
    return bool(group.last_at >= moment - DAY) and not group.task.startswith("commands.")


def _coming(plan: plans.Plan, moment: datetime) -> list[Coming]:
    """The next start of each command with a cron."""
    found: dict[tuple[datetime, UUID], tuple[Command, list[str]]] = {}
    for place in plan.places():
        if not place.on:
            continue
        at = plans.next_tick(place.cron.expression, place.cron.timezone, moment)
        if at is not None and at < (moment + DAY).replace(second=0, microsecond=0):
            key = at, place.command.id
            _, names = found.setdefault(key, (place.command, []))
            if place.environment.name not in names:
                names.append(place.environment.name)
    return [
        Coming(at, command.name, f"/commands/{command.id}", ", ".join(names))
        for (at, _), (command, names) in found.items()
    ]


def _of_tasks(entries: Sequence[CronEntry], moment: datetime) -> list[Coming]:
    """The next start of each cron entry of tasks."""
    return [
        Coming(entry.next_at, entry.name, f"/entries/{quote(entry.name)}", f"task {entry.task}")
        for entry in entries
        if entry.fires and entry.next_at is not None and entry.next_at < moment + DAY
    ]


def _left(moment: datetime, zone: tzinfo) -> datetime:
    """The full hour at which the picture of a day begins."""
    begin = (moment - BEFORE).astimezone(zone)
    return begin.replace(minute=0, second=0, microsecond=0).astimezone(UTC)


def _planned(plan: plans.Plan, moment: datetime, left: datetime) -> list[Lane]:
    """A lane for each command that starts within the day, the soonest first."""
    found: dict[UUID, tuple[Command, dict[UUID, Cron]]] = {}
    for place in plan.places():
        if place.on:
            found.setdefault(place.command.id, (place.command, {}))[1][place.cron.id] = place.cron
    end = left + DAY
    begin = moment.replace(second=0, microsecond=0)
    soonest: list[tuple[datetime, str, Command, Sequence[Cron]]] = []
    for command, crons in found.values():
        first = min(
            (at for cron in crons.values() if (at := _first(cron, begin, end))), default=None
        )
        if first is not None:
            soonest.append((first, command.name, command, list(crons.values())))
    lanes = []
    for _, _, command, there in sorted(soonest, key=lambda each: each[:2])[:LANES]:
        fitting = [cron for cron in there if _first(cron, begin, end)]
        times = {at for cron in fitting for at in plans.ticks(cron, left, end) if at >= begin}
        words = ", ".join(dict.fromkeys(in_brief(cron.expression) for cron in fitting))
        lanes.append(Lane(command, words, len(times), _marks(sorted(times), left)))
    return lanes


def _marks(times: Sequence[datetime], left: datetime) -> list[tuple[float, float, str]]:
    """Marks of starts; those that touch are one, so that a day has a bounded number."""
    found: list[tuple[float, float, str]] = []
    for at in times:
        x = _minutes(at, left)
        if found and x <= sum(found[-1][:2]):
            begin = found[-1][0]
            found[-1] = begin, x + MARK - begin, "plan"
        else:
            found.append((x, MARK, "plan"))
    return found


def _first(cron: Cron, begin: datetime, end: datetime) -> datetime | None:
    """The first time from a minute on at which a cron fires, if it does before the end."""
    at = plans.next_tick(cron.expression, cron.timezone, begin - timedelta(minutes=1))
    return at if at is not None and at < end else None


def _with_runs(lane: Lane, runs: Sequence[reads.Recent], moment: datetime, left: datetime) -> Lane:
    """A lane with what its command ran before."""
    marks = list(lane.marks)
    for run in runs:
        if run.command_id == lane.command.id:
            begin = _minutes(run.started_at, left)
            end = _minutes(run.finished_at or moment, left)
            if end > 0:
                begin = max(begin, 0.0)
                marks.append((begin, max(end - begin, 4.0), _look(run.status)))
    return replace(lane, marks=marks)


def _look(status: str) -> str:
    return {"succeeded": "ok", "running": "run", "retrying": "warn", "queued": "idle",
            "skipped": "idle", "cancelled": "idle"}.get(status, "bad")  # fmt: skip


def _minutes(at: datetime, left: datetime) -> float:
    return round((at - left).total_seconds() / 60, 1)


def _presses(plan: plans.Plan, left: datetime) -> list[int]:
    """Planned starts in each half hour of the picture."""
    return plans.starts_of(
        Counter(
            (place.cron.expression, place.cron.timezone) for place in plan.places() if place.on
        ),
        left,
    )


async def _work(ended: Ended, moment: datetime, span: Span) -> Work:
    step, merged, count, unit = _SPANS[span]
    length = step * merged
    last = int(moment.timestamp()) // length * length
    first = last - (count - 1) * length
    points = await ended.points(first, last + length, step)
    completed, failed = [0] * count, [0] * count
    for point in points:
        number = int(point.at.timestamp() - first) // length
        if 0 <= number < count:
            if point.outcome == "completed":
                completed[number] += point.jobs
            elif point.outcome in FAILURES:
                failed[number] += point.jobs
    labels = [datetime.fromtimestamp(first + number * length, UTC) for number in range(count)]
    return Work(labels, completed, failed, unit)
