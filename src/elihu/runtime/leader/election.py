"""Leadership: one node stages, rescues, expires, prunes and fires cron entries.

follower --lead() succeeds--> leader --renewal refused, failed or not in time--> follower
                              leader --stop: resign and announce--> follower
"""

import asyncio
import random
from typing import ClassVar, Final

from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.errors import ElihuError
from elihu.failpoints import ACTIVE, reach
from elihu.runtime.service import Scope, Service, Tick, logger
from elihu.telemetry.events import LeaderElected, LeaderLost

LATEST_TRY: Final = 1.0
"""Seconds after the end of a lease within which every follower tries to lead."""
OWN_RENEWAL: Final = 0.6
"""The part of its life after which a lease is renewed that no heartbeat has renewed at half
of it.
"""


class Leader(Service):
    """Tries for the lease when that of another node ends. The heartbeats of the node
    renew it. Where they come less often than twice in its life, or one of them did not
    renew it, a tick does.
    """

    name: ClassVar = "leader"
    wakes_on: ClassVar = frozenset({SignalKind.LEADER, SignalKind.CHANGED})

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope)
        self._valid_until: float | None = None
        self._renewed = False
        self._other_until = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def receive(self, signal: Signal) -> None:
        """A signal tells a follower that it may lead. The leader renews in its own time:
        on SQLite each job of another connection is a signal, and a renewal is a write.
        """
        if not self.is_leader:
            self._other_until = float("-inf")
            super().receive(signal)

    @property
    def is_leader(self) -> bool:
        """Whether the lease is held and has not run out by this machine's own monotonic
        time.
        """
        return self._valid_until is not None and self.scope.clock.monotonic() < self._valid_until

    @property
    def lease(self) -> float | None:
        """The seconds for which a heartbeat renews the lease; None for a follower."""
        return self.scope.config.lease if self.is_leader else None

    def renewed(self, asked: float, *, held: bool) -> None:
        """A heartbeat, sent at ``asked`` by the monotonic clock, renewed the lease or found
        that the node does not hold it.
        """
        if not self.is_leader:
            return
        if held:
            self._valid_until = asked + self.scope.config.lease
            self._renewed = True
        else:
            self._follow()
            self.wake()

    def lease_ends_in(self, seconds: float | None) -> None:
        """The seconds until the present lease ends. A follower does not try before that,
        and tries within ``LATEST_TRY`` after it.
        """
        self._other_until = self.scope.clock.monotonic() + (seconds or 0.0)
        if seconds == 0 and self._timer:
            return  # a timer is set already: another random delay would only postpone it
        self._cancel_try()
        if self._valid_until is None and seconds is not None and self._task is not None:
            self._timer = asyncio.get_running_loop().call_later(
                seconds + random.random() * LATEST_TRY, self._try
            )

    async def tick(self) -> Tick:
        scope = self.scope
        asked = scope.clock.monotonic()
        if self.is_leader and self._renewed:
            self._renewed = False
            return Tick(self._renewal_in(asked), {"leader": True})
        if self._valid_until is None and asked < self._other_until:
            return self._wait()
        try:
            held = await scope.engine.lead(scope.identity.node, scope.config.lease)
        except BaseException:
            self._follow()
            raise
        if not held:
            self._follow()
            return self._wait()
        elected = self._valid_until is None
        if ACTIVE and elected:
            reach("after election")
        self._valid_until = asked + scope.config.lease
        self._renewed = False
        if elected and LeaderElected in scope.bus:
            scope.bus.emit(LeaderElected(node=scope.identity.node))
        return Tick(self._renewal_in(asked), {"leader": True})

    async def stop(self) -> None:
        """Resign, also as a follower: its last attempt to lead may have succeeded without
        an answer.
        """
        was_started = self._task is not None
        await super().stop()
        self._cancel_try()
        self._follow()
        if not was_started:
            return
        try:
            if await self.scope.engine.resign(self.scope.identity.node):
                self.scope.announcer.announce([Signal(SignalKind.LEADER)])
        except ElihuError as error:
            logger.warning(
                "this node could not resign; if it leads, another node leads when its lease "
                "expires: %s",
                error,
            )

    def _wait(self) -> Tick:
        delay = self.scope.config.heartbeat + random.random() * LATEST_TRY
        return Tick(delay, {"leader": False})

    def _renewal_in(self, now: float) -> float:
        """Seconds until a tick renews the lease."""
        assert self._valid_until is not None
        lease = self.scope.config.lease
        part = OWN_RENEWAL if self.scope.config.heartbeat <= lease / 2 else 0.5
        return max(self._valid_until - (1 - part) * lease - now, 0.0)

    def _try(self) -> None:
        self._timer = None
        self.wake()

    def _cancel_try(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None

    def _follow(self) -> None:
        lost, self._valid_until = self._valid_until is not None, None
        if lost and LeaderLost in self.scope.bus:
            self.scope.bus.emit(LeaderLost(node=self.scope.identity.node))
