"""The tables: version and migrations."""

from typing import Protocol


class Schema(Protocol):
    """The tables."""

    async def schema_version(self) -> int:
        """The version of the tables, 0 without tables."""
        ...

    async def migrate(self) -> list[int]:
        """Bring the tables up to date, one process at a time, and return the versions
        applied. Raises ``SchemaTooNew``.
        """
        ...

    async def check_schema(self) -> None:
        """Raise ``SchemaOutdated`` or ``SchemaTooNew`` unless this code can use the
        tables. SQLite: makes absent tables.
        """
        ...

    async def installation(self) -> str:
        """The id of these tables, given when they were made."""
        ...
