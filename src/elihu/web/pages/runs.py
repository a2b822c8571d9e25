"""The list of runs: filter, group, retry, kill, export."""

import csv
import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from elihu import ElihuError
from elihu.commands.admission import pair_of
from elihu.commands.models import ACTIVE, CommandJob, Environment
from elihu.commands.rules import history
from elihu.commands.rules.names import names_of
from elihu.commands.rules.rows import Page
from elihu.commands.usual import usual_of
from elihu.web.pages.actions import kill_run, retry_run
from elihu.web.pages.run_filters import (
    KEYS,
    VIEWS,
    RunFilter,
    cursor,
    read_filter,
    split_qualifiers,
)
from elihu.web.pages.texts import plural
from elihu.web.pages.visits import PageRoute, RunVisit, ViewVisit
from elihu.web.problems import Problem
from elihu.web.reads import run_figures

router = APIRouter(route_class=PageRoute, include_in_schema=False)
SHOWN: Final = 50
GROUPED: Final = 1_000
MOST_EXPORTED: Final = 10_000
MOST_PICKED: Final = 1_000
_STEPS: Final = {3_600: (150, 24), 86_400: (3_600, 24), 604_800: (21_600, 28),
                 2_592_000: (86_400, 30)}  # fmt: skip
_COLUMNS: Final = (
    "id", "command_name", "environment_name", "status", "reason", "source", "cron_expression",
    "occurrence", "attempt", "max_attempts", "exit_code", "signal", "node", "created_at",
    "started_at", "finished_at",
)  # fmt: skip


@router.get("/runs")
async def list_runs(visit: ViewVisit, q: str = "") -> Response:
    """The list. What was typed with qualifiers becomes an address with filters."""
    query = {name: value for name, value in visit.request.query_params.items() if value}
    if "q" in query:
        found, text = split_qualifiers(q)
        kept = {name: value for name, value in query.items() if name in KEYS and name != "text"}
        target = kept | found | ({"text": text} if text else {})
        return RedirectResponse(visit.address("/runs?" + urlencode(target)), 303)
    async with visit.context.sessions.read() as session:
        wanted = await read_filter(session, query)
        group = query.get("group", "")
        page = await _page(session, wanted, query, GROUPED if group else SHOWN)
        seconds = wanted.seconds or 86_400
        step, count = _STEPS[seconds]
        begin = int(datetime.now(UTC).timestamp()) // step * step - (count - 1) * step
        since = datetime.fromtimestamp(begin, UTC)
        given = wanted.wanted or {}
        steps = await run_figures.in_steps(
            session, since, step, count, command_id=given.get("command_id"),
            environment_id=given.get("environment_id"),
        )  # fmt: skip
        shown = () if group else page.items
        usual = await usual_of(session, [pair for run in shown if (pair := pair_of(run))])
        tab_counts = await run_figures.counts(
            session, {key: statuses for key, (_, statuses) in VIEWS.items() if statuses}
        )
        places = sorted(await names_of(session, Environment))
    return visit.page(
        "runs.html",
        runs=page.items,
        next=None if page.next is None or group else str(page.next),
        groups=_grouped(page.items, group) if group else [],
        group=group,
        usual=usual,
        views={key: word for key, (word, _) in VIEWS.items()},
        view=query.get("view", "all"),
        tab_counts=tab_counts,
        steps=steps,
        labels=[since + timedelta(seconds=step * number) for number in range(count)],
        days=step >= 21_600,
        places=places,
        filter_text=urlencode({k: v for k, v in query.items() if k in KEYS}),
        filtered=any(query.get(key) for key in KEYS if key not in {"view", "group"}),
    )


@router.get("/runs.csv")
async def export_runs(visit: ViewVisit) -> Response:
    """At most 10,000 runs that match, as CSV."""
    query = dict(visit.request.query_params)
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(_COLUMNS)
    async with visit.context.sessions.read() as session:
        wanted = await read_filter(session, query)
        for run in await _matching(session, wanted, MOST_EXPORTED):
            rows.writerow([_cell(getattr(run, name)) for name in _COLUMNS])
    return Response(
        text.getvalue(),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="runs.csv"'},
    )


@router.post("/runs/bulk")
async def change_runs(visit: RunVisit) -> Response:
    """Retry or kill the picked runs, or all that match the filter as it was."""
    action = visit.text("action")
    if action not in {"retry", "kill"}:
        raise Problem(422, "action: expected retry or kill")
    async with visit.context.sessions.read() as session:
        if visit.text("all"):
            wanted = await read_filter(session, dict(parse_qsl(visit.text("filter"))))
            ids = [run.id for run in await _matching(session, wanted, MOST_PICKED)]
        else:
            ids = [found for text in visit.texts("id") if (found := cursor(text)) is not None]
    done, refused = 0, ""
    for run_id in ids[:MOST_PICKED]:
        try:
            done += await (retry_run if action == "retry" else kill_run)(visit, run_id) is not None
        except ElihuError as error:
            refused = str(error)
    words = {"retry": "retried", "kill": "ended"}[action]
    text = f"{done} of {plural(len(ids), 'run')} {words}." + (f" {refused}" if refused else "")
    return visit.back("/runs", text, kind="bad" if refused and not done else "ok")


async def _page(
    session: Any, wanted: RunFilter, query: dict[str, str], limit: int
) -> Page[CommandJob]:
    if wanted.wanted is None:
        return Page([], None)
    return await history.find_all(
        session, **wanted.wanted, after=cursor(query.get("after")), limit=limit
    )


async def _matching(session: Any, wanted: RunFilter, most: int) -> list[CommandJob]:
    found: list[CommandJob] = []
    after: UUID | None = None
    while wanted.wanted is not None and len(found) < most:
        page = await history.find_all(
            session, **wanted.wanted, after=after, limit=min(1_000, most - len(found))
        )
        found += page.items
        after = page.next
        if after is None:
            break
    return found


def _grouped(runs: Sequence[CommandJob], by: str) -> list[dict[str, Any]]:
    """The latest 1,000 by command or by error, the largest group first."""
    groups: dict[tuple[str, str], list[CommandJob]] = {}
    for run in runs:
        key = (run.command_name, "") if by == "command" else (run.status, run.reason or "")
        groups.setdefault(key, []).append(run)
    return [
        {
            "key": key, "count": len(members), "last": members[0],
            "failed": sum(run.status not in {*ACTIVE, "succeeded", "skipped"} for run in members),
            "results": [run.status for run in reversed(members[:20])],
        }
        for key, members in sorted(groups.items(), key=lambda each: -len(each[1]))
    ]  # fmt: skip


def _cell(value: Any) -> str:
    """A text that no spreadsheet takes for a formula."""
    text = "" if value is None else value.isoformat() if hasattr(value, "isoformat") else str(value)
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
