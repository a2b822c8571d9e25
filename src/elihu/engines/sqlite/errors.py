"""Errors of SQLite, translated to those of every engine."""

import sqlite3
from typing import Final

from elihu.errors import (
    DatabaseTimeout,
    DatabaseUnavailable,
    DataRefused,
    ElihuError,
    SchemaOutdated,
)

_AWAY: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
    }
)
_BROKEN: Final = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_SCHEMA,
    }
)
_NO_TABLES: Final = ("no such table", "no such column", "has no column named")


def primary_code(error: BaseException) -> int:
    """SQLite's primary error code; 0 for an error of the driver itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def breaks_connection(error: BaseException) -> bool:
    """Whether the next call needs a new connection."""
    return primary_code(error) in _BROKEN


def translate(error: BaseException) -> BaseException:
    """The exception to raise in place of ``error``: itself unless it is a failure of the
    database.
    """
    found = _translated(error)
    if found is None:
        return error
    found.__cause__ = error
    return found


def _translated(error: BaseException) -> ElihuError | None:
    code = primary_code(error)
    match error:
        case sqlite3.Error() if code == sqlite3.SQLITE_INTERRUPT:
            return DatabaseTimeout(
                "expected an answer of the database within call_timeout, got none: the call was "
                "interrupted"
            )
        case sqlite3.Error() if code in _AWAY or code in _BROKEN:
            return DatabaseUnavailable(f"SQLite: {error} ({error.sqlite_errorname})")
        case sqlite3.OperationalError() if str(error).startswith(_NO_TABLES):
            return SchemaOutdated(f'expected the tables of Elihu, got "{error}": run elihu migrate')
        case sqlite3.Error() | OverflowError() | UnicodeEncodeError():
            return DataRefused(f"SQLite refuses a value: {error}")
        case OSError():
            return DatabaseUnavailable(
                f"expected files beside the database that can be written and locked, got: {error}"
            )
    return None
