"""Server-sent events: topics that people watch, shared by all streams of this process.

A topic is read again when a signal says that it may have changed, and every
``INTERVAL`` seconds. The id of a topic's event is a digest of what it says, so that any
process can resume a stream: it sends what differs from the last id.
"""

import asyncio
import hashlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from elihu import DatabaseError, Elihu, ElihuError
from elihu.web.problems import Problem

INTERVAL: Final = 2.0
SHORTEST: Final = 0.2
"""Seconds between two events of a topic at least."""
COMMENT: Final = 15.0
"""Seconds without an event after which a comment keeps the connection open."""
PER_USER: Final = 20
MOST: Final = 500
TOPICS: Final = 10
LONGEST_ID: Final = 4_000
LINGER: Final = 10.0

Reader = Callable[[], Awaitable[Any]]


class Streams:
    """The streams of one application."""

    def __init__(self, app: Elihu) -> None:
        self._app = app
        self._open: Counter[str] = Counter()
        self._woken = asyncio.Event()
        self._listening: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._known: dict[str, tuple[float, int, asyncio.Task[str]]] = {}
        self.generation = 0
        """It rises with each signal."""

    @property
    def open(self) -> int:
        """The number of open streams."""
        return self._open.total()

    @contextmanager
    def place(self, who: str) -> Iterator[None]:
        """Take a place for a stream. Raises ``Problem`` where there are too many."""
        if self._open.total() >= MOST:
            raise Problem(503, f"{MOST} streams are open", headers={"Retry-After": "30"})
        if self._open[who] >= PER_USER:
            raise Problem(
                429, f"{PER_USER} streams of one user are open", headers={"Retry-After": "30"}
            )
        self._open[who] += 1
        try:
            yield
        finally:
            self._open[who] -= 1
            if not self._open[who]:
                del self._open[who]

    async def read(self, topic: str, reader: Reader) -> str:
        """What a topic says as JSON text. Streams that ask at about the same time share
        one read.
        """
        moment = time.monotonic()
        known = self._known.get(topic)
        if known is None or moment > known[0] or self.generation != known[1]:
            self._known = {name: each for name, each in self._known.items() if moment <= each[0]}
            task = asyncio.create_task(_as_text(reader), name="elihu-topic")
            known = self._known[topic] = (moment + SHORTEST, self.generation, task)
        return await asyncio.shield(known[2])

    async def listen(self) -> None:
        """Begin to receive signals, if that takes no longer than a second."""
        if self._listening is None or self._listening.done():
            self._ready.clear()
            self._listening = asyncio.create_task(self._receive(), name="elihu-streams")
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._ready.wait()

    async def wait(self, timeout: float, generation: int) -> None:
        """Return when something may have changed since that generation, or after
        ``timeout`` seconds.
        """
        if self.generation != generation:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._woken.wait()

    def close(self) -> None:
        """End what listens for signals."""
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None

    async def _receive(self) -> None:
        """Listen while there are streams. Without signals they poll."""
        try:
            async with self._app.topics.listen(self._changed):
                self._ready.set()
                idle = 0.0
                while idle < LINGER:
                    await asyncio.sleep(1.0)
                    idle = 0.0 if self._open else idle + 1.0
        except ElihuError:
            await asyncio.sleep(INTERVAL)

    def _changed(self, _topic: str) -> None:
        self.generation += 1
        self._woken.set()
        self._woken = asyncio.Event()


class Seen:
    """What one stream, or one poll, has seen of its topics. ``last`` is the id of the last
    event that the caller had.
    """

    def __init__(self, streams: Streams, readers: Mapping[str, Reader], last: str | None) -> None:
        self._streams = streams
        self._readers = readers
        known = dict(parse_qsl(last[:LONGEST_ID])) if last else {}
        self._seen = {topic: known.get(topic, "") for topic in readers}

    @property
    def id(self) -> str:
        """The id of the last event."""
        return urlencode({topic: seen for topic, seen in self._seen.items() if seen})

    async def check(self) -> None:
        """Raise what a reader raises, so that a stream of what there is not is an error
        and not an empty stream.
        """
        for topic, reader in self._readers.items():
            await self._streams.read(topic, reader)

    async def changes(self) -> list[tuple[str, str]]:
        """The topics that say something new, and what they say. One that is gone says
        null.
        """
        found = []
        for topic, reader in self._readers.items():
            try:
                text = await self._streams.read(topic, reader)
            except LookupError:
                text = "null"
            digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
            if digest != self._seen[topic]:
                self._seen[topic] = digest
                found.append((topic, text))
        return found

    async def values(self) -> list[dict[str, Any]]:
        """``changes`` as values."""
        return [
            {"event": topic.partition(":")[0], "topic": topic, "data": json.loads(text)}
            for topic, text in await self.changes()
        ]


def event(name: str, data: str, event_id: str) -> str:
    """One event as text. ``data`` is JSON, which has no line breaks."""
    return f"id: {event_id}\nevent: {name}\ndata: {data}\n\n"


async def events(
    streams: Streams,
    seen: Seen,
    *,
    stopping: asyncio.Event,
    allowed: Callable[[], Awaitable[bool]],
) -> AsyncIterator[str]:
    """The events of a stream, until the server stops or the user may no longer read."""
    yield "retry: 2000\n\n"
    await streams.listen()
    quiet_since = checked_at = time.monotonic()
    while not stopping.is_set():
        generation = streams.generation
        try:
            found = await seen.changes()
        except DatabaseError:
            found = []  # the next round tries again
        for topic, text in found:
            yield event(topic.partition(":")[0], f'{{"topic":{json.dumps(topic)},"data":{text}}}',
                        seen.id)  # fmt: skip
            quiet_since = time.monotonic()
        moment = time.monotonic()
        if moment > quiet_since + COMMENT:
            yield ": open\n\n"
            quiet_since = moment
        if moment > checked_at + COMMENT:
            if not await allowed():
                return
            checked_at = moment
        await asyncio.sleep(SHORTEST)
        await streams.wait(INTERVAL, generation)


async def _as_text(reader: Reader) -> str:
    return json.dumps(await reader(), separators=(",", ":"), default=str)
