"""The one contract of everything that runs beside the jobs: start, stop, tick."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Final, NamedTuple

from elihu.clock import Clock
from elihu.config import Config
from elihu.engines.protocol import Engine
from elihu.runtime.announcer import Announcer
from elihu.runtime.failure_log import FailureLog
from elihu.runtime.timers import pause
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import ServiceStarted, ServiceStopped, Ticked, TickFailed

logger = logging.getLogger("elihu")

FIRST_BACKOFF: Final = 0.1
LONGEST_BACKOFF: Final = 2.0
NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})


def backoff_after(failures: int) -> float:
    """Seconds to wait after this many failures in a row: doubling from
    ``FIRST_BACKOFF`` up to ``LONGEST_BACKOFF``.
    """
    return float(min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** min(failures - 1, 10)))


class Identity:
    """Who this node is at present, which liveness changes when the node finds itself
    buried; and the database's own identity.
    """

    def __init__(self, node: str) -> None:
        self.node = node
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


class Tick(NamedTuple):
    """What a tick answers: seconds until the next one, and what it did."""

    delay: float
    data: Mapping[str, Any] = NOTHING


class Service(ABC):
    """Ticks until it is stopped. A tick that fails is logged once, tried again with
    back-off, and ends nothing.

    ``start`` and ``stop`` may each be called twice, ``stop`` before ``start`` too.
    ``tick`` can be called alone.
    """

    name: ClassVar[str]

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"elihu-{self.name}")
            if ServiceStarted in self.scope.bus:
                self.scope.bus.emit(
                    ServiceStarted(service=self.name, node=self.scope.identity.node)
                )

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            if ServiceStopped in self.scope.bus:
                self.scope.bus.emit(
                    ServiceStopped(service=self.name, node=self.scope.identity.node)
                )

    def wake(self) -> None:
        """Let the next tick come at once; called in the loop's thread."""
        self._woken.set()

    @abstractmethod
    async def tick(self) -> Tick:
        """Do the work once."""

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
