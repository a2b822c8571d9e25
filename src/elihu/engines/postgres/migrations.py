"""The tables: their version, and migrations."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

import asyncpg

from elihu.clock import SystemClock
from elihu.engines.postgres.connect import Connection, about, connect_alone
from elihu.engines.postgres.connections import Limits, Work
from elihu.engines.postgres.queries import in_schema
from elihu.engines.postgres.session import Session
from elihu.engines.postgres.steps import (
    COMMENTS,
    LOCK_TIMEOUT,
    MIGRATIONS,
    SET_LOCK_TIMEOUT,
    lock,
    stamp,
    statements,
)
from elihu.engines.protocol import CORE, ChainName
from elihu.engines.schema_steps import (
    Migration,
    check_not_newer,
    check_not_older,
    load,
    meta_keys,
    missing,
)
from elihu.errors import DatabaseTimeout, PermissionDenied, SchemaError

T = TypeVar("T")

VERSION: Final = MIGRATIONS[-1].version
"""The version that this code needs."""

_PAUSE: Final = 1.0
_TURN: Final = 0.2
"""Seconds after which a process that is not the first asks again whether it is its turn. A
statement that waits would keep an index from being made concurrently.
"""
_SAY_AGAIN_AFTER: Final = 60.0
_IDLE: Final = 60.0
_LIMITS: Final = Limits(idle=_IDLE, statement=0, lock=0)
_STATEMENT_END: Final = re.compile(r";[ \t]*\n")
_NO_LIMITS: Final = (
    "SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0"
)

logger = logging.getLogger("elihu")


@cache
def _load(chain: ChainName) -> tuple[Migration, ...]:
    return load(Path(__file__).parent, chain)


def _steps(chain: ChainName) -> tuple[Migration, ...]:
    return MIGRATIONS if chain == CORE else _load(chain)


def _known(chain: ChainName) -> int:
    return VERSION if chain == CORE else _load(chain)[-1].version


def migration_sql(schema: str, after: int = 0, chain: ChainName = CORE) -> str:
    """The migrations of a chain after a version as one script for ``psql``."""
    return "\n".join(_script(step, schema) for step in missing(_steps(chain), after))


async def schema_version(session: Session, chain: ChainName = CORE) -> int:
    async def work(connection: Connection) -> int:
        return (await _stored(connection, session.config.schema, chain))[0]

    return await session.call("schema_version", work)


async def migrate(session: Session, chain: ChainName = CORE) -> list[int]:
    """Of several processes at once the first applies a step; the others wait for it and
    find it done.
    """
    if chain == CORE:
        await session.call("migrate", lambda one: _make_schema(one, session), bounded=False)
    else:
        await migrate(session)
    return [step.version for step in _steps(chain) if await _apply(session, step)]


async def check_schema(session: Session, chain: ChainName = CORE) -> None:
    async def work(connection: Connection) -> tuple[int, int | None]:
        return await _stored(connection, session.config.schema, chain)

    version, readable_from = await session.call("check_schema", work)
    where, known = _where(session), _known(chain)
    check_not_older(where, version, known, chain)
    check_not_newer(where, version, readable_from, known)


async def installation(session: Session) -> str:
    return str(await session.fetch_value("installation"))


async def schemas_named(session: Session, prefix: str) -> list[str]:
    return [row["name"] for row in await session.fetch("schemas_named", prefix)]


async def remove_schema(session: Session, name: str) -> None:
    quoted = name.replace('"', '""')

    async def work(connection: Connection) -> None:
        await connection.execute(f'DROP SCHEMA IF EXISTS "{quoted}" CASCADE')

    await session.transaction("remove_schema", work)


async def _make_schema(connection: Connection, session: Session) -> None:
    schema = session.config.schema
    # CREATE SCHEMA IF NOT EXISTS needs the right to create schemas even where the schema
    # exists.
    found = await connection.fetchval("SELECT to_regnamespace($1) IS NOT NULL", f'"{schema}"')
    if not found:
        # Of two at once one fails all the same, after the other's commit.
        with suppress(asyncpg.UniqueViolationError, asyncpg.DuplicateSchemaError):
            try:
                await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
            except asyncpg.InsufficientPrivilegeError as error:
                raise await _not_allowed(connection, schema) from error


async def _not_allowed(connection: Connection, schema: str) -> PermissionDenied:
    database, role = await connection.fetchrow("SELECT current_database(), current_user")
    return PermissionDenied(
        f'schema "{schema}": expected the right to create it in the database "{database}", got '
        f'none for the role "{role}": GRANT CREATE ON DATABASE "{database}" TO "{role}"'
    )


async def _apply(session: Session, step: Migration) -> bool:
    """Whether this call applied the step."""
    return await (_in_transaction if step.kind == "transaction" else _guarded)(session, step)


async def _in_transaction(session: Session, step: Migration) -> bool:
    schema = session.config.schema

    async def work(connection: Connection) -> bool | None:
        if not await connection.fetchval(lock(schema)):
            return None
        if not await _is_missing(session, connection, step):
            return False
        await connection.execute(SET_LOCK_TIMEOUT)
        try:
            await connection.execute(_sql(step, schema))
        except (asyncpg.DuplicateTableError, asyncpg.DuplicateFunctionError) as error:
            found = _EXISTS.search(str(error))
            raise _foreign(schema, found[1] if found else str(error)) from error
        return True

    while True:
        applied = await _until_unlocked(session, step, work)
        if applied is not None:
            return applied
        await asyncio.sleep(_TURN)


async def _guarded(session: Session, step: Migration) -> bool:
    """Apply a step that is no single transaction, while another connection keeps other
    processes from doing the same.
    """
    async with _guard(session) as guard:
        if not await _is_missing(session, guard, step):
            return False
        # A fetched statement keeps its snapshot until the next one, and an index that is made
        # concurrently waits for snapshots. A plain one keeps none.
        await guard.execute("SELECT 1")
        if step.kind == "batches":
            await _in_batches(session, step)
        else:
            await _concurrently(session, step)

        async def record(connection: Connection) -> None:
            await connection.execute(stamp(step, session.config.schema))

        await session.call("migrate", record, bounded=False)
    return True


async def _in_batches(session: Session, step: Migration) -> None:
    statement = in_schema(COMMENTS.sub("", step.sql).strip().rstrip(";"), session.config.schema)

    async def work(connection: Connection) -> int:
        await connection.execute(SET_LOCK_TIMEOUT)
        return int(await connection.fetchval(statement))

    while await _until_unlocked(session, step, work):
        pass


async def _concurrently(session: Session, step: Migration) -> None:
    """Statement by statement. An index that an earlier attempt left invalid is removed
    first.
    """
    schema = session.config.schema
    connection = await connect_alone(session.config.database_url)
    try:
        pid, _ = await about(connection)
        if pid == connection.get_server_pid():  # a pooler would give the settings to others
            await connection.execute(_NO_LIMITS)
        for row in await connection.fetch(_INVALID_INDEXES, schema):
            if re.search(rf"\b{re.escape(row['name'])}\b", step.sql):
                await connection.execute(
                    f'DROP INDEX CONCURRENTLY IF EXISTS "{schema}"."{row["name"]}"'
                )
        for statement in _STATEMENT_END.split(COMMENTS.sub("", step.sql)):
            if statement.strip():
                await connection.execute(in_schema(statement, schema))
    finally:
        await connection.close()


async def _until_unlocked(session: Session, step: Migration, work: Work[T]) -> T:
    """Run one transaction of a step, again and again while a lock is in its way."""
    clock = SystemClock()
    say_at = clock.monotonic()
    while True:
        try:
            return await session.call("migrate", work, bounded=False, limits=_LIMITS)
        except DatabaseTimeout as error:
            if not isinstance(error.__cause__, asyncpg.LockNotAvailableError):
                raise
        if clock.monotonic() >= say_at:
            say_at = clock.monotonic() + _SAY_AGAIN_AFTER
            logger.warning(
                "migration %s waits for a lock, trying again: %s holds locks on the tables",
                step.name,
                await _blockers(session),
            )
        await asyncio.sleep(_PAUSE)


_META_COLUMNS: Final = """
SELECT array_agg(attname::text) FROM pg_catalog.pg_attribute
WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
"""
_META: Final = "SELECT key, value FROM elihu.meta WHERE key = ANY($1::text[])"
_EXISTS: Final = re.compile(r'"(\w+)" already exists')
_INVALID_INDEXES: Final = """
SELECT c.relname AS name
FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
WHERE NOT i.indisvalid AND c.relnamespace = to_regnamespace(quote_ident($1))
"""
_BLOCKERS: Final = """
SELECT DISTINCT a.pid, a.usename, a.application_name, a.state,
  extract(epoch FROM clock_timestamp() - a.xact_start)::integer AS seconds
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
JOIN pg_catalog.pg_class c ON c.oid = l.relation
WHERE l.granted AND l.pid <> pg_backend_pid() AND c.relnamespace = to_regnamespace(quote_ident($1))
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
ORDER BY seconds DESC
LIMIT 5
"""


async def _blockers(session: Session) -> str:
    """The sessions that hold locks on tables of the schema for longest, for a message."""

    async def work(connection: Connection) -> str:
        rows = await connection.fetch(_BLOCKERS, session.config.schema)
        return ", ".join(
            f"pid {row['pid']} ({row['usename']}, {row['application_name'] or 'no application'}, "
            f"{row['state']}, in a transaction for {row['seconds']} s)"
            for row in rows
        )

    return await session.call("migrate", work) or "another session"


@asynccontextmanager
async def _guard(session: Session) -> AsyncIterator[Connection]:
    """A connection whose transaction holds the lock of migrations. Its small statements
    keep the server from ending it; a client that is frozen sends none.
    """
    connection = await connect_alone(session.config.database_url)
    keeping = None
    try:
        while True:
            await connection.execute(_LIMITS.begin())
            if await connection.fetchval(lock(session.config.schema)):
                break
            await connection.execute("ROLLBACK")
            await asyncio.sleep(_TURN)

        async def keep() -> None:
            while True:
                await asyncio.sleep(_IDLE / 3)
                await connection.execute("SELECT 1")

        keeping = asyncio.create_task(keep())
        yield connection
    finally:
        if keeping is not None:
            keeping.cancel()
            await asyncio.wait([keeping])
        await connection.close(timeout=LOCK_TIMEOUT)


async def _is_missing(session: Session, connection: Connection, step: Migration) -> bool:
    """Raises ``SchemaTooNew``."""
    version, readable_from = await _stored(connection, session.config.schema, step.chain)
    check_not_newer(_where(session), version, readable_from, _known(step.chain))
    return version < step.version


async def _stored(connection: Connection, schema: str, chain: ChainName) -> tuple[int, int | None]:
    """The version of the chain's tables, 0 without tables, and that of the code they need.
    Raises ``SchemaError`` for a table ``meta`` that is not Elihu's.
    """
    if not (columns := await connection.fetchval(_META_COLUMNS, f'"{schema}".meta')):
        return 0, None
    if {"key", "value"} <= set(columns):
        version_key, readable_key = meta_keys(chain)
        keys = ["schema_version", "installation_id", version_key, readable_key]
        found = dict(await connection.fetch(in_schema(_META, schema), keys))
        if found.get("schema_version", "").isdigit() and "installation_id" in found:
            needed = found.get(readable_key)
            return int(found.get(version_key, 0)), None if needed is None else int(needed)
    raise _foreign(schema, "meta")


def _foreign(schema: str, name: str) -> SchemaError:
    return SchemaError(
        f'schema "{schema}": expected none of another application that is called "{name}", got '
        "one: give Elihu a schema of its own"
    )


def _where(session: Session) -> str:
    return f'schema "{session.config.schema}"'


def _sql(step: Migration, schema: str) -> str:
    return in_schema(step.sql, schema) + stamp(step, schema)


def _script(step: Migration, schema: str) -> str:
    """The step for ``psql``."""
    lines = statements(step, schema)
    if step.kind == "transaction":
        lines = ("BEGIN ISOLATION LEVEL READ COMMITTED;", *lines, "COMMIT;")
    return "\n".join([f"-- {step.name}", *lines, ""])
