"""One job: the states it passed, its attempts, and what can be done with it."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from elihu import ChangedMeanwhile, ElihuError, Job, JobState
from elihu.secret_names import is_secret_name
from elihu.web.pages.editing import whole
from elihu.web.pages.texts import plural
from elihu.web.pages.visits import EditVisit, PageRoute, RunVisit, ViewVisit, Visit
from elihu.web.problems import Problem

router = APIRouter(route_class=PageRoute, include_in_schema=False)
LARGEST: Final = 2**63 - 1
HALF_HOURS: Final = 48
_ACTIONS: Final = {
    "retry": "available again", "cancel": "being cancelled", "kill": "being killed",
    "stop": "given back", "hold": "held", "release": "released",
}  # fmt: skip
_ENDED: Final = frozenset({JobState.COMPLETED, JobState.DISCARDED, JobState.CANCELLED})


@router.get("/jobs/{job_id}")
async def show_job(visit: ViewVisit, job_id: int) -> Response:
    """The page."""
    return await _page(visit, await _get(visit, job_id))


@router.post("/jobs/{job_id}/change")
async def change_job(visit: EditVisit, job_id: int) -> Response:
    """Change arguments, queue, priority, attempts or time of a job that is not executing."""
    job = await _get(visit, job_id)
    typed = {
        name: visit.text(name) for name in ("args", "queue", "priority", "max_attempts", "run_at")
    }
    errors: dict[str, str] = {}
    values: dict[str, Any] = {}
    if visit.text("seen") != _seen(job):
        both = [
            ("args", json.dumps(dict(job.args), ensure_ascii=False), typed["args"]),
            ("queue", job.queue, typed["queue"]),
            ("priority", str(job.priority), typed["priority"]),
            ("max_attempts", str(job.max_attempts), typed["max_attempts"]),
        ]
        return await _page(visit, job, 412, typed=typed, both=[e for e in both if e[1] != e[2]])
    if typed["args"].strip() and typed["args"] != visit.text("args_before"):
        try:
            values["args"] = json.loads(typed["args"])
        except ValueError as error:
            errors["args"] = f"expected JSON: {error}"
    if typed["queue"] != job.queue:
        values["queue"] = typed["queue"].strip()
    for name in ("priority", "max_attempts"):
        number = whole(typed[name])
        if number != getattr(job, name):
            values[name] = number
    if typed["run_at"].strip():
        try:
            values["run_at"] = datetime.fromisoformat(typed["run_at"].strip())
        except ValueError:
            errors["run_at"] = "expected a time with a zone: 2026-10-22T14:00:00Z"
    if not errors and values:
        try:
            await visit.context.app.jobs.update(job_id, expected=job, **values)
        except ChangedMeanwhile:
            return await change_job(visit, job_id)
        except ElihuError as error:
            field = str(error).partition(":")[0]
            errors[field if field in typed else "args"] = str(error)
    if errors:
        return await _page(visit, job, 422, typed=typed, errors=errors)
    await visit.record(
        "job.change", "job", object_id=job_id, object_name=job.task,
        after={name: value for name, value in values.items() if name != "args"},
    )  # fmt: skip
    return visit.go(f"/jobs/{job_id}", f"Job {job_id} is changed.")


@router.post("/jobs/{job_id}/delete")
async def delete_job(visit: EditVisit, job_id: int) -> Response:
    """Delete a job that is not executing."""
    job = await _get(visit, job_id)
    if not await visit.context.app.jobs.delete(job_id):
        raise Problem(409, f"job {job_id} is executing: cancel or kill it first")
    await visit.record("job.delete", "job", object_id=job_id, object_name=job.task)
    return visit.go("/jobs", f"Job {job_id} is deleted.")


@router.post("/jobs/{job_id}/{action}")
async def act(visit: RunVisit, job_id: int, action: str) -> Response:
    """Retry, cancel, kill, stop, hold or release."""
    if action not in _ACTIONS:
        raise Problem(404, "there is no such action")
    job = await _get(visit, job_id)
    done = await getattr(visit.context.app.jobs, action)(job_id)
    await visit.record(f"job.{action}", "job", object_id=job_id, object_name=job.task)
    if done == 0:
        text = f"Job {job_id} is {job.state}: that changes nothing."
        return visit.back(f"/jobs/{job_id}", text, kind="bad")
    return visit.back(
        f"/jobs/{job_id}", f"Job {job_id} is {_ACTIONS[action]}.", open_=f"/jobs/{job_id}"
    )


async def _get(visit: Visit, job_id: int) -> Job:
    if not 1 <= job_id <= LARGEST:
        raise Problem(404, "job not found")
    return await visit.context.app.jobs.get(job_id)


async def _page(visit: Visit, job: Job, status: int = 200, **values: Any) -> Response:
    app = visit.context.app
    attempts = await app.jobs.runs(job.id, limit=200)
    failures = await app.stats.failures(examples=1_000)
    return visit.page(
        "job.html",
        status,
        job=job,
        attempts=list(reversed(attempts)),
        usual=await app.stats.usual_time(job.task),
        alike=next((group for group in failures if job.id in group.ids), None),
        lately=await lately(visit, job.task),
        ended=job.state in _ENDED,
        steps=_path(job),
        seen=_seen(job),
        may_edit=job.state not in _ENDED and job.state is not JobState.EXECUTING,
        has_secret=any(is_secret_name(str(name)) for name in job.args),
        **({"typed": None, "both": []} | values),
    )


async def lately(visit: Visit, task: str) -> dict[str, Any]:
    """Attempts of a task that ended in each half hour of the last day."""
    last = int(datetime.now(UTC).timestamp()) // 1_800 * 1_800
    first = last - (HALF_HOURS - 1) * 1_800
    done, failed = [0] * HALF_HOURS, [0] * HALF_HOURS
    points = await visit.context.ended.points(first, last + 1_800, 900, by="task", task=task)
    for point in points:
        number = int(point.at.timestamp() - first) // 1_800
        if 0 <= number < HALF_HOURS:
            ok = point.outcome == "completed"
            (done if ok else failed)[number] += point.jobs
    return {"done": done, "failed": failed, "since": datetime.fromtimestamp(first, UTC)}


def _seen(job: Job) -> str:
    """What tells whether a job was edited since its page was read."""
    return json.dumps(
        [job.queue, job.priority, job.max_attempts, str(job.scheduled_at), _digest(job.args)]
    )


def _digest(value: Any) -> str:
    """A short text that differs where a value differs."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Step:
    """A state passed (``was``), present (``is``) or ahead (``yet``), and what is said of it:
    texts, and a time with how far it is away.
    """

    look: str
    state: str
    text: str = ""
    at: datetime | None = None


def _path(job: Job) -> list[Step]:
    """The states passed, the present one and those ahead."""
    found = [Step("was", "available", "stored", job.inserted_at)]
    if job.attempt and job.state is not JobState.EXECUTING:
        attempts = plural(job.attempt, "attempt") + (", the last" if job.attempt > 1 else "")
        found.append(Step("was", "executing", attempts, job.started_at))
    match job.state:
        case JobState.SCHEDULED | JobState.RETRYABLE:
            found.append(Step("is", job.state.value, "next", job.scheduled_at))
        case JobState.EXECUTING:
            found.append(Step("is", job.state.value, f"attempt {job.attempt}", job.started_at))
        case _:
            found.append(Step("is", job.state.value, "", job.finished_at))
    if job.state not in _ENDED:
        if job.state is not JobState.EXECUTING:
            found.append(Step("yet", "executing", f"attempt {job.attempt + 1}"))
        found.append(Step("yet", "completed", f"or discarded after attempt {job.max_attempts}"))
    if found[0].state == found[1].state:
        del found[0]
    return found
