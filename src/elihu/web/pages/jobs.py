"""The list of jobs: filter by state, queue, task, tag or node; act on those picked."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from elihu import ElihuError, InvalidArguments, InvalidOption, JobState
from elihu.accounts.roles import Role
from elihu.web.pages.texts import plural
from elihu.web.pages.visits import EditVisit, PageRoute, RunVisit, ViewVisit, Visit
from elihu.web.problems import Problem

router = APIRouter(route_class=PageRoute, include_in_schema=False)
SHOWN: Final = 50
MOST: Final = 10_000
_PIECE: Final = 1_000
KEYS: Final = ("state", "queue", "task", "tag", "template", "node")
ACTIONS: Final[Mapping[str, tuple[str, Role]]] = {
    "retry": ("retried", Role.RUN),
    "cancel": ("cancelled", Role.RUN),
    "kill": ("killed", Role.RUN),
    "hold": ("held", Role.RUN),
    "release": ("released", Role.RUN),
    "delete": ("deleted", Role.EDIT),
}
_QUALIFIER: Final = re.compile(r'(state|queue|task|tag|template|node):("[^"]*"|\S+)')


@router.get("/jobs")
async def list_jobs(visit: ViewVisit, q: str = "") -> Response:
    """The list. What was typed becomes an address with filters."""
    query = {name: value for name, value in visit.request.query_params.items() if value}
    if "q" in query:
        found = {match[1]: match[2].strip('"') for match in _QUALIFIER.finditer(q[:2_000])}
        rest = " ".join(_QUALIFIER.sub(" ", q[:2_000]).split())
        if rest.isascii() and rest.isdigit():
            return RedirectResponse(visit.address(f"/jobs/{rest}"), 303)
        if rest:
            found["task"] = rest
        kept: dict[str, str] = {name: value for name, value in query.items() if name in KEYS}
        return RedirectResponse(visit.address("/jobs?" + urlencode({**kept, **found})), 303)
    app = visit.context.app
    wanted = _wanted(query)
    page = await app.jobs.summaries(
        **wanted, after=query.get("after", "")[:1_000] or None, limit=SHOWN
    )
    ids = [job.id for job in page.items]
    whole = (
        {job.id: job for job in (await app.jobs.list(ids=ids, limit=SHOWN)).items} if ids else {}
    )
    return visit.page(
        "jobs.html",
        jobs=page.items,
        whole=whole,
        next=page.next,
        counts=await app.stats.counts(),
        state=query.get("state", ""),
        failures=(await app.stats.failures())[:6],
        queues=[queue.name for queue in await app.queues.list(most=1)],
        tasks=sorted({*app.task_names(), *visit.context.scheduler.app.task_names()}),
        filter_text=urlencode([(name, query[name]) for name in KEYS if name in query]),
        filtered=any(name in query for name in KEYS),
    )


@router.post("/jobs/bulk")
async def change_jobs(visit: RunVisit) -> Response:
    """Act on the picked jobs, or on all that match the filter as it was."""
    action = visit.text("action")
    if action not in ACTIONS:
        raise Problem(422, f"action: expected one of {', '.join(ACTIONS)}")
    word, role = ACTIONS[action]
    if not visit.who.role.allows(role):
        raise Problem(403, f"this needs the role {role}")
    app = visit.context.app
    filters: dict[str, Any] = {}
    if visit.text("all"):
        filters = _wanted(dict(parse_qsl(visit.text("filter"))))
        if not filters:
            raise Problem(422, "choose a state, a queue or a task first: all jobs are too many")
        ids = await _matching(app, filters)
    else:
        ids = [int(text) for text in visit.texts("id") if text.isascii() and text.isdigit()]
    if not ids:
        return visit.back("/jobs", "No job was picked.", kind="bad")
    done = await getattr(app.jobs, action)(ids=ids[:MOST])
    await visit.record(
        f"job.{action}", "job",
        after={"changed": done, "filter": filters and dict(filters), "ids": ids[:100]},
    )  # fmt: skip
    text = f"{done:,} of {plural(len(ids), 'job')} {word}."
    if done < len(ids):
        text += " The others were in a state that does not allow it."
    return visit.back("/jobs", text)


@router.post("/jobs/retry_alike")
async def retry_alike(visit: RunVisit) -> Response:
    """Retry the jobs that fail like one of them, among the latest 1,000 failures."""
    text = visit.text("id")
    job_id = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
    app = visit.context.app
    groups = await app.stats.failures(examples=1_000)
    ids = next((group.ids for group in groups if job_id in group.ids), ())
    if not ids:
        return visit.back("/jobs", "These failures are over: no job was retried.", kind="bad")
    done = await app.jobs.retry(ids=list(ids))
    await visit.record("job.retry", "job", after={"changed": done, "ids": list(ids[:100])})
    return visit.back("/jobs", f"{done:,} of {plural(len(ids), 'job')} retried.")


@router.get("/jobs/new")
async def new_job(visit: EditVisit) -> Response:
    """The form to enqueue a job; it can begin as a copy of another."""
    copied = visit.request.query_params.get("copy", "")
    values = {"task": visit.request.query_params.get("task", ""), "args": "{}", "queue": "",
              "priority": "", "delay": ""}  # fmt: skip
    if copied.isascii() and copied.isdigit():
        job = await visit.context.app.jobs.get(int(copied[:19]))
        values |= {
            "task": job.task, "queue": job.queue, "priority": str(job.priority),
            "args": json.dumps(job.args, indent=2, ensure_ascii=False),
        }  # fmt: skip
    return _form(visit, values, {})


@router.post("/jobs/new")
async def enqueue(visit: EditVisit) -> Response:
    """Store a job of a task that this server knows."""
    app = visit.context.app
    values = {name: visit.text(name) for name in ("task", "args", "queue", "priority", "delay")}
    errors: dict[str, str] = {}
    options: dict[str, Any] = {}
    args: Any = {}
    try:
        args = json.loads(values["args"] or "{}")
        if not isinstance(args, dict):
            errors["args"] = "expected an object: names and values"
    except ValueError as error:
        errors["args"] = f"expected JSON: {error}"
    if values["queue"].strip():
        options["queue"] = values["queue"].strip()
    for name, kind in (("priority", int), ("delay", float)):
        if values[name].strip():
            try:
                options[name] = kind(values[name])
            except ValueError:
                errors[name] = "expected a number"
    if errors:
        return _form(visit, values, errors, 422)
    try:
        new = app.task_named(values["task"]).using(**options).build(**args)
        job = await app.aenqueue(new)
    except InvalidArguments as error:
        return _form(visit, values, {"args": str(error)}, 422)
    except InvalidOption as error:
        field = str(error).partition(":")[0]
        return _form(visit, values, {field if field in values else "task": str(error)}, 422)
    except ElihuError as error:
        return _form(visit, values, {"task": str(error)}, 422)
    await visit.record("job.enqueue", "job", object_id=job.id, object_name=job.task)
    return visit.go(f"/jobs/{job.id}", f"Job {job.id} is stored.")


def _form(
    visit: Visit, values: dict[str, str], errors: dict[str, str], status: int = 200
) -> Response:
    tasks = sorted(visit.context.app.task_names())
    return visit.page("job_new.html", status, values=values, errors=errors, tasks=tasks)


def _wanted(query: Mapping[str, str]) -> dict[str, Any]:
    """The filters of an address, as the jobs take them."""
    found: dict[str, Any] = {}
    for name in KEYS:
        if text := query.get(name, "")[:200]:
            found["tags" if name == "tag" else name] = text
    if "state" in found and found["state"] not in list(JobState):
        raise Problem(422, f"state: expected one of {', '.join(JobState)}")
    return found


async def _matching(app: Any, filters: Mapping[str, Any]) -> list[int]:
    ids: list[int] = []
    after = None
    while len(ids) < MOST:
        page = await app.jobs.summaries(**filters, after=after, limit=_PIECE)
        ids += [job.id for job in page.items]
        after = page.next
        if after is None:
            break
    return ids[:MOST]
