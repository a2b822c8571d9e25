"""A database for one test: an SQLite file, or a schema of PostgreSQL, with a clock that
the test moves.
"""

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from elihu.clock import TEST_FILES, TEST_SCHEMAS
from elihu.config import load_config
from elihu.engines.select import driver_connection
from elihu.errors import ConfigError
from elihu.testing.clock import FakeClock

SCHEMA: Final = "elihu_test"
_PREFIX: Final = "sqlite:///"
_SESSION: Final = secrets.token_hex(4)
_used: Final[set[int]] = set()
"""The numbers of the schemas that exist. A number that is free again is taken again, so
that statements are read once for many tests.
"""

_MAKE: Final = """
CREATE SCHEMA "{schema}";
CREATE TABLE "{schema}".test_clock (at timestamptz);
INSERT INTO "{schema}".test_clock VALUES (NULL);
CREATE FUNCTION "{schema}".now() RETURNS timestamptz LANGUAGE sql STABLE
  AS $$ SELECT coalesce(at, pg_catalog.now()) FROM "{schema}".test_clock $$;
CREATE FUNCTION "{schema}".statement_timestamp() RETURNS timestamptz LANGUAGE sql STABLE
  AS $$ SELECT coalesce(at, pg_catalog.statement_timestamp()) FROM "{schema}".test_clock $$;
CREATE FUNCTION "{schema}".clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE
  AS $$ SELECT coalesce(at, pg_catalog.clock_timestamp()) FROM "{schema}".test_clock $$;
"""
_MOVE: Final = "UPDATE \"{schema}\".test_clock SET at = '{at}'"
_DROP: Final = 'DROP SCHEMA IF EXISTS "{schema}" CASCADE'


@dataclass(frozen=True, slots=True)
class DatabaseOfTest:
    """Where the jobs of one test are, and their clock."""

    url: str
    schema: str
    clock: FakeClock


@contextmanager
def database_of_test(url: str) -> Iterator[DatabaseOfTest]:
    """A database of the engine of ``url``, without tables: a schema of its own in
    PostgreSQL, or a file of its own in the folder that ``url`` names. Both are
    removed at the end.
    """
    with (_sqlite if url.startswith("sqlite") else _postgres)(url) as database:
        yield database


@contextmanager
def _sqlite(url: str) -> Iterator[DatabaseOfTest]:
    if (
        not url.startswith(_PREFIX)
        or not (folder := Path(url.removeprefix(_PREFIX)).parent).is_dir()
    ):
        raise ConfigError(
            f"elihu_database_url: expected sqlite:///PATH in an existing folder, got {url!r}"
        )
    own = Path(tempfile.mkdtemp(prefix=f"{SCHEMA}_", dir=folder)).resolve()
    path = own / "elihu.db"
    clock = FakeClock(lambda _: None)
    TEST_FILES[path] = clock.unix
    try:
        yield DatabaseOfTest(f"{_PREFIX}{path}", "elihu", clock)
    finally:
        del TEST_FILES[path]
        shutil.rmtree(own, ignore_errors=True)


@contextmanager
def _postgres(url: str) -> Iterator[DatabaseOfTest]:
    number = next(number for number in range(len(_used) + 1) if number not in _used)
    schema = f"{SCHEMA}_{_SESSION}_{number}"
    _used.add(number)

    def write(moment: datetime) -> None:
        _execute(url, _MOVE.format(schema=schema, at=moment.isoformat()))

    TEST_SCHEMAS.add(schema)
    _execute(url, f"{_DROP};{_MAKE}".format(schema=schema))
    try:
        yield DatabaseOfTest(url, schema, FakeClock(write))
    finally:
        _execute(url, _DROP.format(schema=schema))
        TEST_SCHEMAS.discard(schema)
        _used.discard(number)


def _execute(url: str, script: str) -> None:
    """Execute a script from any code, also inside a running event loop."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(asyncio.run, _script(url, script)).result()


async def _script(url: str, script: str) -> None:
    config = load_config(keywords={"database_url": url}, read_files=False, read_environment=False)
    connection = await driver_connection(config)
    try:
        await connection.execute(script)
    finally:
        await connection.close()
