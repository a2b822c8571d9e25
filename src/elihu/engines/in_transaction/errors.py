"""Errors of drivers on a caller's connection. Refusals become errors of Elihu; every other
error stays the driver's, since the transaction is the caller's.
"""

from collections.abc import Iterator
from typing import Final

from elihu.engines.sqlstates import NO_TABLES, REFUSED
from elihu.errors import DataRefused, ElihuError, InvalidOption, PermissionDenied, SchemaOutdated

NO_TRANSACTION: Final = "25P01"
NO_RIGHT: Final = "42501"
_NO_SQLITE_TABLES: Final = (
    "no such table",
    "no such column",
    "has no column named",
    "table job has no column",
)


def on_postgres(error: Exception, schema: str) -> Exception:
    """The error to raise in place of ``error``: itself unless it is a refusal."""
    if isinstance(error, ElihuError):
        return error
    state = sqlstate(error)
    if state in NO_TABLES:
        return SchemaOutdated(
            f'conn: expected the tables of Elihu in schema "{schema}", got '
            f'"{first_line(error)}": run "elihu migrate"'
        )
    if state == NO_TRANSACTION:
        return alone()
    if state == NO_RIGHT:
        return PermissionDenied(
            f"conn: {first_line(error)}: grant the role the rights of the guide"
        )
    if state.startswith(REFUSED):
        return DataRefused(f"conn: PostgreSQL refuses a value: {first_line(error)}")
    return error


def on_sqlite(error: Exception) -> Exception:
    """The error to raise in place of ``error``: itself unless it is a refusal."""
    for inner in _chain(error):
        if isinstance(inner, ElihuError):
            return inner
        # A program on PostgreSQL does not load the module.
        kinds = {base.__name__ for base in type(inner).__mro__ if base.__module__ == "sqlite3"}
        if "OperationalError" in kinds and any(words in str(inner) for words in _NO_SQLITE_TABLES):
            return SchemaOutdated(
                f'conn: expected the tables of Elihu, got "{inner}": run "elihu migrate"'
            )
        if kinds & {"IntegrityError", "DataError"}:
            return DataRefused(f"conn: SQLite refuses a value: {inner}")
    return error


def alone() -> InvalidOption:
    """The error for a connection outside of a transaction."""
    return InvalidOption(
        "conn: expected a connection inside a transaction, got one in autocommit mode outside of "
        "any: the job would be committed on its own. Begin a transaction first, or leave conn out"
    )


def sqlstate(error: BaseException) -> str:
    """The code of PostgreSQL's error, through every wrapper of drivers and libraries.
    Empty where there is none.
    """
    for inner in _chain(error):
        for name in ("sqlstate", "pgcode"):
            if isinstance(state := getattr(inner, name, None), str):
                return state
    return ""


def first_line(error: BaseException) -> str:
    """The first line of the database's message."""
    *_, innermost = _chain(error)
    return str(innermost).strip().partition("\n")[0]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = getattr(error, "orig", None) or error.__cause__
