"""Calls to the database: a connection, a deadline, an event for each."""

from collections.abc import Sequence
from typing import Any, TypeVar

from elihu.clock import SystemClock
from elihu.config import Config
from elihu.engines.postgres.connections import Connection, Connections, Work
from elihu.engines.postgres.queries import Queries
from elihu.engines.postgres.rows import Row
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import EngineCalled

T = TypeVar("T")

NAME = "postgres"


class Calls:
    """What every verb stands on."""

    name = NAME

    def __init__(self, config: Config, bus: Bus) -> None:
        self._config = config
        self._bus = bus
        self._clock = SystemClock()
        self._connections = Connections(config.database_url, config.connections)
        self._sql = Queries(config.schema)

    async def open(self, *, make: bool = True) -> None:
        """Connect. Raises ``ConfigError``, ``DatabaseUnavailable`` or
        ``DatabaseTimeout``.
        """
        await self._connections.open(self._config.call_timeout)

    async def close(self) -> None:
        """Close every connection, within about a second. Safe to call twice, and before
        ``open``.
        """
        await self._connections.close()

    def abandon(self) -> None:
        self._connections.abandon()

    async def _call(self, verb: str, work: Work[T], *, bounded: bool = True) -> T:
        timeout = self._config.call_timeout if bounded else None
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

    async def _fetch(self, verb: str, sql: str, *values: Any) -> Sequence[Row]:
        async def work(connection: Connection) -> Sequence[Row]:
            rows: Sequence[Row] = await connection.fetch(sql, *values)
            return rows

        return await self._call(verb, work)

    async def _fetch_row(self, verb: str, sql: str, *values: Any) -> Row | None:
        async def work(connection: Connection) -> Row | None:
            return await connection.fetchrow(sql, *values)

        return await self._call(verb, work)

    async def _fetch_value(self, verb: str, sql: str, *values: Any) -> Any:
        async def work(connection: Connection) -> Any:
            return await connection.fetchval(sql, *values)

        return await self._call(verb, work)
