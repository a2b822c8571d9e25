"""Every kind of connection and session that ``conn=`` takes."""

from tests.features.async_callers import (
    AsyncConnectionAsyncpg,
    AsyncConnectionSqlite,
    Asyncpg,
    AsyncpgPool,
    AsyncPsycopg,
    AsyncSessionAsyncpg,
    AsyncSessionPsycopg,
    AsyncSessionSqlite,
)
from tests.features.caller import Caller
from tests.features.sync_callers import (
    ConnectionPsycopg2,
    ConnectionSqlite,
    DjangoPostgres,
    DjangoSqlite,
    Psycopg,
    ScopedSession,
    SessionPsycopg,
    SessionPsycopg2,
    SessionSqlite,
    Sqlite3,
    Sqlite3Explicit,
)

KINDS: tuple[type[Caller], ...] = (
    Sqlite3,
    Sqlite3Explicit,
    SessionSqlite,
    ConnectionSqlite,
    DjangoSqlite,
    AsyncSessionSqlite,
    AsyncConnectionSqlite,
    Psycopg,
    SessionPsycopg,
    SessionPsycopg2,
    ScopedSession,
    ConnectionPsycopg2,
    DjangoPostgres,
    AsyncPsycopg,
    Asyncpg,
    AsyncpgPool,
    AsyncSessionAsyncpg,
    AsyncSessionPsycopg,
    AsyncConnectionAsyncpg,
)
