"""``/api/runs``, ``/api/events``, and what starts and ends runs."""

import asyncio
import codecs
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response, StreamingResponse

from elihu.accounts import audit
from elihu.commands.admission import Pair
from elihu.commands.models import CommandJob, EventStatus, Output, Source, Status
from elihu.commands.rules import commands as command_rules
from elihu.commands.rules import history
from elihu.commands.rules import runs as rules
from elihu.commands.watch import usual_seconds
from elihu.web.api.changes import IdempotencyKey, once
from elihu.web.api.edited import Search, commands
from elihu.web.api.editing import RecordId
from elihu.web.api.models import Given
from elihu.web.api.paging import Limit, Page
from elihu.web.api.routes import Resource
from elihu.web.auth import CurrentActor, may_still_read
from elihu.web.context import Context, context_of
from elihu.web.problems import Problem
from elihu.web.streams import COMMENT, SHORTEST, event

runs = Resource("/runs", "runs")
events = Resource("/events", "events")
KIND = "run"
TOPIC = "run"
PIECE = 200
POLL = 0.5
"""Seconds between two reads of the output of a run, where no signal comes."""


class RunOut(BaseModel):
    """A run. Names and texts are as they were; ``peak_memory`` is in bytes, ``cpu_time`` in
    seconds.
    """

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    command_id: UUID | None
    command_name: str
    schedule_id: UUID | None
    environment_id: UUID | None
    environment_name: str
    cron_id: UUID | None
    cron_expression: str | None
    shell_command: str
    job_id: int | None
    source: Source
    forced: bool
    occurrence: datetime | None
    status: Status
    reason: str | None
    attempt: int
    max_attempts: int
    node: str | None
    exit_code: int | None
    signal: int | None
    peak_memory: int | None
    cpu_time: float | None
    dropped_bytes: int | None
    created_at: datetime
    due_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    late_at: datetime | None
    long_at: datetime | None


class OneRunOut(RunOut):
    """A run, and how many seconds such runs usually take; null where none succeeded."""

    usual_seconds: float | None = None


class EventOut(BaseModel):
    """What happened to a run, with excerpts of what the attempt wrote."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    run_id: Annotated[UUID, Field(validation_alias="command_job_id")]
    command_id: UUID | None
    attempt: int
    status: EventStatus
    reason: str | None
    exit_code: int | None
    signal: int | None
    started_at: datetime | None
    finished_at: datetime | None
    duration_ms: int | None
    stdout: str
    stderr: str


class ChunkOut(BaseModel):
    """A piece of output. Bytes that are not UTF-8 are replaced."""

    attempt: int
    sequence: int
    stream: str
    text: str
    written_at: datetime


class OutputOut(BaseModel):
    """Pieces of output in order. ``next`` is ``after`` for what follows. ``ended`` is
    whether nothing follows an empty page.
    """

    items: list[ChunkOut]
    next: str
    ended: bool


class RunIn(Given):
    """Where to run. Without an environment it is the first enabled one of the command's
    schedules.
    """

    environment_id: UUID | None = None
    force: bool = False


class RunLaterIn(RunIn):
    """When to run: in so many seconds."""

    delay_seconds: Annotated[float, Field(ge=1, le=31_622_400)]


OutputPlace = Annotated[
    str,
    Query(pattern=r"^[0-9]{1,9}\.(-1|[0-9]{1,9})$", description="Attempt and sequence: 1.17"),
]


@runs.get()
async def list_runs(
    request: Request,
    command_id: UUID | None = None,
    environment_id: UUID | None = None,
    schedule_id: UUID | None = None,
    status: Annotated[list[Status] | None, Query(max_length=10)] = None,
    since: datetime | None = None,
    until: datetime | None = None,
    text: Search = None,
    after: UUID | None = None,
    limit: Limit = 50,
) -> Page[RunOut]:
    """Runs, newest first."""
    _check_zones(since, until)
    async with context_of(request).sessions.read() as session:
        page = await history.find_all(
            session, command_id=command_id, environment_id=environment_id,
            schedule_id=schedule_id, statuses=tuple(dict.fromkeys(status or ())), since=since,
            until=until, text=text, after=after, limit=limit,
        )  # fmt: skip
        return Page(
            items=[RunOut.model_validate(run) for run in page.items],
            next=None if page.next is None else str(page.next),
        )


@runs.get("/{id}")
async def get_run(request: Request, record_id: RecordId) -> OneRunOut:
    """One run."""
    return await shown_run(context_of(request), record_id)


@runs.post("/{id}/kill")
async def kill_run(request: Request, actor: CurrentActor, record_id: RecordId) -> RunOut:
    """End a run, whatever attempts are left. One that waits is cancelled."""
    context = context_of(request)
    async with context.sessions.begin() as session:
        run = await rules.kill(session, context.host, record_id)
        shown = RunOut.model_validate(run)
        await audit.record(
            session, actor, "run.kill", KIND, object_id=run.id, object_name=run.command_name
        )
    await announce(context, shown.id)
    return shown


@commands.post("/{id}/run", status_code=201)
async def run_command(
    request: Request,
    actor: CurrentActor,
    record_id: RecordId,
    given: RunIn | None = None,
    key: IdempotencyKey = None,
) -> RunOut:
    """Run a command now. What the rule of overlap leaves out is a run that was skipped."""
    wanted = given or RunIn()

    async def work(session: Any) -> dict[str, Any]:
        run = await rules.run(session, context_of(request).host, record_id, **wanted.model_dump())
        return await _started(session, actor, "run", run)

    return await _once(request, actor, key, wanted, work)


@commands.post("/{id}/run_in", status_code=201)
async def run_command_later(
    request: Request,
    actor: CurrentActor,
    record_id: RecordId,
    given: RunLaterIn,
    key: IdempotencyKey = None,
) -> RunOut:
    """Run a command later."""

    async def work(session: Any) -> dict[str, Any]:
        run = await rules.run_in(session, context_of(request).host, record_id, **given.model_dump())
        return await _started(session, actor, "run_in", run)

    return await _once(request, actor, key, given, work)


@commands.post("/{id}/retry_last_failed", status_code=201)
async def retry_last_failed(
    request: Request, actor: CurrentActor, record_id: RecordId, key: IdempotencyKey = None
) -> RunOut:
    """Run a command again in the environment of its last run that did not succeed."""

    async def work(session: Any) -> dict[str, Any]:
        run = await rules.retry_last_failed(session, context_of(request).host, record_id)
        return await _started(session, actor, "retry_last_failed", run)

    return await _once(request, actor, key, None, work)


@commands.get("/{id}/usual")
async def usual_times(request: Request, record_id: RecordId) -> dict[UUID, float | None]:
    """How many seconds a command usually takes, by environment of its last 100 runs."""
    async with context_of(request).sessions.read() as session:
        await command_rules.get(session, record_id)
        page = await history.find_all(session, command_id=record_id, limit=100)
        places = dict.fromkeys(run.environment_id for run in page.items if run.environment_id)
        return {each: await usual_seconds(session, Pair(record_id, each)) for each in places}


@events.get()
async def list_events(
    request: Request,
    command_id: UUID | None = None,
    run_id: UUID | None = None,
    after: UUID | None = None,
    limit: Limit = 50,
) -> Page[EventOut]:
    """Events of a command, of a run, or of all; newest first."""
    async with context_of(request).sessions.read() as session:
        page = await history.events(
            session, command_id=command_id, run_id=run_id, after=after, limit=limit
        )
        return Page(
            items=[EventOut.model_validate(each) for each in page.items],
            next=None if page.next is None else str(page.next),
        )


@events.get("/{id}")
async def get_event(request: Request, record_id: RecordId) -> EventOut:
    """One event."""
    async with context_of(request).sessions.read() as session:
        return EventOut.model_validate(await history.event(session, record_id))


@events.post("/{id}/retry", status_code=201)
async def retry_event(
    request: Request, actor: CurrentActor, record_id: RecordId, key: IdempotencyKey = None
) -> RunOut:
    """Run the command of an event again, in the same environment and with the same cron."""

    async def work(session: Any) -> dict[str, Any]:
        run = await rules.retry(session, context_of(request).host, record_id)
        return await _started(session, actor, "retry", run)

    return await _once(request, actor, key, None, work)


@runs.get("/{id}/output")
async def get_output(
    request: Request,
    record_id: RecordId,
    after: OutputPlace = "0.-1",
    attempt: Annotated[int | None, Query(ge=1, le=1_000_000)] = None,
    limit: Limit = PIECE,
) -> OutputOut:
    """The output of a run after a place."""
    async with context_of(request).sessions.read() as session:
        page = await history.output(
            session, record_id, attempt=attempt, after=_place(after), limit=limit
        )
    decoders = Decoders()
    return OutputOut(
        items=[decoders.shown(chunk) for chunk in page.chunks],
        next=f"{page.next[0]}.{page.next[1]}",
        ended=page.ended,
    )


@runs.get("/{id}/output/raw", response_class=Response)
async def download_output(
    request: Request,
    record_id: RecordId,
    attempt: Annotated[int | None, Query(ge=1, le=1_000_000)] = None,
) -> Response:
    """The output of a run as a file: both streams in the order in which they were read."""
    context = context_of(request)
    async with context.sessions.read() as session:
        await history.get(session, record_id)

    async def pieces() -> AsyncIterator[bytes]:
        place = (0, -1)
        while True:
            async with context.sessions.read() as session:
                page = await history.output(
                    session, record_id, attempt=attempt, after=place, limit=PIECE
                )
            if not page.chunks:
                return
            place = page.next
            yield b"".join(chunk.data for chunk in page.chunks)

    return StreamingResponse(
        pieces(),
        media_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="run-{record_id}.txt"'},
    )


@runs.get("/{id}/output/stream", response_class=Response)
async def stream_output(
    request: Request,
    record_id: RecordId,
    after: OutputPlace = "0.-1",
    last_event_id: Annotated[str | None, Header(max_length=30)] = None,
) -> Response:
    """The output of a run while it comes: events ``chunk``, ``run`` when the run itself
    changes, and ``end`` at its end. Resumable by ``Last-Event-ID``.
    """
    context = context_of(request)
    place = _place(last_event_id or after)
    async with context.sessions.read() as session:
        await history.get(session, record_id)
    actor = request.state.actor
    place_taken = context.streams.place(f"{actor.via} {actor.name} {actor.address}")
    place_taken.__enter__()

    async def lines() -> AsyncIterator[str]:
        try:
            async for line in _output_events(context, request, record_id, place):
                yield line
        finally:
            place_taken.__exit__(None, None, None)

    return StreamingResponse(
        lines(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"}
    )


class Decoders:
    """Texts of chunks, with a decoder for each stream: a character may be cut in two."""

    def __init__(self) -> None:
        self._decoders: dict[tuple[int, str], codecs.IncrementalDecoder] = {}

    def shown(self, chunk: Output) -> ChunkOut:
        """A chunk with its text."""
        key = (chunk.attempt, chunk.stream)
        decoder = self._decoders.get(key)
        if decoder is None:
            made = codecs.getincrementaldecoder("utf-8")("replace")
            decoder = self._decoders[key] = made
        return ChunkOut(
            attempt=chunk.attempt,
            sequence=chunk.sequence,
            stream=chunk.stream,
            text=decoder.decode(chunk.data),
            written_at=chunk.written_at,
        )


async def shown_run(context: Context, run_id: UUID) -> OneRunOut:
    """A run with its usual time."""
    async with context.sessions.read() as session:
        run = await history.get(session, run_id)
        usual = None
        if run.command_id is not None and run.environment_id is not None:
            usual = await usual_seconds(session, Pair(run.command_id, run.environment_id))
        return OneRunOut.model_validate(run).model_copy(update={"usual_seconds": usual})


async def announce(context: Context, run_id: UUID) -> None:
    """A run has changed."""
    await context.app.topics.announce(f"{TOPIC}:{run_id}")


async def _output_events(
    context: Context, request: Request, run_id: UUID, place: tuple[int, int]
) -> AsyncIterator[str]:
    decoders, quiet, known = Decoders(), 0.0, ""
    yield "retry: 2000\n\n"
    await context.streams.listen()
    while not context.stopping.is_set():
        generation = context.streams.generation
        async with context.sessions.read() as session:
            run = RunOut.model_validate(await history.get(session, run_id))
            page = await history.output(session, run_id, after=place, limit=PIECE)
        if (shown := run.model_dump_json()) != known:
            known = shown
            yield event("run", shown, f"{place[0]}.{place[1]}")
        for chunk in page.chunks:
            place = (chunk.attempt, chunk.sequence)
            text = decoders.shown(chunk).model_dump_json()
            yield event("chunk", text, f"{place[0]}.{place[1]}")
            quiet = 0.0
        if page.chunks:
            continue
        if page.ended:
            data = json.dumps({"status": run.status, "exit_code": run.exit_code})
            yield event("end", data, f"{place[0]}.{place[1]}")
            return
        quiet += POLL
        if quiet >= COMMENT:
            yield ": open\n\n"
            quiet = 0.0
            if not await may_still_read(request):
                return
        await asyncio.sleep(SHORTEST)
        await context.streams.wait(POLL, generation)


async def _started(session: Any, actor: Any, action: str, run: CommandJob) -> dict[str, Any]:
    await audit.record(
        session, actor, f"command.{action}", "command", object_id=run.command_id,
        object_name=run.command_name,
        after={"run": run.id, "environment": run.environment_name, "status": run.status},
    )  # fmt: skip
    return RunOut.model_validate(run).model_dump(mode="json")


async def _once(
    request: Request, actor: Any, key: str | None, given: BaseModel | None, work: Any
) -> RunOut:
    context = context_of(request)
    shown = RunOut.model_validate(await once(request, context, actor, key, given, work))
    await announce(context, shown.id)
    return shown


def _place(text: str) -> tuple[int, int]:
    """Raises ``Problem``."""
    attempt, point, sequence = text.partition(".")
    try:
        if not point or len(text) > 30:
            raise ValueError
        place = int(attempt), int(sequence)
    except ValueError:
        raise Problem(422, "Last-Event-ID: expected an attempt and a sequence: 1.17") from None
    if not (0 <= place[0] < 2**31 and -1 <= place[1] < 2**31):
        raise Problem(422, "after: expected an attempt and a sequence: 1.17")
    return place


def _check_zones(*times: datetime | None) -> None:
    if any(time is not None and time.tzinfo is None for time in times):
        raise Problem(422, "expected times with a zone", errors=[("since", "add Z or an offset")])
