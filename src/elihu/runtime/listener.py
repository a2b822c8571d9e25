"""Receives the signals of other processes, and tests whether they arrive."""

from typing import ClassVar, Final

from elihu.engines.protocol.signals import Notifier, Signal, SignalKind
from elihu.errors import DatabaseError
from elihu.runtime.announcer import Hub
from elihu.runtime.service import Scope, Service, Tick, logger
from elihu.telemetry.events import NotifierSwitched

NEXT_TEST: Final = 0.95
"""The part of a heartbeat after which a node tests again. The others, which heard its last
test, wait for a whole one: so of all idle nodes one tests.
"""


class Listener(Service):
    """Passes the notifier's signals to the hub. ``works`` is false while announcements do
    not arrive: one heartbeat after the last one a test shows whether they do. A test of
    another node is an announcement here.
    """

    name: ClassVar = "notifier"

    def __init__(self, scope: Scope, notifier: Notifier, hub: Hub) -> None:
        super().__init__(scope)
        self.works = True
        self._notifier = notifier
        self._hub = hub

    async def start(self) -> None:
        await self._notifier.start(lambda signal: self._hub.deliver([signal]))
        await super().start()

    async def stop(self) -> None:
        await super().stop()
        await self._notifier.stop()

    async def tick(self) -> Tick:
        heartbeat = self.scope.config.heartbeat
        left = heartbeat - self._notifier.silence()
        if not self.works or left <= 0:
            try:
                self._switch(await self._notifier.probe())
            except DatabaseError:
                self._switch(False)
                raise
            left = NEXT_TEST * heartbeat
        return Tick(left, {"mode": "listening" if self.works else "polling"})

    def _switch(self, works: bool) -> None:
        if works == self.works:
            return
        self.works = works
        self._hub.deliver([Signal(SignalKind.CHANGED)])
        if works:
            logger.info("announcements arrive again")
        else:
            logger.warning(
                "announcements do not arrive: polling every %g s",
                self.scope.config.poll_fallback,
            )
        if NotifierSwitched in self.scope.bus:
            self.scope.bus.emit(
                NotifierSwitched(
                    node=self.scope.identity.node, mode="listening" if works else "polling"
                )
            )
