"""The queues of a node: which it serves, with how many slots, and which are paused.

the configured queues
  overlaid by the stored overrides for every node
    overlaid by the overrides for this node alone
                      │
                  the plan ──> producers start, are adjusted, or finish what they run and end
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import ClassVar, NamedTuple

from elihu.engines.protocol import QueueOverride
from elihu.runtime.queue.producer import Producer
from elihu.runtime.service import FRESH, Scope, Service, Tick
from elihu.telemetry.events import (
    QueuePaused,
    QueueResumed,
    QueueScaled,
    QueueStarted,
    QueueStopping,
)


class Setting(NamedTuple):
    """How a node serves a queue."""

    limit: int
    paused: bool = False


def plan(
    configured: Mapping[str, int], overrides: Iterable[QueueOverride], *, split: bool = False
) -> dict[str, Setting]:
    """What a node is to serve, by name, those configured first.

    Overrides for this node win over those for every node, and these over the
    configuration. A queue that was started everywhere is also served by nodes that are
    not configured to, save by a ``split`` one, which serves the queues it was given.
    """
    stored = {rule.queue: rule for rule in overrides if rule.node is None}
    live = {rule.queue: rule for rule in overrides if rule.node is not None}
    planned = {}
    for name in [*configured, *sorted((stored.keys() | live.keys()) - configured.keys())]:
        everywhere, here = (
            stored.get(name, QueueOverride(name)),
            live.get(name, QueueOverride(name)),
        )
        served = _first(
            here.served,
            everywhere.served if name in configured or not split else None,
            name in configured,
        )
        limit = _first(here.limit, everywhere.limit, configured.get(name))
        if served and limit is not None:
            planned[name] = Setting(limit, bool(_first(here.paused, everywhere.paused)))
    return planned


def _first(*values: int | None) -> int | None:
    return next((each for each in values if each is not None), None)


class QueueManager(Service):
    """Starts, adjusts and ends a node's producers as planned. Ticks on announcement and
    with each heartbeat.

    ``make`` returns a producer that has not started, ``describe`` writes the node's
    row. ``stopped`` are the queues that an override stopped on this node. The overrides
    are read again after ``wake``, and with a heartbeat whose digest of them is another
    one, or that has none.
    """

    name: ClassVar = "queues"

    def __init__(
        self,
        scope: Scope,
        configured: Mapping[str, int],
        *,
        split: bool,
        make: Callable[[str, int], Producer],
        describe: Callable[..., Awaitable[None]],
    ) -> None:
        super().__init__(scope)
        self._configured = configured
        self._split = split
        self._make = make
        self._describe = describe
        self._producers: dict[str, Producer] = {}
        self._retirements: dict[str, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self.stopped: frozenset[str] = frozenset()
        self._overrides: Sequence[QueueOverride] = ()
        self._known: tuple[str, str] | None = None
        self._digest: str | None = None
        self._digest_at = float("-inf")
        self._wakes = 0
        self._described = {name: Setting(limit) for name, limit in configured.items()}

    @property
    def producers(self) -> Sequence[Producer]:
        """All that may hold an attempt, also those that fetch no more."""
        return list(self._producers.values())

    @property
    def served(self) -> dict[str, Setting]:
        """What the node serves at present."""
        return {
            name: Setting(producer.limit, producer.paused)
            for name, producer in self._producers.items()
            if name not in self._retirements
        }

    async def start(self) -> None:
        """Serve what the plan has, then look on. Raises ``DatabaseError``: a queue that
        is paused must not start unpaused.
        """
        if self._task is None:
            await self.tick()
        await super().start()

    async def stop(self) -> None:
        """Change nothing more. The producers continue."""
        await super().stop()
        tasks = [*self._retirements.values(), *self._ending]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def wake(self) -> None:
        """Read the overrides again at once; called in the loop's thread."""
        self._wakes += 1
        self._known = None
        super().wake()

    def digest_is(self, digest: str) -> None:
        """A heartbeat read this digest of the overrides."""
        self._digest, self._digest_at = digest, self.scope.clock.monotonic()
        if self._known is not None and self._known[0] != digest:
            self.wake()

    async def tick(self) -> Tick:
        for name, retirement in list(self._retirements.items()):
            if retirement.cancelled():
                self._retire(name)
        overrides = await self._read_overrides()
        planned = plan(self._configured, overrides, split=self._split)
        self.stopped = (
            frozenset(rule.queue for rule in overrides if rule.served is False) - planned.keys()
        )
        for name in self.served.keys() - planned.keys():
            self._retire(name)
        await self._describe_resumed(planned)
        for name, setting in planned.items():
            await self._serve(name, setting)
        if planned != self._described:
            for name, setting in planned.items():
                if setting.paused:
                    await self._producers[name].fetch_ended()
            await self._describe(
                queues={name: setting.limit for name, setting in planned.items()},
                paused=[name for name, setting in planned.items() if setting.paused],
            )
            self._described = planned
        return Tick(self.scope.config.heartbeat, {"queues": planned})

    async def _read_overrides(self) -> Sequence[QueueOverride]:
        age = self.scope.clock.monotonic() - self._digest_at
        digest = self._digest if age < FRESH * self.scope.config.heartbeat else None
        node, wakes = self.scope.identity.node, self._wakes
        if digest is None or self._known != (digest, node):
            self._overrides = await self.scope.engine.queue_overrides(node)
            if wakes == self._wakes:  # nobody has announced a change meanwhile
                self._known = None if digest is None else (digest, node)
        return self._overrides

    async def _describe_resumed(self, planned: Mapping[str, Setting]) -> None:
        """Write that queues are no longer paused before they fetch again: who reads that
        a queue is paused relies on it.
        """
        before = {name for name, setting in self._described.items() if setting.paused}
        still = {name for name in before if name in planned and planned[name].paused}
        if still != before:
            await self._describe(paused=sorted(still))

    async def _serve(self, name: str, setting: Setting) -> None:
        producer = self._producers.get(name)
        if producer is None:
            producer = self._producers[name] = self._make(name, setting.limit)
            producer.adjust(limit=setting.limit, paused=setting.paused)
            await producer.start()
            self._emit_started(name, setting)
        elif retirement := self._retirements.pop(name, None):
            retirement.cancel()
            producer.adjust(limit=setting.limit, paused=setting.paused)
            self._emit_started(name, setting)
        else:
            before = Setting(producer.limit, producer.paused)
            if setting != before:
                producer.adjust(limit=setting.limit, paused=setting.paused)
                self._emit_adjusted(name, before, setting)

    def _retire(self, name: str) -> None:
        producer = self._producers[name]
        producer.adjust(limit=producer.limit, paused=True)
        self._retirements[name] = asyncio.create_task(
            self._end(name, producer), name=f"elihu-queue-{name}-ends"
        )
        if QueueStopping in self.scope.bus:
            self.scope.bus.emit(QueueStopping(node=self.scope.identity.node, queue=name))

    async def _end(self, name: str, producer: Producer) -> None:
        """A queue that is served again before its last attempt has ended keeps its
        producer, so its slots are not doubled.
        """
        await producer.wait_idle()
        del self._producers[name]
        task = self._retirements.pop(name)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        await producer.stop(grace=0, now=asyncio.Event())

    def _emit_started(self, name: str, setting: Setting) -> None:
        if QueueStarted in self.scope.bus:
            node = self.scope.identity.node
            self.scope.bus.emit(
                QueueStarted(node=node, queue=name, limit=setting.limit, paused=setting.paused)
            )

    def _emit_adjusted(self, name: str, before: Setting, now: Setting) -> None:
        bus, node = self.scope.bus, self.scope.identity.node
        if now.limit != before.limit and QueueScaled in bus:
            bus.emit(QueueScaled(node=node, queue=name, limit=now.limit, before=before.limit))
        if now.paused and not before.paused and QueuePaused in bus:
            bus.emit(QueuePaused(node=node, queue=name))
        if before.paused and not now.paused and QueueResumed in bus:
            bus.emit(QueueResumed(node=node, queue=name))
