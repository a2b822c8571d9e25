"""The tables: version and migrations."""

from typing import Final, Literal, NamedTuple, Protocol

ChainName = Literal["core", "commands", "accounts"]
"""A chain of migrations: ``core`` has the tables of jobs, any other those of a part that
not everybody uses.
"""

CORE: Final = "core"


class MigrationStep(NamedTuple):
    """One step forward as statements, to be executed one after the other on a connection
    of the caller: in one transaction where ``in_transaction`` is true, else outside of
    any.
    """

    version: int
    name: str
    statements: tuple[str, ...]
    in_transaction: bool


class Schema(Protocol):
    """The tables, chain by chain."""

    async def schema_version(self, chain: ChainName = CORE) -> int:
        """The version of the chain's tables, 0 without tables."""
        ...

    async def migrate(self, chain: ChainName = CORE) -> list[int]:
        """Bring the chain's tables up to date, one process at a time, and return the
        versions applied. Those of ``core`` come first. Raises ``SchemaTooNew``.
        """
        ...

    async def check_schema(self, chain: ChainName = CORE) -> None:
        """Raise ``SchemaOutdated`` or ``SchemaTooNew`` unless this code can use the
        chain's tables. SQLite: makes absent tables of ``core``.
        """
        ...

    async def installation(self) -> str:
        """The id of these tables, given when they were made."""
        ...

    async def schemas_named(self, prefix: str) -> list[str]:
        """The schemas whose names begin with ``prefix``, in order. SQLite: those of the
        files beside this engine's; the file need not be open.
        """
        ...

    async def remove_schema(self, name: str) -> None:
        """Remove a schema with all that it holds, if it exists. SQLite: its file, with the
        files that belong to it; the file need not be open.
        """
        ...
