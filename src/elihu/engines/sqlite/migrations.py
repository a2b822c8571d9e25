"""The tables: version and migrations."""

import re
import sqlite3
from typing import Final

from elihu.engines.schema_steps import (
    Migration,
    check_not_newer,
    check_not_older,
    load,
    missing,
)
from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.session import Session
from elihu.errors import SchemaError

_META_COLUMNS: Final = "SELECT name FROM pragma_table_info('meta')"
_META: Final = (
    "SELECT key, value FROM meta "
    "WHERE key IN ('schema_version', 'installation_id', 'readable_from')"
)
_EXISTS: Final = re.compile(r"(\w+) already exists|there is already \w+ \w+ named (\w+)")
_INSTALLATION: Final = statement("installation")
MIGRATIONS: Final = load(__package__)
NEWEST: Final = MIGRATIONS[-1].version
_WHERE: Final = "the database"


def migration_sql(schema: str, after: int = 0) -> str:
    """The migrations after a version as one script for the ``sqlite3`` shell. ``schema`` is
    ignored, since a file holds one app.
    """
    steps = "\n".join(
        f"-- {step.name}\n{step.sql}{step.stamp()}" for step in missing(MIGRATIONS, after)
    )
    return f"BEGIN IMMEDIATE;\n{steps}COMMIT;\n"


def installation(session: Session) -> str:
    return str(session.row(_INSTALLATION)[0])


def schema_version(session: Session) -> int:
    return _stored(session)[0]


def migrate(session: Session) -> list[int]:
    with session.write():
        version, readable_from = _stored(session)
        check_not_newer(_WHERE, version, readable_from, NEWEST)
        steps = missing(MIGRATIONS, version)
        for step in steps:
            _apply(session, step)
    return [step.version for step in steps]


def check_schema(session: Session) -> None:
    version, readable_from = _stored(session)
    if version == 0:
        migrate(session)
        return
    check_not_older(_WHERE, version, NEWEST)
    check_not_newer(_WHERE, version, readable_from, NEWEST)


def _stored(session: Session) -> tuple[int, int | None]:
    """The version of the tables, 0 without tables, and that of the code they need. Raises
    ``SchemaError`` for a table ``meta`` that is not Elihu's.
    """
    columns = {column for (column,) in session.rows(_META_COLUMNS)}
    if not columns:
        return 0, None
    if {"key", "value"} <= columns:
        found: dict[str, str] = dict(session.rows(_META))
        version = found.get("schema_version", "")
        if version.isascii() and version.isdigit() and "installation_id" in found:
            needed = found.get("readable_from")
            return int(version), None if needed is None else int(needed)
    raise _foreign("meta")


def _apply(session: Session, migration: Migration) -> None:
    """Execute statement by statement, since executescript() commits first."""
    text = ""
    try:
        for line in f"{migration.sql}{migration.stamp()}".splitlines(keepends=True):
            text += line
            if sqlite3.complete_statement(text):
                session.execute(text)
                text = ""
    except sqlite3.OperationalError as error:
        found = _EXISTS.search(str(error))
        if found is None:
            raise
        raise _foreign(found[1] or found[2]) from error


def _foreign(table: str) -> SchemaError:
    return SchemaError(
        f'expected a file without a table of another application that is called "{table}", got '
        "one: give Elihu a file of its own"
    )
