"""The tables' versions: forward only, each a file ``migrations/NNNN_name.sql``."""

from importlib.resources import files
from typing import Final, NamedTuple

from elihu.engines.postgres.connections import Connection, transact
from elihu.engines.postgres.queries import in_schema
from elihu.errors import SchemaTooNew


class Migration(NamedTuple):
    """One step: its version, and the SQL that takes the tables there from the version
    before, for the schema ``elihu``.
    """

    version: int
    sql: str


def _read() -> tuple[Migration, ...]:
    found = [
        file
        for file in files(__package__).joinpath("migrations").iterdir()
        if file.name.endswith(".sql")
    ]
    return tuple(
        sorted(
            Migration(int(file.name.partition("_")[0]), file.read_text(encoding="utf-8"))
            for file in found
        )
    )


MIGRATIONS: Final = _read()
VERSION: Final = MIGRATIONS[-1].version
"""The version that this code needs."""


def migration_sql(schema: str) -> str:
    """All migrations as one script for ``psql``, from no tables to the version of this
    code, in one transaction.
    """
    steps = [_step(migration, schema) for migration in MIGRATIONS]
    return "\n".join(
        [
            "BEGIN ISOLATION LEVEL READ COMMITTED;",
            f"{_lock(schema)};",
            f'CREATE SCHEMA IF NOT EXISTS "{schema}";',
            *steps,
            "COMMIT;",
            "",
        ]
    )


async def migrate(connection: Connection, schema: str) -> list[int]:
    """Bring the tables of ``schema`` to the version of this code; return the versions
    applied.

    Several processes may do so at once: one goes first, the others wait for it and find
    nothing to do. Raises ``SchemaTooNew``.
    """

    async def work(connection: Connection) -> list[int]:
        await connection.execute(_lock(schema))
        # CREATE SCHEMA IF NOT EXISTS asks for the right to create schemas even where
        # the schema is there.
        if not await connection.fetchval(
            "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)", schema
        ):
            await connection.execute(f'CREATE SCHEMA "{schema}"')
        version = await stored_version(connection, schema)
        if version > VERSION:
            raise SchemaTooNew(too_new(schema, version))
        applied = []
        for migration in MIGRATIONS:
            if migration.version > version:
                await connection.execute(_step(migration, schema))
                applied.append(migration.version)
        return applied

    return await transact(connection, work)


def too_new(schema: str, version: int) -> str:
    """The message of ``SchemaTooNew``."""
    return f'schema "{schema}": expected tables of version {VERSION} or older, got {version}: install the newer Elihu that made them'


def outdated(schema: str, version: int) -> str:
    """The message of ``SchemaOutdated``."""
    got = f"version {version}" if version else "none"
    return (
        f'schema "{schema}": expected tables of version {VERSION}, got {got}: run "elihu migrate"'
    )


async def stored_version(connection: Connection, schema: str) -> int:
    """The version of the tables in the database; 0 where there are none."""
    if not await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", f'"{schema}".meta'):
        return 0
    return int(
        await connection.fetchval(
            in_schema("SELECT value FROM elihu.meta WHERE key = 'schema_version'", schema)
        )
    )


def _step(migration: Migration, schema: str) -> str:
    return in_schema(
        f"{migration.sql.rstrip()}\n\n"
        f"INSERT INTO elihu.meta (key, value) VALUES ('schema_version', '{migration.version}')\n"
        f"ON CONFLICT (key) DO UPDATE SET value = excluded.value;\n",
        schema,
    )


def _lock(schema: str) -> str:
    return f"SELECT pg_advisory_xact_lock(hashtextextended('elihu migrate {schema}', 0))"
