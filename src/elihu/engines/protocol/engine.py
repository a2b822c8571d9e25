"""The protocol that PostgreSQL and SQLite both fulfil.

Every call has a deadline of ``call_timeout`` seconds (migrations have none) and raises
only ``DatabaseUnavailable``, ``DatabaseTimeout``, ``DataRefused`` or the errors named
with it. Times in rows are the database's own. No call waits for user code.
"""

from typing import Protocol

from elihu.engines.protocol.crons import Crons
from elihu.engines.protocol.exchange import Exchanges
from elihu.engines.protocol.insert import Insert
from elihu.engines.protocol.jobs import Jobs
from elihu.engines.protocol.maintenance import Maintenance
from elihu.engines.protocol.nodes import Nodes
from elihu.engines.protocol.queues import Queues
from elihu.engines.protocol.schema import Schema
from elihu.engines.protocol.signals import Notifier
from elihu.engines.protocol.templates import Templates
from elihu.engines.protocol.waits import Waits


class Engine(
    Schema, Insert, Exchanges, Maintenance, Nodes, Waits, Jobs, Queues, Crons, Templates, Protocol
):
    """One database, from one event loop. ``open`` connects; every other verb may be
    called by many tasks at once.
    """

    name: str

    async def open(self, *, make: bool = True) -> None:
        """Connect. Without ``make`` an SQLite file that is not there is not made:
        ``SchemaOutdated``.
        """
        ...

    async def close(self) -> None: ...

    def abandon(self) -> None:
        """Let go of threads and connections without waiting: the loop has ended and
        nobody closed the engine.
        """
        ...

    def notifier(self, *, eager: bool = False) -> Notifier:
        """A new, unstarted one; ``eager`` is for somebody who waits for what it tells
        (SQLite: it looks more often).
        """
        ...
