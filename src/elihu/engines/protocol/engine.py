"""The protocol of both engines, PostgreSQL and SQLite.

Every call has a deadline of ``call_timeout`` seconds; migrations have none. A call raises
only ``DatabaseUnavailable``, ``DatabaseTimeout``, ``DataRefused``, ``SchemaOutdated`` and
the errors that its doc names. Times in rows are by the database's clock. No call waits
for user code.
"""

from typing import Protocol

from elihu.engines.protocol.crons import Crons
from elihu.engines.protocol.diagnosis import Diagnosis
from elihu.engines.protocol.exchange import Exchanges
from elihu.engines.protocol.insert import Insert
from elihu.engines.protocol.jobs import Jobs
from elihu.engines.protocol.maintenance import Maintenance
from elihu.engines.protocol.nodes import Nodes
from elihu.engines.protocol.queues import Queues
from elihu.engines.protocol.reads import Reads
from elihu.engines.protocol.rollups import RollUps
from elihu.engines.protocol.schema import Schema
from elihu.engines.protocol.signals import Notifier
from elihu.engines.protocol.templates import Templates
from elihu.engines.protocol.transfer import Transfer
from elihu.engines.protocol.triggers import Triggers
from elihu.engines.protocol.waits import Waits


class Engine(
    Schema,
    Insert,
    Exchanges,
    Maintenance,
    Nodes,
    Waits,
    Jobs,
    Queues,
    Reads,
    Diagnosis,
    RollUps,
    Crons,
    Templates,
    Transfer,
    Triggers,
    Protocol,
):
    """One database, used from one event loop. ``open`` connects. Every other verb may be
    called by many tasks at once.
    """

    name: str
    overlaps: bool
    """Whether two exchanges at the same time are faster than one after the other."""

    async def open(self, *, make: bool = True) -> None:
        """Connect. Safe to call twice. Raises ``ConfigError`` where the URL cannot be
        used. SQLite: makes an absent file; without ``make`` it raises
        ``SchemaOutdated`` instead.
        """
        ...

    async def close(self) -> None:
        """Finish the calls made so far and disconnect, within about a second. Safe to
        call twice, and before ``open``. SQLite: releases its file locks.
        """
        ...

    def abandon(self) -> None:
        """Drop threads and connections without waiting, after the loop has ended."""
        ...

    def notifier(self, *, eager: bool = False) -> Notifier:
        """A new, unstarted notifier. With ``eager`` it serves a caller who waits for a
        result (SQLite: it checks more often).
        """
        ...
