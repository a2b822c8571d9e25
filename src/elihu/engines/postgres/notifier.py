"""Announcements over LISTEN and NOTIFY."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from elihu.clock import SystemClock
from elihu.engines.postgres.channel import channel_of, signal_of
from elihu.engines.postgres.connections import Connection, connect_alone
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.errors import DatabaseError

_PROBE_TIMEOUT: Final = 2.0
_LONGEST_PAUSE: Final = 2.0
_FIRST_PAUSE: Final = 0.1

logger = logging.getLogger("elihu")


class Sender(Protocol):
    """Who sends a notifier's test of itself: the engine, over its ordinary connections."""

    async def notify(self, signals: Sequence[Signal]) -> None: ...


class PostgresNotifier:
    """Listens on one connection of its own, and connects again by itself.

    After each connection but a first one that succeeds at once it delivers ``CHANGED``:
    what was announced meanwhile is lost.
    """

    def __init__(self, sender: Sender, url: str, schema: str) -> None:
        self._sender = sender
        self._url = url
        self._channel = channel_of(schema)
        self._deliver: Callable[[Signal], None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._connection: Connection | None = None
        self._probes: dict[str, asyncio.Future[None]] = {}
        self._check: asyncio.Task[None] | None = None
        self._clock = SystemClock()

    async def start(self, deliver: Callable[[Signal], None]) -> None:
        """Begin to call ``deliver``; returns after the first trial to connect, whatever
        came of it.
        """
        if self._task is not None:
            return
        self._deliver = deliver
        tried = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._listen(tried))
        await tried.wait()

    async def stop(self) -> None:
        """End the delivery. Safe to call twice, and before ``start``."""
        tasks = [task for task in (self._task, self._check) if task is not None]
        self._task = self._check = self._deliver = None
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def probe(self) -> bool:
        """Whether a signal sent now comes back within two seconds; where not, a
        listening connection that is dead is replaced.
        """
        if self._connection is None:
            return False
        nonce = secrets.token_hex(8)
        answer = self._probes[nonce] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT):
                await self._sender.notify([Signal(SignalKind.PROBE, nonce)])
                await answer
            return True
        except (TimeoutError, DatabaseError):
            if self._check is None or self._check.done():
                self._check = asyncio.get_running_loop().create_task(self._replace_if_dead())
            return False
        finally:
            del self._probes[nonce]

    async def _listen(self, tried: asyncio.Event) -> None:
        pause = _FIRST_PAUSE
        first = True
        while True:
            gone = asyncio.Event()
            try:
                await self._connect(gone)
                if not first:
                    self._hand_over(Signal(SignalKind.CHANGED))
                tried.set()
                pause = await self._pause_after(gone, pause)
            except Exception as error:
                if pause == _FIRST_PAUSE:
                    logger.warning("announcements cannot be heard, trying again: %s", error)
                tried.set()
            finally:
                self._disconnect()
            first = False
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def _pause_after(self, gone: asyncio.Event, pause: float) -> float:
        """Wait for the connection's end; the pause that follows is short again if it
        lasted.
        """
        began = self._clock.monotonic()
        await gone.wait()
        return _FIRST_PAUSE if self._clock.monotonic() - began > _LONGEST_PAUSE else pause

    async def _connect(self, gone: asyncio.Event) -> None:
        connection = await connect_alone(self._url)
        try:
            connection.add_termination_listener(lambda _: gone.set())
            async with asyncio.timeout(_PROBE_TIMEOUT):
                await connection.add_listener(self._channel, self._hear)
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()

    async def _replace_if_dead(self) -> None:
        connection = self._connection
        if connection is None or connection.is_closed():
            return
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT):
                await connection.execute("SELECT 1")
        except Exception:
            connection.terminate()

    def _hear(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        signal = signal_of(payload)
        if signal is None:
            return
        if signal.kind is not SignalKind.PROBE:
            self._hand_over(signal)
        elif (answer := self._probes.get(signal.payload)) is not None and not answer.done():
            answer.set_result(None)

    def _hand_over(self, signal: Signal) -> None:
        if self._deliver is None:
            return
        try:
            self._deliver(signal)
        except Exception:
            logger.exception("the receiver of an announcement raised")
