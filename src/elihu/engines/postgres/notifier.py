"""Announcements over LISTEN and NOTIFY."""

import asyncio
import logging
import math
import secrets
import weakref
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from elihu.clock import SystemClock
from elihu.engines.postgres.channel import channel_of
from elihu.engines.postgres.connect import Connection, connect_alone
from elihu.engines.postgres.pool import Budget
from elihu.engines.protocol.signals import Signal, SignalKind, signal_of
from elihu.errors import DatabaseError

_PROBE_TIMEOUT: Final = 2.0
_LONGEST_PAUSE: Final = 2.0
_FIRST_PAUSE: Final = 0.1
_FIRST_REPLACEMENT: Final = 10.0
_LONGEST_REPLACEMENT: Final = 300.0

logger = logging.getLogger("elihu")

Deliver = Callable[[Signal], None]


class Sender(Protocol):
    """What sends a notifier's test of itself: the engine, over its ordinary connections."""

    async def notify(self, signals: Sequence[Signal]) -> None: ...


class PostgresNotifier:
    """Receives from the listening connection of its event loop, which all notifiers of
    that loop with the same URL and schema share.

    Each new listening connection delivers ``CHANGED``, since announcements in between are
    lost; not so the first one if it succeeds at once.
    """

    def __init__(self, sender: Sender, url: str, schema: str, budget: Budget | None = None) -> None:
        self._sender = sender
        self._key = url, channel_of(schema)
        self._budget = budget
        self._deliver: Deliver | None = None
        self._line: _Line | None = None

    async def start(self, deliver: Deliver) -> None:
        """Begin to call ``deliver``. Returns after the first attempt to connect, whether or
        not it succeeded.
        """
        if self._line is not None:
            return
        lines = _lines.setdefault(asyncio.get_running_loop(), {})
        if self._key not in lines:
            lines[self._key] = _Line(*self._key, self._budget)
        self._deliver = deliver
        self._line = lines[self._key]
        await self._line.join(deliver)

    async def stop(self) -> None:
        """End the delivery. Safe to call twice, and before ``start``."""
        line, deliver = self._line, self._deliver
        self._line = self._deliver = None
        if line is None or deliver is None:
            return
        line.receivers.remove(deliver)
        if not line.receivers:
            await line.close()

    async def probe(self) -> bool:
        """Whether a signal sent now comes back within two seconds. A listening connection
        that is dead is replaced at once. One that is alive but receives nothing listens at
        another server than the one that is written to: it is replaced too.
        """
        return self._line is not None and await self._line.probe(self._sender)

    def silence(self) -> float:
        return math.inf if self._line is None else self._line.silence()


class _Line:
    """One listening connection. It connects again by itself."""

    def __init__(self, url: str, channel: str, budget: Budget | None) -> None:
        self.receivers: list[Deliver] = []
        self._url = url
        self._channel = channel
        self._budget = budget
        self._clock = SystemClock()
        self._connection: Connection | None = None
        self._probes: dict[str, asyncio.Future[None]] = {}
        self._check: asyncio.Task[None] | None = None
        self._tried = asyncio.Event()
        self._received_at = -math.inf
        self._failed_probes = 0
        self._replace_after = _FIRST_REPLACEMENT
        self._replaced_at = float("-inf")
        self._task: asyncio.Task[None] | None = None

    async def join(self, deliver: Deliver) -> None:
        self.receivers.append(deliver)
        if self._task is None:
            if self._budget is not None:
                self._budget.take(exceed=True)
            self._task = asyncio.get_running_loop().create_task(self._listen())
        await self._tried.wait()

    async def close(self) -> None:
        self._forget()
        tasks = [task for task in (self._task, self._check) if task is not None]
        self._task = self._check = None
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def probe(self, sender: Sender) -> bool:
        if self._connection is None:
            return False
        nonce = secrets.token_hex(8)
        answer = self._probes[nonce] = asyncio.get_running_loop().create_future()
        sent = False
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT):
                await sender.notify([Signal(SignalKind.PROBE, nonce)])
                sent = True
                await answer
        except (TimeoutError, DatabaseError):
            self._failed_probes += sent
            if self._check is None or self._check.done():
                self._check = asyncio.get_running_loop().create_task(self._replace_if_dead())
            return False
        finally:
            del self._probes[nonce]
        self._failed_probes = 0
        self._replace_after = _FIRST_REPLACEMENT
        return True

    def silence(self) -> float:
        return self._clock.monotonic() - self._received_at

    async def _listen(self) -> None:
        try:
            await self._listen_again_and_again()
        finally:
            self._forget()
            if self._budget is not None:
                self._budget.give_back()

    def _forget(self) -> None:
        """Notifiers that start from now on open another one."""
        lines = _lines.get(asyncio.get_running_loop(), {})
        if lines.get((self._url, self._channel)) is self:
            del lines[self._url, self._channel]

    async def _listen_again_and_again(self) -> None:
        pause = _FIRST_PAUSE
        first = True
        while True:
            gone = asyncio.Event()
            try:
                await self._connect(gone)
                if not first:
                    self._hand_over(Signal(SignalKind.CHANGED))
                self._tried.set()
                pause = await self._pause_after(gone, pause)
            except Exception as error:
                if pause == _FIRST_PAUSE:
                    logger.warning("cannot listen for announcements, trying again: %s", error)
                self._tried.set()
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
                await connection.add_listener(self._channel, self._receive)
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        self._received_at = -math.inf
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
            return
        now = self._clock.monotonic()
        if self._failed_probes >= 2 and now - self._replaced_at >= self._replace_after:
            self._replaced_at = now
            self._replace_after = min(self._replace_after * 2, _LONGEST_REPLACEMENT)
            logger.warning("the listening connection receives nothing: connecting again")
            connection.terminate()

    def _receive(self, _connection: Any, _pid: int, _channel: str, payload: str) -> None:
        signal = signal_of(payload)
        if signal is None:
            return
        answer = self._probes.get(signal.payload) if signal.kind is SignalKind.PROBE else None
        if answer is None:
            self._received_at = self._clock.monotonic()
        elif not answer.done():
            answer.set_result(None)
        if signal.kind is not SignalKind.PROBE:
            self._hand_over(signal)

    def _hand_over(self, signal: Signal) -> None:
        for deliver in list(self.receivers):
            try:
                deliver(signal)
            except Exception:
                logger.exception("the receiver of an announcement raised")


_lines: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], _Line]] = (
    weakref.WeakKeyDictionary()
)
