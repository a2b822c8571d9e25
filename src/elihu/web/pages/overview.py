"""The first page: what needs a look, what runs, what runs next, and how it went."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final, Literal

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from elihu.commands.models import Command, CommandJob
from elihu.commands.rules import commands as command_rules
from elihu.commands.rules import history
from elihu.web.pages.cron_words import in_brief
from elihu.web.pages.texts import zone_of
from elihu.web.pages.visits import ZONE, PageRoute, ViewVisit
from elihu.web.reads import overview as reads
from elihu.web.reads import plan as plans
from elihu.web.reads import run_figures

router = APIRouter(route_class=PageRoute, include_in_schema=False)
LANES: Final = 12
BEFORE: Final = timedelta(hours=2)
"""The past that the picture of a day shows at least."""
DAY: Final = timedelta(days=1)
_SPANS: Final = {"hour": (60, 1, 60, "minute"), "day": (900, 2, 48, "half hour"),
                 "week": (3_600, 4, 42, "4 hours")}  # fmt: skip
Span = Literal["hour", "day", "week"]


@dataclass(frozen=True, slots=True)
class Lane:
    """One command of the day ahead. Marks are minutes from the left edge, with a look."""

    command: Command
    words: str
    marks: Sequence[tuple[float, float, str]]


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
    queues = await context.app.queues.list(most=10_001)
    nodes = await context.app.nodes.list()
    slots: dict[str, list[int]] = {node.id: [0, 0] for node in nodes}
    for queue in queues:
        for each in queue.nodes:
            found = slots.setdefault(each.node, [0, 0])
            found[0] += each.executing
            found[1] += each.limit
    async with context.sessions.read() as session:
        plan = await plans.load(session)
        recent = await history.find_all(session, since=left, limit=1_000)
        values: dict[str, Any] = {
            "counts": await reads.active_counts(session),
            "running": await reads.running(session),
            "troubles": await reads.concerns(session),
            "failed": await reads.failed_since(session, moment - DAY),
            "lately": await run_figures.in_steps(session, moment - DAY, 7_200, 12),
        }
    coming = _coming(plan, moment)
    return visit.page(
        "overview.html",
        **values,
        failures=[group for group in await context.app.stats.failures() if _is_new(group, moment)],
        upcoming=coming[:8],
        lanes=_lanes(plan, recent.items, moment, left),
        presses=_presses(plan, left),
        left=left,
        at_now=_minutes(moment, left),
        nodes=nodes,
        slots=slots,
        queues=queues,
        waiting=sum(min(queue.available, 10_000) for queue in queues),
        waiting_more=any(queue.available > 10_000 for queue in queues),
        work=await _work(context.app, moment, span),
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


def _is_new(group: Any, moment: datetime) -> bool:
    return bool(group.last_at >= moment - DAY) and not group.task.startswith("commands.")


def _coming(plan: plans.Plan, moment: datetime) -> list[tuple[datetime, Command, list[str], str]]:
    """The next start of each command with a cron, soonest first, with the environments."""
    found: dict[tuple[datetime, Any], tuple[Command, list[str], str]] = {}
    for place in plan.places():
        if not place.on:
            continue
        times = plans.ticks(place.cron, moment + timedelta(minutes=1), moment + DAY)
        if times:
            key = times[0], place.command.id
            _, names, _ = found.setdefault(key, (place.command, [], place.cron.expression))
            if place.environment.name not in names:
                names.append(place.environment.name)
    return sorted(
        ((key[0], *value) for key, value in found.items()), key=lambda each: (each[0], each[1].name)
    )


def _left(moment: datetime, zone: tzinfo) -> datetime:
    """The full hour at which the picture of a day begins."""
    begin = (moment - BEFORE).astimezone(zone)
    return begin.replace(minute=0, second=0, microsecond=0).astimezone(UTC)


def _lanes(
    plan: plans.Plan, runs: Sequence[CommandJob], moment: datetime, left: datetime
) -> list[Lane]:
    """A lane for each command that starts within the day, the soonest first."""
    planned: dict[Any, tuple[Command, list[str], list[datetime]]] = {}
    for place in plan.places():
        if place.on and (times := plans.ticks(place.cron, moment, left + DAY)):
            entry = planned.setdefault(place.command.id, (place.command, [], []))
            entry[1].append(place.cron.expression)
            entry[2].extend(times)
    lanes = []
    for command, expressions, starts in sorted(
        planned.values(), key=lambda each: (min(each[2]), each[0].name)
    )[:LANES]:
        marks = [(_minutes(at, left), 4.0, "plan") for at in sorted(set(starts))[:200]]
        for run in runs:
            if run.command_id == command.id and run.started_at is not None:
                begin = _minutes(run.started_at, left)
                end = _minutes(run.finished_at or moment, left)
                if end > 0:
                    marks.append((max(begin, 0.0), max(end - max(begin, 0.0), 4.0), _look(run)))
        lanes.append(Lane(command, ", ".join(dict.fromkeys(map(in_brief, expressions))), marks))
    return lanes


def _look(run: CommandJob) -> str:
    return {"succeeded": "ok", "running": "run", "retrying": "warn", "queued": "idle",
            "skipped": "idle", "cancelled": "idle"}.get(run.status, "bad")  # fmt: skip


def _minutes(at: datetime, left: datetime) -> float:
    return round((at - left).total_seconds() / 60, 1)


def _presses(plan: plans.Plan, left: datetime) -> list[int]:
    """Planned starts in each half hour of the picture."""
    total = [0] * 48
    for place in plan.places():
        if place.on:
            for at in plans.ticks(place.cron, left, left + DAY):
                total[min(int((at - left).total_seconds() // 1_800), 47)] += 1
    return total


async def _work(app: Any, moment: datetime, span: Span) -> Work:
    step, merged, count, unit = _SPANS[span]
    length = step * merged
    last = int(moment.timestamp()) // length * length
    first = last - (count - 1) * length
    points = await app.stats.throughput(
        since=datetime.fromtimestamp(first, UTC),
        until=datetime.fromtimestamp(last + length, UTC),
        step=step,
    )
    completed, failed = [0] * count, [0] * count
    for point in points:
        number = int(point.at.timestamp() - first) // length
        if 0 <= number < count:
            if point.outcome == "completed":
                completed[number] += point.jobs
            elif point.outcome in {"failed", "timed_out", "killed", "orphaned"}:
                failed[number] += point.jobs
    labels = [datetime.fromtimestamp(first + number * length, UTC) for number in range(count)]
    return Work(labels, completed, failed, unit)
