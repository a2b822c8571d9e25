"""Receives the signals of other processes, and tests with each heartbeat whether they
arrive.
"""

from typing import ClassVar

from elihu.engines.protocol.signals import Notifier, Signal, SignalKind
from elihu.errors import DatabaseError
from elihu.runtime.announcer import Hub
from elihu.runtime.service import Scope, Service, Tick, logger
from elihu.telemetry.events import NotifierSwitched


class Listener(Service):
    """Passes the notifier's signals to the hub. ``works`` is false while announcements do
    not arrive.
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
        try:
            self._switch(await self._notifier.probe())
        except DatabaseError:
            self._switch(False)
            raise
        return Tick(self.scope.config.heartbeat, {"mode": "listening" if self.works else "polling"})

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
