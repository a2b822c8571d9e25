"""The tables: their version, and migrations, each a file ``migrations/NNNN_name.sql``."""

import re
from importlib.resources import files
from typing import Final, NamedTuple

import asyncpg

from elihu.engines.postgres.connect import Connection
from elihu.engines.postgres.connections import Limits
from elihu.engines.postgres.queries import in_schema
from elihu.engines.postgres.session import Session
from elihu.errors import SchemaError, SchemaOutdated, SchemaTooNew


class Migration(NamedTuple):
    """One step forward: the version that it leads to, and its SQL for the schema
    ``elihu``.
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


_META_COLUMNS: Final = """
SELECT array_agg(attname::text ORDER BY attname) FROM pg_catalog.pg_attribute
WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
"""
_META: Final = (
    "SELECT key, value FROM elihu.meta WHERE key IN ('schema_version', 'installation_id')"
)
_EXISTS: Final = re.compile(r'"(\w+)" already exists')
_LIMITS: Final = Limits(idle=60, statement=0, lock=0)
MIGRATIONS: Final = _read()
VERSION: Final = MIGRATIONS[-1].version
"""The version that this code needs."""


def migration_sql(schema: str) -> str:
    """All migrations as one script for ``psql``, in one transaction."""
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


async def schema_version(session: Session) -> int:
    async def work(connection: Connection) -> int:
        return await _stored_version(connection, session.config.schema)

    return await session.call("schema_version", work)


async def migrate(session: Session) -> list[int]:
    """Of several processes at once the first applies the steps; the others wait for it
    and find nothing to do.
    """

    async def work(connection: Connection) -> list[int]:
        return await _migrate(connection, session.config.schema)

    return await session.call("migrate", work, bounded=False, limits=_LIMITS)


async def check_schema(session: Session) -> None:
    version = await schema_version(session)
    if version < VERSION:
        raise SchemaOutdated(_outdated(session.config.schema, version))
    if version > VERSION:
        raise SchemaTooNew(_too_new(session.config.schema, version))


async def installation(session: Session) -> str:
    return str(await session.fetch_value("installation"))


async def _migrate(connection: Connection, schema: str) -> list[int]:
    await connection.execute(_lock(schema))
    # CREATE SCHEMA IF NOT EXISTS needs the right to create schemas even where the schema
    # exists.
    if not await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1)", schema
    ):
        await connection.execute(f'CREATE SCHEMA "{schema}"')
    version = await _stored_version(connection, schema)
    if version > VERSION:
        raise SchemaTooNew(_too_new(schema, version))
    applied = []
    for migration in MIGRATIONS:
        if migration.version > version:
            try:
                await connection.execute(_step(migration, schema))
            except (asyncpg.DuplicateTableError, asyncpg.DuplicateFunctionError) as error:
                found = _EXISTS.search(str(error))
                raise _foreign(schema, found[1] if found else str(error)) from error
            applied.append(migration.version)
    return applied


async def _stored_version(connection: Connection, schema: str) -> int:
    """The version of the tables in the database; 0 where there are none."""
    if not await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", f'"{schema}".meta'):
        return 0
    columns = await connection.fetchval(_META_COLUMNS, f'"{schema}".meta')
    if columns == ["key", "value"]:
        found = dict(await connection.fetch(in_schema(_META, schema)))
        version = found.get("schema_version")
        if version is not None and version.isdigit() and "installation_id" in found:
            return int(version)
    raise _foreign(schema, "meta")


def _foreign(schema: str, name: str) -> SchemaError:
    return SchemaError(
        f'schema "{schema}": expected none of another application that is called "{name}", got '
        "one: give Elihu a schema of its own"
    )


def _too_new(schema: str, version: int) -> str:
    return (
        f'schema "{schema}": expected tables of version {VERSION} or older, got {version}: install '
        "the newer Elihu that made them"
    )


def _outdated(schema: str, version: int) -> str:
    got = f"version {version}" if version else "none"
    return (
        f'schema "{schema}": expected tables of version {VERSION}, got {got}: run "elihu migrate"'
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
