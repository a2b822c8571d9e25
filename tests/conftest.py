"""The databases of the tests: each test gets an empty one of its own, on each engine.

ELIHU_TEST_PG picks the PostgreSQL: 18 (default) or 16. ELIHU_TEST_PG_BIN names the
folder of another server's programs instead. A worker of pytest-xdist starts a server of
its own when its first test needs one.
"""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from elihu.testing.postgres import PostgresServer

ENGINES = ("sqlite", "postgres")
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """The PostgreSQL server of this run. Tests that stop it, or need it durable, start
    one of their own.
    """
    version = int(os.environ.get("ELIHU_TEST_PG", "18"))
    with PostgresServer(
        version=version, bin_dir=os.environ.get("ELIHU_TEST_PG_BIN") or None
    ) as server:
        yield server


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of an SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'elihu.db'}"


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty PostgreSQL database, dropped after the test."""
    name = f"test_{next(_numbers)}"
    yield postgres_server.create_database(name)
    postgres_server.drop_database(name)


@pytest.fixture(params=ENGINES)
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database: the test runs once on each engine."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url
