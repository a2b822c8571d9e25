"""What the driver raises, told in Elihu's errors."""

from typing import Final

import asyncpg

from elihu.engines.sqlstates import NO_TABLES, REFUSED
from elihu.errors import (
    DatabaseError,
    DatabaseTimeout,
    DatabaseUnavailable,
    DataRefused,
    ElihuError,
    SchemaOutdated,
)

REPEATABLE: Final = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError)
"""Errors after which nothing has happened and the same statement can be sent again."""

_TIMEOUT: Final = frozenset({"57014", "55P03"})
_UNAVAILABLE: Final = (
    "08",
    "0A",
    "25",
    "28",
    "3D",
    "40",
    "42501",
    "53",
    "55",
    "57",
    "58",
    "F0",
    "XX",
)
_SPOILED: Final = ("08", "0A", "25", "57P", "XX")


def translate(error: Exception, place: str) -> Exception:
    """The error of ``elihu.errors`` that says what ``error`` means; one that is no
    answer of the driver comes back itself.
    """
    match error:
        case asyncpg.PostgresError():
            kind = _kind(error.sqlstate or "")
            hint = ': run "elihu migrate"' if kind is SchemaOutdated else ""
            return kind(f"PostgreSQL at {place}: {error}{hint}")
        case OSError() | EOFError() | asyncpg.InterfaceError() | asyncpg.InternalClientError():
            return DatabaseUnavailable(f"PostgreSQL at {place}: {error or type(error).__name__}")
    return error


def is_of_identifiers(error: DataRefused) -> bool:
    """Whether the database refused a job whose identifier another one has."""
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
    if state in _TIMEOUT:
        return DatabaseTimeout
    if state.startswith(_UNAVAILABLE):
        return DatabaseUnavailable
    return DatabaseError
