"""Calls to the database: each has a connection, a deadline and an event."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Final, TypeVar

from elihu.clock import SystemClock
from elihu.config import Config
from elihu.engines.postgres.connect import Connection
from elihu.engines.postgres.connections import LOCK_TIMEOUT, Connections, Limits, Work
from elihu.engines.postgres.filters import Where
from elihu.engines.postgres.pool import Budget
from elihu.engines.postgres.queries import queries
from elihu.engines.postgres.rows import Row
from elihu.engines.retention import Retention
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import EngineCalled

T = TypeVar("T")

NAME: Final = "postgres"


class Session:
    """What the functions of the verbs work with.

    ``fetch``, ``fetch_row`` and ``fetch_value`` execute the statement of a verb, or that
    of one of its parts, with the conditions of ``where`` at its mark. ``waits`` is for a
    statement that may wait for another transaction's locks.
    """

    def __init__(self, config: Config, bus: Bus) -> None:
        self.config = config
        self.retention = Retention(config.retention)
        self.sql = queries(config.schema)
        self._bus = bus
        self._clock = SystemClock()
        self._connections = Connections(config.database_url, config.connections)
        # The server's limits only matter where the client is silent: they come later.
        timeout = config.call_timeout + 1
        self._limits = Limits(idle=timeout, statement=timeout, lock=LOCK_TIMEOUT)

    async def open(self) -> None:
        """Connect. Raises what ``Connections.open`` raises."""
        await self._connections.open(self.config.call_timeout)

    def listening(self) -> tuple[str, str, Budget]:
        """The URL and schema for a listening connection, and the budget it counts in."""
        config = self.config
        budget = self._connections.budget()
        return config.listen_url or config.database_url, config.schema, budget

    async def close(self) -> None:
        """Close every connection, within about a second. Safe to call twice, and before
        ``open``.
        """
        await self._connections.close()

    def abandon(self) -> None:
        """Drop the connections of a loop that has ended."""
        self._connections.abandon()

    async def call(
        self,
        verb: str,
        work: Work[T],
        *,
        bounded: bool = True,
        limits: Limits | None = None,
        waits: bool = False,
    ) -> T:
        """Give ``work`` a connection, and emit ``EngineCalled`` at its end. Raises what
        ``Connections.run`` raises, and takes the same options.
        """
        timeout = self.config.call_timeout if bounded else None
        run = partial(self._connections.run, work, timeout, limits=limits, waits=waits)
        if EngineCalled not in self._bus:
            return await run()
        started = self._clock.monotonic()
        problem: BaseException | None = None
        try:
            return await run()
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
        """``call`` in one transaction, which may wait for another transaction's locks."""
        return await self.call(verb, work, limits=self._limits, waits=True)

    async def fetch(
        self,
        verb: str,
        *values: Any,
        part: str | None = None,
        where: Where | None = None,
        waits: bool = False,
    ) -> Sequence[Row]:
        """The rows of a statement."""
        sql = self._statement(verb, part, where)

        async def work(connection: Connection) -> Sequence[Row]:
            rows: Sequence[Row] = await connection.fetch(sql, *values)
            return rows

        return await (self.transaction(verb, work) if waits else self.call(verb, work))

    async def fetch_text(self, verb: str, sql: str, *values: Any) -> Sequence[Row]:
        """The rows of a statement that is made of constant pieces."""

        async def work(connection: Connection) -> Sequence[Row]:
            rows: Sequence[Row] = await connection.fetch(sql, *values)
            return rows

        return await self.call(verb, work)

    async def fetch_row(
        self,
        verb: str,
        *values: Any,
        part: str | None = None,
        where: Where | None = None,
        waits: bool = False,
    ) -> Row | None:
        """The first row of a statement."""
        sql = self._statement(verb, part, where)

        async def work(connection: Connection) -> Row | None:
            return await connection.fetchrow(sql, *values)

        return await (self.transaction(verb, work) if waits else self.call(verb, work))

    async def fetch_value(
        self,
        verb: str,
        *values: Any,
        part: str | None = None,
        where: Where | None = None,
        waits: bool = False,
    ) -> Any:
        """The first column of the first row of a statement."""
        sql = self._statement(verb, part, where)

        async def work(connection: Connection) -> Any:
            return await connection.fetchval(sql, *values)

        return await (self.transaction(verb, work) if waits else self.call(verb, work))

    def _statement(self, verb: str, part: str | None, where: Where | None) -> str:
        name = verb if part is None else f"{verb}_{part}"
        return self.sql[name] if where is None else self.sql.filtered(name, where)
