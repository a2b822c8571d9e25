"""``/api/system/queues`` and ``/api/system/nodes``."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import Path, Request
from pydantic import BaseModel, ConfigDict, Field

from elihu import Queue, UnknownQueue
from elihu.accounts.roles import Role
from elihu.web.api.paging import Page
from elihu.web.api.routes import Resource
from elihu.web.audit_rows import record
from elihu.web.auth import CurrentActor
from elihu.web.context import Context, context_of

queues = Resource("/system/queues", "system")
nodes = Resource("/system/nodes", "system")
MOST = 10_000
KIND = "queue"

QueueName = Annotated[str, Path(alias="name", min_length=1, max_length=200)]


class QueueOnNodeOut(BaseModel):
    """How one node serves a queue. Beside the jobs in its ``limit`` slots, at most
    ``prefetch`` wait in the node and count as executing.
    """

    model_config = ConfigDict(from_attributes=True)

    node: str
    limit: int
    paused: bool
    executing: int
    prefetch: int


class QueueOut(BaseModel):
    """A queue. ``available`` is counted up to 10,000, then ``more``; ``longest_wait`` is in
    seconds.
    """

    name: str
    limit: int | None
    paused: bool
    stopped: bool
    available: int
    more: bool
    longest_wait: float | None
    executing: int
    nodes: list[QueueOnNodeOut]


class NodeOut(BaseModel):
    """A process that executes jobs. ``info`` is what it says of itself."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    name: str
    started_at: datetime
    beat_at: datetime | None
    leader: bool
    running: int
    info: dict[str, Any]


class OnNode(BaseModel):
    """One node by its id, or the start of it; null for all nodes, and those to come."""

    model_config = ConfigDict(extra="forbid")

    node: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class PauseOnNode(OnNode):
    """Where to pause, and why: the note is in the audit, and on the page of the queues."""

    note: Annotated[str, Field(max_length=500)] = ""


class LimitOnNode(OnNode):
    """How many jobs at a time."""

    limit: Annotated[int, Field(ge=1, le=10_000)]


class StartOnNode(OnNode):
    """How many jobs at a time; null for the configured number."""

    limit: Annotated[int, Field(ge=1, le=10_000)] | None = None


class Paused(BaseModel):
    """The nodes that did not answer within 5 seconds."""

    unanswered: list[str]


class Done(BaseModel):
    """It is done."""

    done: bool = True


@queues.get()
async def list_queues(request: Request) -> Page[QueueOut]:
    """Every queue that is served, configured, has settings or holds jobs."""
    found = await context_of(request).app.queues.list(most=MOST + 1)
    return Page(items=[shown_queue(queue) for queue in found])


@queues.post("/{name:path}/pause")
async def pause_queue(
    request: Request, actor: CurrentActor, name: QueueName, given: PauseOnNode | None = None
) -> Paused:
    """Fetch no more jobs. Running ones are not affected."""
    context, wanted = context_of(request), given or PauseOnNode()
    unanswered = await context.app.queues.pause(name, node=wanted.node)
    await _record(context, actor, "pause", name, wanted.model_dump())
    return Paused(unanswered=unanswered)


@queues.post("/{name:path}/resume")
async def resume_queue(
    request: Request, actor: CurrentActor, name: QueueName, given: OnNode | None = None
) -> Done:
    """Fetch jobs again."""
    context, on = context_of(request), (given or OnNode()).node
    await context.app.queues.resume(name, node=on)
    await _record(context, actor, "resume", name, {"node": on})
    return Done()


@queues.post("/{name:path}/scale", role=Role.EDIT)
async def scale_queue(
    request: Request, actor: CurrentActor, name: QueueName, given: LimitOnNode
) -> Done:
    """Change how many jobs a node runs at a time."""
    context = context_of(request)
    await context.app.queues.scale(name, given.limit, node=given.node)
    await _record(context, actor, "scale", name, given.model_dump())
    return Done()


@queues.post("/{name:path}/start", role=Role.EDIT)
async def start_queue(
    request: Request, actor: CurrentActor, name: QueueName, given: StartOnNode | None = None
) -> Done:
    """Serve a queue, which may be new."""
    context, wanted = context_of(request), given or StartOnNode()
    await context.app.queues.start(name, wanted.limit, node=wanted.node)
    await _record(context, actor, "start", name, wanted.model_dump())
    return Done()


@queues.post("/{name:path}/stop", role=Role.EDIT)
async def stop_queue(
    request: Request, actor: CurrentActor, name: QueueName, given: OnNode | None = None
) -> Done:
    """Serve a queue no more. Running jobs are finished."""
    context, on = context_of(request), (given or OnNode()).node
    await context.app.queues.stop(name, node=on)
    await _record(context, actor, "stop", name, {"node": on})
    return Done()


@queues.get("/{name:path}")
async def get_queue(request: Request, name: QueueName) -> QueueOut:
    """One queue."""
    for queue in await context_of(request).app.queues.list(most=MOST + 1):
        if queue.name == name:
            return shown_queue(queue)
    raise UnknownQueue(f"queue {name!r} not found")


@nodes.get()
async def list_nodes(request: Request) -> Page[NodeOut]:
    """The nodes, oldest first."""
    found = await context_of(request).app.nodes.list()
    return Page(items=[NodeOut.model_validate(node) for node in found])


def shown_queue(queue: Queue) -> QueueOut:
    """A queue as the API shows it."""
    return QueueOut(
        name=queue.name,
        limit=queue.limit,
        paused=queue.paused,
        stopped=queue.stopped,
        available=min(queue.available, MOST),
        more=queue.available > MOST,
        longest_wait=queue.longest_wait,
        executing=queue.executing,
        nodes=[QueueOnNodeOut.model_validate(each) for each in queue.nodes],
    )


async def _record(
    context: Context, actor: Any, action: str, name: str, after: dict[str, Any]
) -> None:
    await record(
        context, actor, f"queue.{action}", KIND, object_id=name, object_name=name, after=after
    )
