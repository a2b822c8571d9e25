"""Other processes' writes as signals: SQLite tells of them when asked, and one question
costs about two microseconds.
"""

from collections.abc import Callable

from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.engines.sqlite.session import LOOK, DatabaseThread


class SqliteNotifier:
    """Delivers ``CHANGED`` when another connection has written. It asks in the idle
    moments of the engine's own connection, so that what the engine writes itself is no
    news.
    """

    def __init__(self, writer: Callable[[], DatabaseThread], every: float = LOOK) -> None:
        self._writer = writer
        self._every = every
        self._thread: DatabaseThread | None = None
        self._deliver: Callable[[Signal], None] | None = None

    async def start(self, deliver: Callable[[Signal], None]) -> None:
        self._deliver = deliver
        self._thread = self._writer()
        await self._thread.watch(self._changed, self._every)

    async def stop(self) -> None:
        self._deliver = None
        if self._thread is not None:
            self._thread.unwatch(self._changed)

    async def probe(self) -> bool:
        return True

    def _changed(self) -> None:
        if self._deliver is not None:
            self._deliver(Signal(SignalKind.CHANGED))
