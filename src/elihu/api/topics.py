"""``app.topics``: hints between processes that something people watch has changed."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from elihu.clients.client import Client
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.runtime.announcer import Hub
from elihu.task import check_name

ANYTHING: Final = ""
JOBS: Final = "jobs"
_OF_JOBS: Final = frozenset(
    {SignalKind.JOBS, SignalKind.INTENT, SignalKind.QUEUES, SignalKind.CRON, SignalKind.ENDED}
)


class Topics:
    """Announces topics, and listens for them. A topic is a hint: who listens polls too."""

    def __init__(self, client: Callable[[], Client], hub: Callable[[], Hub]) -> None:
        self._client = client
        self._hub = hub

    async def announce(self, *topics: str) -> None:
        """Tell every process that these topics have changed. SQLite: a commit tells it
        already. Raises ``InvalidOption`` for a name of more than 200 characters.
        """
        client = self._client()
        await client.ready()
        client.announcer.announce(
            [Signal(SignalKind.TOPIC, check_name("topic", topic)) for topic in topics]
        )

    @asynccontextmanager
    async def listen(self, changed: Callable[[str], None]) -> AsyncIterator[None]:
        """Call ``changed`` in the running loop for each topic that is announced: ``"jobs"``
        for jobs, queues and cron entries, ``""`` where anything may have changed.
        """

        def deliver(signal: Signal) -> None:
            if signal.kind is SignalKind.TOPIC:
                changed(signal.payload)
            elif signal.kind is SignalKind.CHANGED:
                changed(ANYTHING)
            elif signal.kind in _OF_JOBS:
                changed(JOBS)

        notifier = (await self._client().ready()).notifier()
        leave = self._hub().join(deliver)
        try:
            await notifier.start(deliver)
            yield
        finally:
            leave()
            await notifier.stop()
