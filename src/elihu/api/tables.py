"""The methods of ``app.tables``: the tables in the database, and a way to them."""

from collections.abc import Callable
from typing import Any

from elihu.clients.client import Client
from elihu.config import Config
from elihu.engines.protocol import CORE, ChainName, MigrationStep
from elihu.engines.select import driver_connection, migration_steps


class Tables:
    """The tables, chain by chain: ``"core"`` has those of jobs, ``"commands"`` those of
    the command scheduler.
    """

    def __init__(self, client: Callable[[], Client], config: Callable[[], Config]) -> None:
        self._client = client
        self._config = config

    async def migrate(self, chain: ChainName = CORE) -> list[int]:
        """Make or change the chain's tables, those of ``"core"`` first. Returns the
        versions of this chain that were applied. Raises ``SchemaTooNew``.
        """
        return await (await self._client().connect()).migrate(chain)

    async def check(self, chain: ChainName = CORE) -> None:
        """Raise ``SchemaOutdated`` or ``SchemaTooNew`` unless this code can use the
        chain's tables.
        """
        await (await self._client().connect()).check_schema(chain)

    def steps(self, after: int = 0) -> list[MigrationStep]:
        """The migrations of ``"core"`` after a version as statements, oldest first, for a
        tool that executes them on a connection of its own.
        """
        return migration_steps(self._config(), after)

    async def connect(self) -> Any:
        """A new asyncpg connection to the app's PostgreSQL database, for the caller to
        close: all that ``database_url`` says holds for it, and it keeps no statements.
        It suits SQLAlchemy's ``async_creator``.

        Raises ``ConfigError`` where the database is SQLite, and ``DatabaseUnavailable``.
        """
        return await driver_connection(self._config())
