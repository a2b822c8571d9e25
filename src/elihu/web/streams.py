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
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from elihu import DatabaseError, Elihu, ElihuError
from elihu.accounts.roles import Actor
from elihu.web.problems import Problem

INTERVAL: Final = 2.0
SHORTEST: Final = 0.2
"""Seconds between two reads of one run or job at least."""
FIGURES: Final = 1.0
"""Seconds between two reads of figures of many jobs at least: while a queue drains, they
change all the time.
"""
SHARE: Final = 20
"""The time between two reads is at least so many times what the earlier one took."""
COMMENT: Final = 15.0
"""Seconds without an event after which a comment keeps the connection open."""
PER_USER: Final = 20
MOST: Final = 500
TOPICS: Final = 10
LONGEST_ID: Final = 4_000
LINGER: Final = 10.0

Reader = Callable[[], Awaitable[Any]]
RUN: Final = "run:"


class Subscription:
    """Waits for signals that concern the topics of one stream. A signal of one run
    concerns that run alone; any other one concerns all topics but runs, and an unnamed
    one all.
    """

    def __init__(self, topics: Iterable[str]) -> None:
        self._runs = frozenset(topic for topic in topics if topic.startswith(RUN))
        self._others = any(not topic.startswith(RUN) for topic in topics)
        self._changed = asyncio.Event()

    def clear(self) -> None:
        """Forget the signals so far, before what they concern is read."""
        self._changed.clear()

    async def wait(self, timeout: float) -> None:
        """Return after the first signal since ``clear``, or after ``timeout`` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._changed.wait()

    def tell(self, topic: str) -> None:
        """A topic has changed; empty where anything may have."""
        if not topic or (topic in self._runs if topic.startswith(RUN) else self._others):
            self._changed.set()


@dataclass(slots=True)
class _Read:
    """A read of a topic that begins at ``at``; the next one begins at ``until`` or later.
    ``signals`` is how many signals there were
    when it began, None before.
    """

    at: float
    until: float
    text: asyncio.Task[str] = field(init=False)
    signals: int | None = None


class Streams:
    """The streams of one application."""

    def __init__(self, app: Elihu) -> None:
        self._app = app
        self._open: Counter[str] = Counter()
        self._subscriptions: set[Subscription] = set()
        self._listening: asyncio.Task[Any] | None = None
        self._ready = asyncio.Event()
        self._reads: dict[str, _Read] = {}
        self._signals = 0

    @property
    def open(self) -> int:
        """The number of open streams."""
        return self._open.total()

    @contextmanager
    def place(self, actor: Actor) -> Iterator[None]:
        """Take a place for a stream. Raises ``Problem`` where there are too many. The places
        of a user are those of all addresses, browsers and keys together.
        """
        who = str(actor.user_id or f"{actor.via} {actor.name}")
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
        """What a topic says now, or a moment later, as JSON text. All streams share the
        reads of a topic: one in ``SHORTEST`` or ``FIGURES`` seconds, however many signals
        come.
        """
        moment = time.monotonic()
        read = self._reads.get(topic)
        if read is None or not self._is_fresh(read, moment):
            self._reads = {name: each for name, each in self._reads.items() if moment <= each.until}
            begins = moment if read is None else max(moment, read.until)
            read = self._reads[topic] = _Read(
                begins, begins + (SHORTEST if ":" in topic else FIGURES)
            )
            read.text = asyncio.create_task(self._read(read, reader), name="elihu-topic")
        return await asyncio.shield(read.text)

    @contextmanager
    def subscribe(self, topics: Iterable[str]) -> Iterator[Subscription]:
        """What waits for signals of these topics."""
        subscription = Subscription(topics)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)

    async def listen(self) -> None:
        """Begin to receive signals, if that takes no longer than a second."""
        if self._listening is None or self._listening.done():
            self._ready.clear()
            self._listening = asyncio.create_task(self._receive(), name="elihu-streams")
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._ready.wait()

    def abandon(self) -> None:
        """Listen for no more signals: the database is another one now."""
        if self._listening is not None and not self._listening.get_loop().is_closed():
            self._listening.cancel()

    async def aclose(self) -> None:
        """End what listens for signals, and wait for reads that have begun."""
        reads: list[asyncio.Task[Any]] = [read.text for read in self._reads.values()]
        for read in self._reads.values():
            if read.signals is None:
                read.text.cancel()
        if self._listening is not None:
            self._listening.cancel()
            reads.append(self._listening)
            self._listening = None
        if reads:
            await asyncio.wait(reads)

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

    def _changed(self, topic: str) -> None:
        self._signals += 1
        for signals in self._subscriptions:
            signals.tell(topic)

    def _is_fresh(self, read: _Read, moment: float) -> bool:
        """Whether what it reads is as new as what a read would find that began now."""
        return read.signals is None or (read.signals == self._signals and moment <= read.until)

    async def _read(self, read: _Read, reader: Reader) -> str:
        await asyncio.sleep(max(0.0, read.at - time.monotonic()))
        read.signals = self._signals
        begun = time.monotonic()
        text = json.dumps(await reader(), separators=(",", ":"), default=str)
        read.until = max(read.until, begun + SHARE * (time.monotonic() - begun))
        return text


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

    @property
    def topics(self) -> Collection[str]:
        """The topics of the stream."""
        return self._readers

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
    ends: Callable[[], bool],
    allowed: Callable[[], Awaitable[bool]],
) -> AsyncIterator[str]:
    """The events of a stream, until ``ends`` says so or the user may no longer read."""
    yield "retry: 2000\n\n"
    await streams.listen()
    quiet_since = checked_at = time.monotonic()
    with streams.subscribe(seen.topics) as signals:
        while not ends():
            signals.clear()
            try:
                found = await seen.changes()
            except DatabaseError:
                found = []  # the next round tries again
            for topic, text in found:
                data = f'{{"topic":{json.dumps(topic)},"data":{text}}}'
                yield event(topic.partition(":")[0], data, seen.id)
                quiet_since = time.monotonic()
            moment = time.monotonic()
            if moment > quiet_since + COMMENT:
                yield ": open\n\n"
                quiet_since = moment
            if moment > checked_at + COMMENT:
                if not await allowed():
                    return
                checked_at = moment
            await signals.wait(INTERVAL)
