"""Sends announcements: to this process at once, to others after the commit and
debounced.
"""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from elihu.engines.protocol import Engine
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.runtime.failure_log import FailureLog
from elihu.runtime.timers import pause

logger = logging.getLogger("elihu")

DEBOUNCE: Final = 0.01
"""Seconds in which further announcements of this process are joined to one statement."""

IDS: Final = 200
"""Ids in one signal: with at most twenty characters each, half of the size limit of a
notification.
"""


_Receiver = tuple[asyncio.AbstractEventLoop, frozenset[SignalKind], Callable[[Signal], None]]


class Hub:
    """Hands signals to the nodes of this process, each in its own loop's thread."""

    def __init__(self) -> None:
        self._receivers: dict[object, _Receiver] = {}
        self._lock = threading.Lock()

    def join(
        self, receive: Callable[[Signal], None], kinds: Iterable[SignalKind] = SignalKind
    ) -> Callable[[], None]:
        """Call ``receive`` in the running loop for each signal of these kinds, until the
        returned callable is called.
        """
        key = object()
        with self._lock:
            self._receivers[key] = (asyncio.get_running_loop(), frozenset(kinds), receive)

        def leave() -> None:
            with self._lock:
                self._receivers.pop(key, None)

        return leave

    def deliver(self, signals: Iterable[Signal]) -> None:
        """Pass the signals on; callable from any thread."""
        if not self._receivers:
            return
        with self._lock:
            receivers = list(self._receivers.values())
        try:
            here = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        for signal in signals:
            for loop, kinds, receive in receivers:
                if signal.kind not in kinds:
                    continue
                if loop is here:
                    receive(signal)
                else:
                    with contextlib.suppress(RuntimeError):  # that loop has ended
                        loop.call_soon_threadsafe(receive, signal)


def ended_signals(ids: Sequence[int]) -> list[Signal]:
    """The announcement of these awaited jobs, in signals that a notification can carry."""
    pieces = (ids[start : start + IDS] for start in range(0, len(ids), IDS))
    return [Signal(SignalKind.ENDED, ",".join(map(str, piece))) for piece in pieces]


class Announcer:
    """Announces from one event loop. Nothing depends on an announcement: every receiver
    polls as well.
    """

    def __init__(self, engine: Engine, hub: Hub, failure_log: FailureLog) -> None:
        self._engine = engine
        self._hub = hub
        self._pending: dict[Signal, None] = {}
        self._sender: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._failure_log = failure_log

    def queues(self, names: Iterable[str], *, only_here: bool = False) -> None:
        """Announce that these queues have available jobs, with ``only_here`` in this
        process alone.
        """
        signals = [Signal(SignalKind.JOBS, name) for name in names]
        if only_here:
            self._hub.deliver(signals)
        else:
            self.announce(signals)

    def ended(self, ids: Iterable[int]) -> None:
        """Announce that these awaited jobs, or attempts of them, ended."""
        if ids := list(ids):
            self.announce(ended_signals(ids))

    def announce(self, signals: Iterable[Signal]) -> None:
        """Deliver here now, and to other processes soon."""
        signals = list(signals)
        self._hub.deliver(signals)
        self._pending.update(dict.fromkeys(signals))
        if self._pending and self._sender is None:
            self._sender = asyncio.create_task(self._send(), name="elihu-announcer")
            self._sender.add_done_callback(self._sent)

    async def close(self) -> None:
        """Send what is left."""
        self._closing.set()
        if self._sender:
            await asyncio.wait([self._sender])

    def _sent(self, sender: asyncio.Task[None]) -> None:
        """The next announcement starts a new task, also after this one was cancelled."""
        if self._sender is sender:
            self._sender = None

    async def _send(self) -> None:
        while self._pending:
            batch = list(self._pending)
            self._pending.clear()
            try:
                await self._engine.notify(batch)
                self._failure_log.worked("announcer")
            except Exception as error:
                self._failure_log.failed("announcer", error)
            await pause(self._closing, DEBOUNCE)
