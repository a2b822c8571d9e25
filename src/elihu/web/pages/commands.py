"""Commands: the list, one with its form and preview, and what runs it."""

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from elihu import InvalidFields, NotRunnable
from elihu.accounts import audit
from elihu.commands.models import Environment, Schedule
from elihu.commands.rules import commands as rules
from elihu.commands.rules import crons, environments, history, runs, schedules, variables
from elihu.commands.rules.rows import Page
from elihu.commands.runner.environment import ALLOWED
from elihu.web.pages import editing
from elihu.web.pages.actions import announce, record_start, started_text
from elihu.web.pages.run_filters import cursor
from elihu.web.pages.visits import EditVisit, PageRoute, RunVisit, ViewVisit, Visit
from elihu.web.problems import Problem
from elihu.web.reads import plan as plans
from elihu.web.reads.latest import latest_runs

router = APIRouter(route_class=PageRoute, include_in_schema=False)
FIELDS: Final = (
    "name", "shell_command", "timeout", "max_attempts", "overlap", "mode", "working_directory",
    "output_limit", "rerun_lost", "keep_background", "memory_limit", "cpu_seconds", "open_files",
)  # fmt: skip
KIND: Final = editing.Kind(
    name="command", rules=rules, fields=(*FIELDS, "enabled"), path="/commands"
)
MIB: Final = 2**20
SHOWN: Final = 100
RUNS: Final = 10
_NAMED: Final = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_SET: Final = re.compile(r"(?:\b(?:for|read)\s+)([A-Za-z_]\w*)|\b([A-Za-z_]\w*)=", re.ASCII)
_OF_NODE: Final = frozenset({"HOME", "LANG", "PATH", "USER", "PWD", "SHELL", "TZ", "LOGNAME"})
_NEW: Final[dict[str, Any]] = {
    "name": "", "shell_command": "", "timeout": "60", "max_attempts": "1", "overlap": "skip",
    "mode": "shell", "working_directory": "", "output_limit": "10", "rerun_lost": False,
    "keep_background": False, "memory_limit": "", "cpu_seconds": "", "open_files": "",
}  # fmt: skip


@router.get("/commands")
async def list_commands(visit: ViewVisit, text: str = "", after: str = "") -> Response:
    """The list, with the last runs of each."""
    async with visit.context.sessions.read() as session:
        page: Page[Any] = await rules.find_all(
            session, text=text[:200] or None, after=cursor(after), limit=SHOWN
        )
        latest = await latest_runs(session, [command.id for command in page.items], RUNS)
        planned = (await schedules.find_all(session, limit=1_000)).items
        places = {
            each.id: each for each in (await environments.find_all(session, limit=1_000)).items
        }
    where: dict[UUID, list[Environment]] = {}
    for schedule in planned:
        for environment_id in schedule.environment_ids:
            if environment_id in places and places[environment_id] not in where.get(
                schedule.command_id, []
            ):
                where.setdefault(schedule.command_id, []).append(places[environment_id])
    return visit.page(
        "commands.html",
        commands=page.items,
        next=None if page.next is None else str(page.next),
        latest=latest,
        where=where,
        text=text,
    )


@router.get("/commands/new")
async def new_command(visit: EditVisit) -> Response:
    """The form of a new one."""
    return await _form(visit, None, dict(_NEW))


@router.post("/commands/new")
async def create_command(visit: EditVisit) -> Response:
    """Store a new one."""
    saved = await editing.save(visit, KIND, None, _values(visit))
    if isinstance(saved, editing.Refused):
        return await _form(visit, None, _typed(visit), saved)
    made = await _first_environment(visit)
    text = f"{saved.name} is saved. It runs when you run or schedule it."
    return visit.go(f"/commands/{saved.id}", text + (f" It runs in {made}." if made else ""))


async def _first_environment(visit: Visit) -> str:
    """Make an environment where there is none: a command needs one to run in."""
    async with visit.context.sessions.begin() as session:
        if (await environments.find_all(session, limit=1)).items:
            return ""
        made = await environments.create(session, name="default")
        await audit.record(
            session, visit.who, "environment.create", "environment", object_id=made.id,
            object_name=made.name, after={"name": made.name, "enabled": True},
        )  # fmt: skip
    await visit.context.app.topics.announce("environment")
    return made.name


@router.post("/commands/preview")
async def preview(visit: ViewVisit) -> Response:
    """What the command of a form would see in an environment."""
    place = cursor(visit.text("preview_in"))
    async with visit.context.sessions.read() as session:
        places = (await environments.find_all(session, limit=100)).items
        place = place or (places[0].id if places else None)
        seen = [] if place is None else await variables.seen_by(session, place)
    return visit.page(
        "command_preview.html", places=places, place=place, seen=seen, of_node=_of_node(visit),
        parts=parts_of(visit.text("shell_command"), {each.name for each in seen}),
    )  # fmt: skip


@router.get("/commands/{command_id}")
async def show_command(visit: ViewVisit, command_id: UUID) -> Response:
    """One, with its form."""
    async with visit.context.sessions.read() as session:
        record = await rules.get(session, command_id)
    return await _form(visit, command_id, _from(record))


@router.post("/commands/{command_id}")
async def change_command(visit: EditVisit, command_id: UUID) -> Response:
    """Save the form."""
    saved = await editing.save(visit, KIND, command_id, _values(visit))
    if isinstance(saved, editing.Refused):
        return await _form(visit, command_id, _typed(visit), saved)
    return visit.go(f"/commands/{command_id}", f"{saved.name} is saved.")


@router.post("/commands/{command_id}/enabled")
async def enable_command(visit: EditVisit, command_id: UUID) -> Response:
    """Enable or disable."""
    return await editing.set_enabled(visit, KIND, command_id)


@router.post("/commands/{command_id}/delete")
async def delete_command(visit: EditVisit, command_id: UUID) -> Response:
    """Delete, with its schedules."""
    return await editing.delete(visit, KIND, command_id, typed=True)


async def _default(session: Any, command_id: UUID) -> Any:
    """Where a command runs if nobody says where: in the first environment of its schedules,
    without schedules in the only one that is enabled.
    """
    with suppress(NotRunnable):
        return await runs.environment_for(session, command_id)
    if (await schedules.find_all(session, command_id=command_id, limit=1)).items:
        return None
    places = (await environments.find_all(session, limit=100)).items
    enabled = [place for place in places if place.enabled]
    return enabled[0] if len(enabled) == 1 else None


@router.post("/commands/{command_id}/run")
async def run_command(visit: RunVisit, command_id: UUID) -> Response:
    """Run now, or in so many seconds where a delay is given."""
    place = cursor(visit.text("environment_id"))
    forced, delay = bool(visit.text("force")), visit.text("delay_seconds").strip()
    try:
        async with visit.context.sessions.begin() as session:
            host = visit.context.host
            if place is None and (found := await _default(session, command_id)) is not None:
                place = found.id
            if delay:
                seconds: Any = editing.decimal(delay)
                run = await runs.run_in(
                    session, host, command_id, delay_seconds=seconds, environment_id=place,
                    force=forced,
                )  # fmt: skip
            else:
                run = await runs.run(session, host, command_id, environment_id=place, force=forced)
            await record_start(visit, session, "run_in" if delay else "run", run)
    except InvalidFields as error:
        raise Problem(422, "; ".join(f"{name}: {text}" for name, text in error.errors)) from None
    await announce(visit, run.id)
    return visit.go(f"/runs/{run.id}", started_text(run))


@router.post("/commands/{command_id}/retry_last_failed")
async def retry_last_failed(visit: RunVisit, command_id: UUID) -> Response:
    """Run again where it failed last."""
    async with visit.context.sessions.begin() as session:
        run = await runs.retry_last_failed(session, visit.context.host, command_id)
        await record_start(visit, session, "retry_last_failed", run)
    await announce(visit, run.id)
    return visit.go(f"/runs/{run.id}", started_text(run))


async def _form(
    visit: Visit,
    command_id: UUID | None,
    values: dict[str, Any],
    refused: editing.Refused | None = None,
) -> Response:
    async with visit.context.sessions.read() as session:
        record, latest, planned, default, good, next_at = None, [], [], None, None, None
        places = (await environments.find_all(session, limit=100)).items
        if command_id is not None:
            record = await rules.get(session, command_id)
            latest = list((await history.find_all(session, command_id=command_id, limit=8)).items)
            planned = list((await schedules.find_all(session, command_id=command_id)).items)
            good = await history.find_all(
                session, command_id=command_id, statuses=("succeeded",), limit=1
            )
            default = await _default(session, command_id)
            next_at = await _next(session, planned, places) if record.enabled else None
        shown = default or (places[0] if places else None)
        seen = [] if shown is None else await variables.seen_by(session, shown.id)
    return visit.page(
        "command.html",
        refused.status if refused else 200,
        command=record,
        values=values,
        version=refused.current.version
        if refused and refused.current
        else (visit.text("version") or (record.version if record else "")),
        errors=dict(refused.errors) if refused else {},
        both=editing.conflicts(refused, KIND, _values(visit)) if refused else [],
        latest=latest,
        good=next(iter(good.items), None) if good else None,
        next_at=next_at,
        planned=planned,
        default=default,
        places=places,
        of_node=_of_node(visit),
        place=None if shown is None else shown.id,
        seen=seen,
        parts=parts_of(str(values["shell_command"]), {each.name for each in seen}),
    )


def _of_node(visit: Visit) -> list[str]:
    """The names that a command gets of the node's own environment."""
    return sorted({*ALLOWED, *visit.context.app.config.commands.pass_environment})


async def _next(
    session: Any, planned: Sequence[Schedule], places: Sequence[Environment]
) -> datetime | None:
    """The next start by one of these schedules, if there is one within a week."""
    on = {place.id for place in places if place.enabled}
    since = datetime.now(UTC) + timedelta(minutes=1)
    found: list[datetime] = []
    for cron_id in {
        cron_id
        for schedule in planned
        if schedule.enabled and not on.isdisjoint(schedule.environment_ids)
        for cron_id in schedule.cron_ids
    }:
        cron = await crons.get(session, cron_id)
        if cron.enabled:
            found += plans.ticks(cron, since, since + timedelta(days=7))[:1]
    return min(found, default=None)


def parts_of(text: str, known: set[str]) -> list[tuple[str, str]]:
    """A command as pieces: plain text, and names of variables that have a value or not."""
    own = {match[1] or match[2] for match in _SET.finditer(text[:20_000])}
    found, at = [], 0
    for match in _NAMED.finditer(text[:20_000]):
        name = match[1] or match[2]
        found.append(("", text[at : match.start()]))
        look = "v" if name in known else "" if name in _OF_NODE | own else "miss"
        found.append((look, match[0]))
        at = match.end()
    found.append(("", text[at:20_000]))
    return [part for part in found if part[1]]


def _values(visit: Visit) -> dict[str, Any]:
    """The form as the rules take it. A size is in MiB there."""
    limit = editing.decimal(visit.text("output_limit"))
    memory = visit.text("memory_limit").strip()
    return {
        "name": visit.text("name"),
        "shell_command": visit.text("shell_command").replace("\r\n", "\n"),
        "timeout": editing.decimal(visit.text("timeout")),
        "max_attempts": editing.whole(visit.text("max_attempts")),
        "overlap": visit.text("overlap"),
        "mode": visit.text("mode"),
        "working_directory": visit.text("working_directory").strip() or None,
        "output_limit": round(limit * MIB) if isinstance(limit, float) else limit,
        "rerun_lost": bool(visit.text("rerun_lost")),
        "keep_background": bool(visit.text("keep_background")),
        "memory_limit": _mebibytes(memory),
        "cpu_seconds": editing.whole(visit.text("cpu_seconds")),
        "open_files": editing.whole(visit.text("open_files")),
    }


def _mebibytes(text: str) -> Any:
    if not text:
        return None
    given = editing.decimal(text)
    return round(given * MIB) if isinstance(given, float) else given


def _typed(visit: Visit) -> dict[str, Any]:
    """The form as it was typed."""
    flags = {"rerun_lost", "keep_background"}
    return {name: bool(visit.text(name)) if name in flags else visit.text(name) for name in FIELDS}


def _from(record: Any) -> dict[str, Any]:
    """The form of a stored one."""
    found = {name: getattr(record, name) for name in FIELDS}
    for name in ("output_limit", "memory_limit"):
        if found[name] is not None:
            found[name] = f"{found[name] / MIB:g}"
    found["timeout"] = f"{record.timeout:g}"
    return {name: "" if value is None else value for name, value in found.items()}
