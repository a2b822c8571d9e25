"""The errors of the driver as errors of Elihu."""

from typing import Final

import asyncpg

from elihu.engines.sqlstates import NO_TABLES, REFUSED
from elihu.errors import (
    DatabaseError,
    DatabaseTimeout,
    DatabaseUnavailable,
    DataRefused,
    ElihuError,
    PermissionDenied,
    SchemaOutdated,
)

REPEATABLE: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
"""Errors after which nothing has happened and the same statement can be sent again."""

_PERMISSION: Final = ("42501", "28")
_TIMEOUT: Final = frozenset({"57014", "55P03"})
_UNAVAILABLE: Final = (
    "08",
    "0A",
    "25",
    "3D",
    "40",
    "53",
    "55",
    "57",
    "58",
    "F0",
    "XX",
)
_SPOILED: Final = ("08", "0A", "25", "57P", "XX")


def translate(error: Exception, place: str) -> Exception:
    """The error of Elihu that ``error`` means; ``error`` itself if it is not of the
    driver.
    """
    match error:
        case asyncpg.PostgresError():
            kind = _kind(error.sqlstate or "")
            hint = _HINTS.get(kind, "")
            return kind(f"PostgreSQL at {place}: {error}{hint}")
        case OSError() | EOFError() | asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return DatabaseUnavailable(f"PostgreSQL at {place}: {error or type(error).__name__}")
    return error


_HINTS: Final[dict[type[ElihuError], str]] = {
    SchemaOutdated: ': run "elihu migrate"',
    PermissionDenied: ": grant the role the rights that the guide lists",
}


def is_of_identifiers(error: DataRefused) -> bool:
    """Whether another job has the identifier of a refused one."""
    cause = error.__cause__
    return (
        isinstance(cause, asyncpg.UniqueViolationError)
        and cause.constraint_name == "job_identifier"
    )


def keeps_connection(error: BaseException) -> bool:
    """Whether a connection on which ``error`` arose can serve the next call."""
    if isinstance(error, asyncpg.PostgresError):
        return not (error.sqlstate or "").startswith(_SPOILED)
    return isinstance(error, ElihuError)


def _kind(state: str) -> type[ElihuError]:
    if state in NO_TABLES:
        return SchemaOutdated
    if state.startswith(REFUSED):
        return DataRefused
    if state.startswith(_PERMISSION):
        return PermissionDenied
    if state in _TIMEOUT:
        return DatabaseTimeout
    if state.startswith(_UNAVAILABLE):
        return DatabaseUnavailable
    return DatabaseError
