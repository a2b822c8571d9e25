"""Tells processes that people watch runs with that these have changed. Who watches polls
too, so that a signal that is lost only delays what is shown.
"""

import asyncio
import logging
from collections.abc import Iterable
from functools import partial
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from elihu import ElihuError
from elihu.commands.host import Host
from elihu.orm.sessions import after_commit

logger: Final = logging.getLogger("elihu")

RUNS: Final = "runs"
"""The topic of changes of any run."""
OUTPUT_PAUSE: Final = 0.25
"""Seconds between two signals of the output of a run at least."""


def topic_of(run_id: UUID) -> str:
    """The topic of one run and of what it writes."""
    return f"run:{run_id}"


def announce_runs(session: AsyncSession, host: Host, run_ids: Iterable[UUID] = ()) -> None:
    """Announce, once the transaction is committed, that these runs have changed. New ones
    need not be named: nobody watches them.
    """
    topics = [RUNS, *map(topic_of, run_ids)]
    after_commit(session, partial(_announce, host, topics))


class OutputSignals:
    """Announces that a run has written, at most four times a second."""

    def __init__(self, host: Host, run_id: UUID) -> None:
        self._host = host
        self._topic = topic_of(run_id)
        self._next = 0.0
        self._sending: asyncio.Task[None] | None = None

    def written(self) -> None:
        """Announce now, or when the pause since the last signal is over."""
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send(), name="elihu-commands-output")

    def close(self) -> None:
        """Announce no more: the end of the run is announced with its state."""
        if self._sending is not None:
            self._sending.cancel()

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(max(0.0, self._next - loop.time()))
        self._next = loop.time() + OUTPUT_PAUSE
        await _announce(self._host, [self._topic])


async def _announce(host: Host, topics: list[str]) -> None:
    try:
        await host.app.topics.announce(*topics)
    except ElihuError as error:
        logger.warning("commands: changes of runs are not announced: %s", error)
