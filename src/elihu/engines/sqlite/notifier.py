"""Announcements of other processes, and their writes as signals. SQLite is asked for
these; one check costs about two microseconds.
"""

import math
from collections.abc import Callable

from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.engines.sqlite.database import Database
from elihu.engines.sqlite.thread import EAGER_INTERVAL, WATCH_INTERVAL, DatabaseThread


class SqliteNotifier:
    """Delivers what other engines announce, and ``CHANGED`` when another connection has
    written.

    It checks on the engine's own connection while that is idle, so that the engine's own
    writes are not reported.
    """

    def __init__(self, database: Database, *, eager: bool = False) -> None:
        self._database = database
        self._interval = EAGER_INTERVAL if eager else WATCH_INTERVAL
        self._thread: DatabaseThread | None = None
        self._socket: str | None = None
        self._deliver: Callable[[Signal], None] | None = None

    async def start(self, deliver: Callable[[Signal], None]) -> None:
        self._deliver = deliver
        self._thread = self._database.writer
        await self._thread.watch(self._changed, self._interval)
        self._socket = self._database.datagrams.listen(self._announced)

    async def stop(self) -> None:
        self._deliver = None
        if self._socket is not None:
            self._database.datagrams.leave(self._socket)
            self._socket = None
        if self._thread is not None:
            self._thread.unwatch(self._changed)

    async def probe(self) -> bool:
        return True

    def silence(self) -> float:
        return math.inf

    def _changed(self) -> None:
        self._announced(Signal(SignalKind.CHANGED))

    def _announced(self, signal: Signal) -> None:
        if self._deliver is not None:
            self._deliver(signal)
