"""``/api/runs/{id}/output``: what a run writes, as pages, as a file and as a stream."""

import asyncio
import codecs
import json
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Header, Query, Request
from pydantic import BaseModel
from starlette.responses import Response, StreamingResponse

from elihu.commands.models import Output
from elihu.commands.rules import history
from elihu.commands.signals import topic_of
from elihu.web import streams
from elihu.web.api.editing import RecordId
from elihu.web.api.paging import Limit
from elihu.web.api.routes import Resource
from elihu.web.api.runs import RunOut
from elihu.web.auth import may_still_read
from elihu.web.context import Context, context_of
from elihu.web.problems import Problem
from elihu.web.streams import SHORTEST, event

output = Resource("/runs/{id}/output", "runs")
PIECE = 200
POLL = 2.0
"""Seconds between two reads of the output of a run, where no signal comes."""


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


OutputPlace = Annotated[
    str,
    Query(pattern=r"^[0-9]{1,9}\.(-1|[0-9]{1,9})$", description="Attempt and sequence: 1.17"),
]


@output.get()
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


@output.get("/raw", response_class=Response)
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


@output.get("/stream", response_class=Response)
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
    place_taken = context.streams.place(actor)
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


async def _output_events(
    context: Context, request: Request, run_id: UUID, place: tuple[int, int]
) -> AsyncIterator[str]:
    decoders, known = Decoders(), ""
    quiet_since = checked_at = time.monotonic()
    yield "retry: 2000\n\n"
    await context.streams.listen()
    with context.streams.subscribe([topic_of(run_id)]) as signals:
        while not context.ends_streams():
            signals.clear()
            if time.monotonic() > checked_at + streams.COMMENT:
                if not await may_still_read(request):
                    return
                checked_at = time.monotonic()
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
                quiet_since = time.monotonic()
            if page.chunks:
                continue
            if page.ended:
                data = json.dumps({"status": run.status, "exit_code": run.exit_code})
                yield event("end", data, f"{place[0]}.{place[1]}")
                return
            if time.monotonic() > quiet_since + streams.COMMENT:
                yield ": open\n\n"
                quiet_since = time.monotonic()
            await asyncio.sleep(SHORTEST)
            await signals.wait(POLL)


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
