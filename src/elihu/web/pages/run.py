"""One run: its course, its output, why it failed, and what can be done with it."""

import re
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import Response

from elihu.commands.admission import Pair
from elihu.commands.models import ACTIVE, CommandJobEvent
from elihu.commands.rules import commands, crons, environments, history, variables
from elihu.commands.usual import usual_seconds
from elihu.web.pages.actions import kill_run, retry_run, started_text
from elihu.web.pages.visits import PageRoute, RunVisit, ViewVisit
from elihu.web.reads import run_figures

router = APIRouter(route_class=PageRoute, include_in_schema=False)
HISTORY: Final = 30
LINES: Final = 200
_ESCAPES: Final = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)?")


@router.get("/runs/{run_id}")
async def show_run(visit: ViewVisit, run_id: UUID, attempt: int = 0) -> Response:
    """The page."""
    async with visit.context.sessions.read() as session:
        run = await history.get(session, run_id)
        events = (await history.events(session, run_id=run_id, limit=100)).items
        shown = attempt or max(run.attempt, 1)
        tail = await run_figures.tail(session, run_id, shown)
        usual, before, seen = None, [], []
        if run.command_id is not None and run.environment_id is not None:
            usual = await usual_seconds(session, Pair(run.command_id, run.environment_id))
            page = await history.find_all(
                session, command_id=run.command_id, environment_id=run.environment_id,
                limit=HISTORY,
            )  # fmt: skip
            before = list(reversed(page.items))
        if run.environment_id is not None:
            seen = [
                each
                for each in await variables.seen_by(session, run.environment_id)
                if each.name in run.shell_command
            ]
        command = None if run.command_id is None else await commands.get(session, run.command_id)
        cron = None if run.cron_id is None else await crons.get(session, run.cron_id)
        places = (await environments.find_all(session, enabled=True, limit=100)).items
    attempts = _attempts(list(events))
    return visit.page(
        "run.html",
        run=run,
        command=command,
        cron=cron,
        active=run.status in ACTIVE,
        attempts=attempts,
        attempt=shown,
        usual=usual,
        before=before,
        seen=seen,
        places=places,
        tail=tail,
        lines=_lines(tail.pieces, complete=tail.complete),
        last_failed=next(
            (each for each in events if each.status not in {"started", "succeeded", "skipped"}),
            None,
        ),
        course=_course(attempts, usual, None if command is None else command.timeout),
    )


@router.post("/runs/{run_id}/kill")
async def kill(visit: RunVisit, run_id: UUID) -> Response:
    """End a run."""
    run = await kill_run(visit, run_id)
    if run is None:
        return visit.back(f"/runs/{run_id}", "It had ended before.")
    return visit.back(
        f"/runs/{run_id}", f"{run.command_name} is being ended.", open_=f"/runs/{run_id}"
    )


@router.post("/runs/{run_id}/retry")
async def retry(visit: RunVisit, run_id: UUID) -> Response:
    """Run it again, by force."""
    run = await retry_run(visit, run_id)
    return visit.back(f"/runs/{run.id}", started_text(run), open_=f"/runs/{run.id}")


def _attempts(events: list[CommandJobEvent]) -> list[dict[str, Any]]:
    """One entry an attempt, first to last, from its newest event."""
    found: dict[int, dict[str, Any]] = {}
    for event in reversed(events):
        entry = found.setdefault(event.attempt, {"number": event.attempt, "started_at": None})
        entry["started_at"] = entry["started_at"] or event.started_at
        entry["event"] = event
        entry["status"] = "running" if event.status == "started" else event.status
        entry["finished_at"] = event.finished_at
    return [found[number] for number in sorted(found)]


def _course(
    attempts: list[dict[str, Any]], usual: float | None, timeout: float | None
) -> dict[str, Any]:
    """Attempts as parts of a line of 720, with the usual end and the limit of the last."""
    begun = [each for each in attempts if each["started_at"] is not None]
    if not begun:
        return {"parts": [], "usual": None, "limit": None}
    moment = datetime.now(UTC)
    first = begun[0]["started_at"]
    spans = [
        ((each["started_at"] - first).total_seconds(),
         ((each["finished_at"] or moment) - first).total_seconds(), each)
        for each in begun
    ]  # fmt: skip
    start, end, last = spans[-1]
    marks = [start + each for each in (usual, timeout) if each is not None]
    is_running = last["finished_at"] is None
    total = max([end, *(marks if is_running else marks[:1])]) or 1.0
    width = 720 / total
    return {
        "parts": [
            (round(a * width, 1), max(round((b - a) * width, 1), 2.0), each) for a, b, each in spans
        ],
        "usual": None if usual is None else round(min(start + usual, total) * width, 1),
        "limit": timeout if is_running else None,
        "seconds": [(b - a, each) for a, b, each in spans],
    }


def _lines(pieces: list[tuple[str, bytes]], *, complete: bool) -> list[tuple[str, str]]:
    """The last lines as text without escapes: stream and line."""
    found: list[tuple[str, str]] = []
    open_: dict[str, str] = {}
    for stream, data in pieces:
        parts = (open_.pop(stream, "") + data.decode("utf-8", "replace")).split("\n")
        found.extend((stream, _clean(part)) for part in parts[:-1])
        if parts[-1]:
            open_[stream] = parts[-1]
    found.extend((stream, _clean(rest)) for stream, rest in open_.items())
    return (found if complete else found[1:])[-LINES:]


def _clean(text: str) -> str:
    shown = _ESCAPES.sub("", text.rstrip("\r").rpartition("\r")[2])
    return shown[:5_000] + (" …" if len(shown) > 5_000 else "")
