"""Calls to the database: each has a connection, a deadline and an event."""

from collections.abc import Sequence
from typing import Any, Final, TypeVar

from elihu.clock import SystemClock
from elihu.config import Config
from elihu.engines.postgres.connections import Connection, Connections, Work, transact
from elihu.engines.postgres.filters import Where
from elihu.engines.postgres.queries import Queries
from elihu.engines.postgres.rows import Row
from elihu.engines.retention import Retention
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import EngineCalled

T = TypeVar("T")

NAME: Final = "postgres"


class Session:
    """What the functions of the verbs work with.

    ``fetch``, ``fetch_row`` and ``fetch_value`` execute the statement of a verb, or that
    of one of its parts, with the conditions of ``where`` at its mark.
    """

    def __init__(self, config: Config, bus: Bus) -> None:
        self.config = config
        self.retention = Retention(config.retention)
        self.sql = Queries(config.schema)
        self._bus = bus
        self._clock = SystemClock()
        self._connections = Connections(config.database_url, config.connections)

    async def open(self) -> None:
        """Connect. Raises what ``Connections.open`` raises."""
        await self._connections.open(self.config.call_timeout)

    async def close(self) -> None:
        """Close every connection, within about a second. Safe to call twice, and before
        ``open``.
        """
        await self._connections.close()

    def abandon(self) -> None:
        """Drop the connections of a loop that has ended."""
        self._connections.abandon()

    async def call(self, verb: str, work: Work[T], *, bounded: bool = True) -> T:
        """Give ``work`` a connection, and emit ``EngineCalled`` at its end. Raises what
        ``Connections.run`` raises.
        """
        timeout = self.config.call_timeout if bounded else None
        if EngineCalled not in self._bus:
            return await self._connections.run(work, timeout)
        started = self._clock.monotonic()
        problem: BaseException | None = None
        try:
            return await self._connections.run(work, timeout)
        except BaseException as error:
            problem = error
            raise
        finally:
            self._bus.emit(
                EngineCalled(
                    engine=NAME,
                    verb=verb,
                    duration=self._clock.monotonic() - started,
                    error=problem,
                )
            )

    async def transaction(self, verb: str, work: Work[T]) -> T:
        """``call`` in one transaction."""

        async def in_transaction(connection: Connection) -> T:
            return await transact(connection, work)

        return await self.call(verb, in_transaction)

    async def fetch(
        self, verb: str, *values: Any, part: str | None = None, where: Where | None = None
    ) -> Sequence[Row]:
        """The rows of a statement."""
        sql = self._statement(verb, part, where)

        async def work(connection: Connection) -> Sequence[Row]:
            rows: Sequence[Row] = await connection.fetch(sql, *values)
            return rows

        return await self.call(verb, work)

    async def fetch_row(
        self, verb: str, *values: Any, part: str | None = None, where: Where | None = None
    ) -> Row | None:
        """The first row of a statement."""
        sql = self._statement(verb, part, where)

        async def work(connection: Connection) -> Row | None:
            return await connection.fetchrow(sql, *values)

        return await self.call(verb, work)

    async def fetch_value(
        self, verb: str, *values: Any, part: str | None = None, where: Where | None = None
    ) -> Any:
        """The first column of the first row of a statement."""
        sql = self._statement(verb, part, where)

        async def work(connection: Connection) -> Any:
            return await connection.fetchval(sql, *values)

        return await self.call(verb, work)

    def _statement(self, verb: str, part: str | None, where: Where | None) -> str:
        name = verb if part is None else f"{verb}_{part}"
        return self.sql[name] if where is None else self.sql.filtered(name, where)
