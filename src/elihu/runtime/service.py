"""The contract of everything that runs beside the jobs: start, stop, tick."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar, Final, NamedTuple, TypeVar

from elihu.clock import Clock
from elihu.config import Config
from elihu.engines.protocol import Engine
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.runtime.announcer import Announcer
from elihu.runtime.attempt_counts import AttemptCounts
from elihu.runtime.failure_log import FailureLog
from elihu.runtime.timers import pause
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import ServiceStarted, ServiceStopped, Ticked, TickFailed

logger = logging.getLogger("elihu")

T = TypeVar("T")

FIRST_BACKOFF: Final = 0.1
LONGEST_BACKOFF: Final = 2.0
FRESH: Final = 1.5
"""So many heartbeats what one has read counts."""
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def backoff_after(failures: int) -> float:
    """Seconds to wait after this many failures in a row: doubling from
    ``FIRST_BACKOFF`` up to ``LONGEST_BACKOFF``.
    """
    return float(min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** min(failures - 1, 10)))


def log_restart(what: str, task: asyncio.Task[None]) -> None:
    """Log that a part of the node, whose task ended unexpectedly, is started again."""
    error = None if task.cancelled() else task.exception()
    why = "its task was cancelled" if error is None else f"{type(error).__name__}: {error}"
    logger.error("%s ended unexpectedly and is started again: %s", what, why, exc_info=error)


class Identity:
    """The node's present identity, which changes when the node was removed and rejoins;
    how many other nodes its last heartbeat found; and the identity of the database.
    """

    def __init__(self, node: str) -> None:
        self.node = node
        self.others = 0
        self.installation = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """What the services of one node share."""

    config: Config
    engine: Engine
    bus: Bus
    clock: Clock
    identity: Identity
    announcer: Announcer
    failure_log: FailureLog
    counts: AttemptCounts = field(default_factory=AttemptCounts)


class Tick(NamedTuple):
    """The result of a tick: seconds until the next one, and what this one did."""

    delay: float
    data: Mapping[str, Any] = NOTHING


async def each_duty(*duties: Callable[[], Awaitable[T]]) -> list[T]:
    """The results of all duties, in order. One that fails does not stop those behind
    it; its error is raised at the end.
    """
    results: list[T] = []
    failed: Exception | None = None
    for duty in duties:
        try:
            results.append(await duty())
        except Exception as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return results


class Service(ABC):
    """Ticks until it is stopped. A tick that fails is logged once and tried again with
    back-off. A service whose task ends without ``stop`` is started again.

    ``start`` and ``stop`` may each be called twice, ``stop`` before ``start`` too. A
    ``stop`` that was cancelled can be called again. ``tick`` can be called alone.
    ``wakes_on`` are the signals after which the next tick comes at once.
    """

    name: ClassVar[str]
    wakes_on: ClassVar[frozenset[SignalKind]] = frozenset()

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        if self._task is None:
            self._stopping = False
            self._begin()
            if ServiceStarted in self.scope.bus:
                self.scope.bus.emit(
                    ServiceStarted(service=self.name, node=self.scope.identity.node)
                )

    async def stop(self) -> None:
        self._stopping = True
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            self._task = None
            if ServiceStopped in self.scope.bus:
                self.scope.bus.emit(
                    ServiceStopped(service=self.name, node=self.scope.identity.node)
                )

    def receive(self, signal: Signal) -> None:
        """A signal of a kind in ``wakes_on`` lets the next tick come at once."""
        if signal.kind in self.wakes_on:
            self.wake()

    def wake(self) -> None:
        """Let the next tick come at once; called in the loop's thread."""
        self._woken.set()

    @abstractmethod
    async def tick(self) -> Tick:
        """Do the work once."""

    def _begin(self) -> None:
        if not self._stopping:
            self._task = asyncio.create_task(self._run(), name=f"elihu-{self.name}")
            self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Start it again where nobody stopped it: a task of the user's may have
        cancelled all tasks, or a handler of events raised what ends a task.
        """
        if not self._stopping:
            asyncio.get_running_loop().call_later(FIRST_BACKOFF, self._restart, task)

    def _restart(self, task: asyncio.Task[None]) -> None:
        """Log here, and not when the task ends: a program that ends without closing its
        app cancels all tasks, and its loop does not get here.
        """
        if not self._stopping:
            log_restart(self.name, task)
            self._begin()

    async def _run(self) -> None:
        failures = 0
        while True:
            self._woken.clear()
            delay, failures = await self._guarded_tick(failures)
            await pause(self._woken, delay)

    async def _guarded_tick(self, failures: int) -> tuple[float, int]:
        bus, clock, node = self.scope.bus, self.scope.clock, self.scope.identity.node
        started = clock.monotonic()
        try:
            tick = await self.tick()
        except Exception as error:
            failures += 1
            delay = backoff_after(failures)
            self.scope.failure_log.failed(self.name, error)
            if TickFailed in bus:
                bus.emit(
                    TickFailed(
                        service=self.name, node=node, error=error, failures=failures, retry_in=delay
                    )
                )
            return delay, failures
        if failures:
            self.scope.failure_log.worked(self.name)
        if Ticked in bus:
            bus.emit(
                Ticked(
                    service=self.name,
                    node=node,
                    duration=clock.monotonic() - started,
                    data=tick.data,
                )
            )
        return tick.delay, 0
