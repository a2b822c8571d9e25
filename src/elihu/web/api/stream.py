"""``/api/stream``: server-sent events of topics, and the same by polling."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import Header, Query, Request
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse

from elihu.web.api.jobs import JobOut
from elihu.web.api.overview import read_counts
from elihu.web.api.queues import MOST, NodeOut, shown_queue
from elihu.web.api.routes import Resource
from elihu.web.api.runs import shown_run
from elihu.web.auth import CurrentActor, may_still_read
from elihu.web.context import Context, context_of
from elihu.web.problems import Problem
from elihu.web.streams import LONGEST_ID, TOPICS, Reader, Seen, events

stream = Resource("/stream", "stream")

Topics = Annotated[
    list[Annotated[str, Query(max_length=100)]],
    Query(
        min_length=1,
        max_length=TOPICS,
        description="overview, queues, nodes, job:ID or run:ID; at most ten.",
    ),
]
_LastId = Annotated[str | None, Query(max_length=LONGEST_ID)]


class EventsOut(BaseModel):
    """What is new. ``id`` is ``last`` for the next poll."""

    id: str
    events: list[dict[str, Any]]


@stream.get(response_class=Response)
async def open_stream(
    request: Request,
    actor: CurrentActor,
    topic: Topics,
    last_event_id: Annotated[str | None, Header(max_length=LONGEST_ID)] = None,
) -> Response:
    """Events of topics as they change: the event is named as the topic before its colon,
    and its data has the topic and what it says. Resumable by ``Last-Event-ID``.
    """
    context = context_of(request)
    seen = Seen(context.streams, readers_of(context, topic), last_event_id)
    await seen.check()
    taken = context.streams.place(actor)
    taken.__enter__()

    async def lines() -> AsyncIterator[str]:
        try:
            async for line in events(
                context.streams,
                seen,
                ends=context.ends_streams,
                allowed=partial(may_still_read, request),
            ):
                yield line
        finally:
            taken.__exit__(None, None, None)

    return StreamingResponse(
        lines(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )


@stream.get("/poll")
async def poll(request: Request, topic: Topics, last: _LastId = None) -> EventsOut:
    """What a stream would send next, for where streams are blocked."""
    context = context_of(request)
    seen = Seen(context.streams, readers_of(context, topic), last)
    await seen.check()
    found = await seen.values()
    return EventsOut(id=seen.id, events=found)


def readers_of(context: Context, topics: list[str]) -> dict[str, Reader]:
    """What reads each topic. Raises ``Problem`` for one that there is not."""
    return {topic: _reader(context, topic) for topic in dict.fromkeys(topics)}


def _reader(context: Context, topic: str) -> Reader:
    kind, _, name = topic.partition(":")
    match kind:
        case "overview" if not name:
            return partial(_overview, context)
        case "queues" if not name:
            return partial(_queues, context)
        case "nodes" if not name:
            return partial(_nodes, context)
        case "job" if name.isascii() and name.isdigit() and 0 < int(name) < 2**63:
            return partial(_job, context, int(name))
        case "run":
            try:
                return partial(_run, context, UUID(name))
            except ValueError:
                pass
    raise Problem(
        422,
        "expected overview, queues, nodes, job:ID or run:ID",
        errors=[("topic", "expected overview, queues, nodes, job:ID or run:ID")],
    )


async def _overview(context: Context) -> Any:
    return (await read_counts(context)).model_dump(mode="json")


async def _queues(context: Context) -> Any:
    """Without the longest wait, which changes by itself."""
    found = await context.app.queues.list(most=MOST + 1)
    return [shown_queue(queue).model_dump(mode="json", exclude={"longest_wait"}) for queue in found]


async def _nodes(context: Context) -> Any:
    """Without the time of the heartbeat, which changes by itself."""
    found = await context.app.nodes.list()
    return [
        NodeOut.model_validate(node).model_dump(mode="json", exclude={"beat_at"}) for node in found
    ]


async def _job(context: Context, job_id: int) -> Any:
    return JobOut.model_validate(await context.app.jobs.get(job_id)).model_dump(mode="json")


async def _run(context: Context, run_id: UUID) -> Any:
    return (await shown_run(context, run_id)).model_dump(mode="json")
