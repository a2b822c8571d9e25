"""Queues, nodes and triggers."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import Response

from elihu.accounts import audit
from elihu.web.pages.editing import whole
from elihu.web.pages.visits import EditVisit, PageRoute, RunVisit, ViewVisit, Visit
from elihu.web.problems import Problem
from elihu.web.reads.beside import beside

router = APIRouter(route_class=PageRoute, include_in_schema=False)
MOST: Final = 10_000
HOURS: Final = 24


@router.get("/queues")
async def list_queues(visit: ViewVisit, queue: str = "") -> Response:
    """Every queue, how it is served, and how much it did in each hour of a day; of one of
    them how long its jobs waited.
    """
    app = visit.context.app
    last = int(datetime.now(UTC).timestamp()) // 3_600 * 3_600
    first = last - (HOURS - 1) * 3_600
    done: dict[str, list[int]] = {}
    waits: dict[str, list[int]] = {}
    async with beside(
        visit.context.ended.points(first, last + 3_600, 3_600, by="queue")
    ) as reading:
        queues = await app.queues.list(most=MOST + 1)
        nodes = await app.nodes.list()
        points = await reading
    for point in points:
        number = int(point.at.timestamp() - first) // 3_600
        if 0 <= number < HOURS and point.key is not None:
            done.setdefault(point.key, [0] * HOURS)[number] += point.jobs
            waits.setdefault(point.key, [0] * HOURS)[number] += point.wait_ms
    chosen = queue if queue in waits else max(waits, key=lambda each: sum(waits[each]), default="")
    return visit.page(
        "queues.html",
        chosen=chosen,
        mean=[
            wait / count / 1_000 if count else 0.0
            for wait, count in zip(waits.get(chosen, ()), done.get(chosen, ()), strict=True)
        ],
        queues=queues,
        nodes=nodes,
        pauses=await _pauses(visit, [queue.name for queue in queues if queue.paused]),
        done=done,
        waits=waits,
        labels=[datetime.fromtimestamp(first, UTC) + timedelta(hours=n) for n in range(HOURS)],
        configured={
            queue.name: queue.limit or max((each.limit for each in queue.nodes), default=None)
            for queue in queues
        },
    )


async def _pauses(visit: Visit, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Who paused each of these queues by a page, when, and with which note."""
    found: dict[str, dict[str, Any]] = {}
    async with visit.context.sessions.read() as session:
        for name in names[:50]:
            rows = await audit.find_all(session, kind="queue", object_id=name, limit=1)
            for row in rows.items:
                values = audit.loaded(row.after) or {}
                if row.action == "queue.pause" and not values.get("node"):
                    note = str(values.get("note") or "")
                    found[name] = {"user": row.user_name, "at": row.at, "note": note}
    return found


@router.post("/queues/pause_all")
async def pause_all(visit: RunVisit) -> Response:
    """Pause every queue."""
    names = [queue.name for queue in await visit.context.app.queues.list(most=1)]
    for name in names:
        await visit.context.app.queues.pause(name)
        await _record(visit, "pause", name, {"node": None, "note": visit.text("note")[:500]})
    return visit.back("/queues", f"{len(names)} queues are paused.")


@router.post("/queues/change")
async def change_queue(visit: RunVisit) -> Response:
    """Pause with a note, or resume; for all nodes or one."""
    name, action = visit.text("queue"), visit.text("action")
    node = visit.text("node") or None
    queues = visit.context.app.queues
    if action == "pause":
        unanswered = await queues.pause(name, node=node)
        text = f"{name} is paused."
        if unanswered:
            text += f" {len(unanswered)} nodes did not answer yet."
    elif action == "resume":
        await queues.resume(name, node=node)
        text = f"{name} is resumed."
    else:
        raise Problem(422, "action: expected pause or resume")
    await _record(visit, action, name, {"node": node, "note": visit.text("note")[:500]})
    return visit.back("/queues", text)


@router.post("/queues/serve")
async def serve_queue(visit: EditVisit) -> Response:
    """Scale, start or stop."""
    name, action = visit.text("queue").strip(), visit.text("action")
    node, limit = visit.text("node") or None, whole(visit.text("limit"))
    queues: Any = visit.context.app.queues
    if action == "scale":
        await queues.scale(name, limit, node=node)
        text = f"{name} runs at most {limit} jobs at a time on each node."
    elif action == "start":
        await queues.start(name, limit, node=node)
        text = f"{name} is served."
    elif action == "stop":
        await queues.stop(name, node=node)
        text = f"{name} is served no more. Running jobs are finished."
    else:
        raise Problem(422, "action: expected scale, start or stop")
    await _record(visit, action, name, {"node": node, "limit": limit})
    return visit.back("/queues", text)


@router.get("/nodes")
async def list_nodes(visit: ViewVisit) -> Response:
    """The nodes, and what each says of itself."""
    app = visit.context.app
    queues = await app.queues.list(most=1)
    used: dict[str, list[tuple[str, int, int, bool]]] = {}
    for queue in queues:
        for each in queue.nodes:
            used.setdefault(each.node, []).append(
                (queue.name, each.executing, each.limit, each.paused)
            )
    return visit.page("nodes.html", nodes=await app.nodes.list(), used=used)


@router.post("/nodes/change")
async def change_node(visit: RunVisit) -> Response:
    """Drain a node: it fetches nothing more, and what runs goes on. Or let it fetch again."""
    node, action = visit.text("node"), visit.text("action")
    if action not in {"drain", "resume"}:
        raise Problem(422, "action: expected drain or resume")
    queues = visit.context.app.queues
    served = [
        queue.name
        for queue in await queues.list(most=1)
        if any(each.node == node for each in queue.nodes)
    ]
    for name in served:
        if action == "drain":
            await queues.pause(name, node=node)
        else:
            await queues.resume(name, node=node)
    await visit.record(f"node.{action}", "node", object_id=node, after={"queues": served})
    word = "fetches no more" if action == "drain" else "fetches again"
    return visit.back("/nodes", f"The node {word} from {len(served)} queues.")


@router.get("/triggers")
async def list_triggers(visit: ViewVisit) -> Response:
    """The triggers that this server has loaded, and the cron entries of tasks."""
    app = visit.context.app
    entries = await app.crons.list()
    by_task = {entry.task: entry for entry in entries}
    return visit.page(
        "triggers.html",
        triggers=list(app.triggers),
        entries=entries,
        scans=by_task,
    )


@router.post("/triggers/change")
async def change_trigger(visit: RunVisit) -> Response:
    """Scan, pause or resume a trigger."""
    name, action = visit.text("trigger"), visit.text("action")
    app = visit.context.app
    trigger = app.triggers.get(name)
    if action == "scan":
        counts = await trigger.scan()
        text = f"{counts.matched} records match; {counts.enqueued} jobs are stored."
    elif action in {"pause", "resume"}:
        await getattr(app.crons, action)(trigger.scan_task.name)
        text = f"The scans of {name} are {action}d."
    else:
        raise Problem(422, "action: expected scan, pause or resume")
    await visit.record(f"trigger.{action}", "trigger", object_id=name, object_name=name)
    return visit.back("/triggers", text)


async def _record(visit: Visit, action: str, name: str, after: dict[str, Any]) -> None:
    await visit.record(f"queue.{action}", "queue", object_id=name, object_name=name, after=after)
