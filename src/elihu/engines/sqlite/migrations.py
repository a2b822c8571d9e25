"""The tables: version and migrations."""

import re
import sqlite3
from importlib.resources import files
from typing import Final, NamedTuple

from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.session import Session
from elihu.errors import SchemaError, SchemaOutdated, SchemaTooNew


class Migration(NamedTuple):
    """One step forward, as SQL."""

    version: int
    name: str
    sql: str


def _load() -> tuple[Migration, ...]:
    folder = files(__package__) / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return tuple(
        Migration(int(name[:4]), name, (folder / name).read_text("utf-8")) for name in names
    )


_META_COLUMNS: Final = "SELECT name FROM pragma_table_info('meta')"
_META: Final = "SELECT key, value FROM meta WHERE key IN ('schema_version', 'installation_id')"
_EXISTS: Final = re.compile(r"(\w+) already exists|there is already \w+ \w+ named (\w+)")
_INSTALLATION: Final = statement("installation")
MIGRATIONS: Final = _load()
NEWEST: Final = MIGRATIONS[-1].version


def migration_sql(schema: str) -> str:
    """All migrations as one script for the ``sqlite3`` shell. ``schema`` is ignored, since
    a file holds one app.
    """
    steps = "\n".join(
        f"-- {migration.name}\n{migration.sql}{_stamp(migration)}" for migration in MIGRATIONS
    )
    return f"BEGIN IMMEDIATE;\n{steps}COMMIT;\n"


def installation(session: Session) -> str:
    return str(session.row(_INSTALLATION)[0])


def schema_version(session: Session) -> int:
    """Raises ``SchemaError`` for a table ``meta`` that is not Elihu's."""
    columns = [column for (column,) in session.rows(_META_COLUMNS)]
    if not columns:
        return 0
    if columns == ["key", "value"]:
        found: dict[str, str] = dict(session.rows(_META))
        version = found.get("schema_version", "")
        if version.isascii() and version.isdigit() and "installation_id" in found:
            return int(version)
    raise _foreign("meta")


def migrate(session: Session) -> list[int]:
    with session.write():
        present = schema_version(session)
        check_not_newer(present)
        missing = [migration for migration in MIGRATIONS if migration.version > present]
        for migration in missing:
            _apply(session, migration)
    return [migration.version for migration in missing]


def check_schema(session: Session) -> None:
    present = schema_version(session)
    if present == 0:
        migrate(session)
        return
    check_not_newer(present)
    if present < NEWEST:
        raise SchemaOutdated(
            f"expected tables of version {NEWEST}, got version {present}: run elihu migrate"
        )


def check_not_newer(present: int) -> None:
    """Raise ``SchemaTooNew`` for tables that are newer than this code."""
    if present > NEWEST:
        raise SchemaTooNew(
            f"expected tables of version {NEWEST} or older, got version {present}: they were made "
            "by a newer Elihu"
        )


def _stamp(migration: Migration) -> str:
    return f"""INSERT INTO meta (key, value) VALUES ('schema_version', '{migration.version}')
ON CONFLICT (key) DO UPDATE SET value = excluded.value;
"""


def _apply(session: Session, migration: Migration) -> None:
    """Execute statement by statement, since executescript() commits first."""
    text = ""
    try:
        for line in f"{migration.sql}{_stamp(migration)}".splitlines(keepends=True):
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
