"""The tables: version and migrations."""

import re
import sqlite3
from functools import cache
from glob import escape
from pathlib import Path
from shutil import rmtree
from typing import Final

from elihu.config.database import DEFAULT_SCHEMA, sibling_file
from elihu.engines.protocol import CORE, ChainName
from elihu.engines.schema_steps import (
    Migration,
    check_not_newer,
    check_not_older,
    load,
    meta_keys,
    missing,
)
from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.session import Session
from elihu.engines.sqlite.steps import MIGRATIONS, statements
from elihu.errors import SchemaError

_META_COLUMNS: Final = "SELECT name FROM pragma_table_info('meta')"
_META: Final = "SELECT key, value FROM meta WHERE key IN (?, ?, ?, ?)"
_EXISTS: Final = re.compile(r"(\w+) already exists|there is already \w+ \w+ named (\w+)")
_INSTALLATION: Final = statement("installation")
NEWEST: Final = MIGRATIONS[-1].version
_FILES: Final = ("", "-wal", "-shm", "-journal", "-leader.lock", "-node-*.lock")
"""How the names of a file's own files end."""
_WHERE: Final = "the database"


@cache
def _load(chain: ChainName) -> tuple[Migration, ...]:
    return load(Path(__file__).parent, chain)


def _steps(chain: ChainName) -> tuple[Migration, ...]:
    return MIGRATIONS if chain == CORE else _load(chain)


def _known(chain: ChainName) -> int:
    return NEWEST if chain == CORE else _load(chain)[-1].version


def migration_sql(schema: str, after: int = 0, chain: ChainName = CORE) -> str:
    """The migrations of a chain after a version as one script for the ``sqlite3`` shell.
    ``schema`` is ignored, since a file holds one app.
    """
    steps = "\n".join(
        f"-- {step.name}\n{step.sql}{step.stamp()}" for step in missing(_steps(chain), after)
    )
    return f"BEGIN IMMEDIATE;\n{steps}COMMIT;\n"


def installation(session: Session) -> str:
    return str(session.row(_INSTALLATION)[0])


def schemas_named(path: Path, schema: str, prefix: str) -> list[str]:
    """``path`` is the file of ``schema``."""
    begins = f"{sibling_file(path, schema, DEFAULT_SCHEMA).stem}-"
    files = path.parent.glob(f"{escape(begins + prefix)}*{escape(path.suffix)}")
    return sorted(file.stem.removeprefix(begins) for file in files)


def remove_schema(path: Path, schema: str, name: str) -> None:
    """``path`` is the file of ``schema``."""
    file = sibling_file(path, schema, name)
    for ending in _FILES:
        for each in file.parent.glob(f"{escape(file.name)}{ending}"):
            each.unlink(missing_ok=True)
    rmtree(file.with_name(f"{file.name}-wake"), ignore_errors=True)


def schema_version(session: Session, chain: ChainName = CORE) -> int:
    return _stored(session, chain)[0]


def migrate(session: Session, chain: ChainName = CORE) -> list[int]:
    if chain != CORE:
        migrate(session)
    with session.write():
        version, readable_from = _stored(session, chain)
        check_not_newer(_WHERE, version, readable_from, _known(chain))
        steps = missing(_steps(chain), version)
        for step in steps:
            _apply(session, step)
    return [step.version for step in steps]


def check_schema(session: Session, chain: ChainName = CORE) -> None:
    version, readable_from = _stored(session, chain)
    if version == 0 and chain == CORE:
        migrate(session)
        return
    check_not_older(_WHERE, version, _known(chain), chain)
    check_not_newer(_WHERE, version, readable_from, _known(chain))


def _stored(session: Session, chain: ChainName) -> tuple[int, int | None]:
    """The version of the chain's tables, 0 without tables, and that of the code they need.
    Raises ``SchemaError`` for a table ``meta`` that is not Elihu's.
    """
    columns = {column for (column,) in session.rows(_META_COLUMNS)}
    if not columns:
        return 0, None
    if {"key", "value"} <= columns:
        version_key, readable_key = meta_keys(chain)
        keys = ("schema_version", "installation_id", version_key, readable_key)
        found: dict[str, str] = dict(session.rows(_META, keys))
        core = found.get("schema_version", "")
        if core.isascii() and core.isdigit() and "installation_id" in found:
            needed = found.get(readable_key)
            return int(found.get(version_key, 0)), None if needed is None else int(needed)
    raise _foreign("meta")


def _apply(session: Session, migration: Migration) -> None:
    """Execute statement by statement, since executescript() commits first."""
    try:
        for text in statements(migration, ""):
            session.execute(text)
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
