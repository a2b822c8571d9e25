"""The tables: their version, and migrations."""

from typing import Protocol


class Schema(Protocol):
    """The part of ``Engine`` for schema."""

    async def schema_version(self) -> int:
        """The version of the tables in the database; 0 where there are none."""
        ...

    async def migrate(self) -> list[int]:
        """Bring the tables up to date, one process at a time; return the versions
        applied. Raises ``SchemaTooNew``.
        """
        ...

    async def check_schema(self) -> None:
        """Raise ``SchemaOutdated`` or ``SchemaTooNew`` unless the tables fit. SQLite
        makes absent tables instead.
        """
        ...

    async def installation(self) -> str:
        """The id that these tables were given when they were made."""
        ...
