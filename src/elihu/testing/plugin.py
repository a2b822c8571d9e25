"""The pytest plugin, loaded by its entry point wherever Elihu is installed.

It needs no plugin for asynchronous tests, and works with pytest-asyncio and anyio.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from elihu.testing.app import AppUnderTest


@pytest.fixture(scope="session")
def elihu_database_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The engine of the tests: a file of SQLite. Override it to name a database of
    PostgreSQL, in which each test gets a schema of its own.
    """
    return f"sqlite:///{tmp_path_factory.mktemp('elihu')}/elihu.db"


@pytest.fixture
def elihu_settings() -> Mapping[str, Any]:
    """Keywords of ``Elihu`` for ``elihu_app``. Override it to set some."""
    return {}


@pytest.fixture
def elihu_app(
    elihu_database_url: str, elihu_settings: Mapping[str, Any]
) -> "Iterator[AppUnderTest]":
    """A new app on a database of its own, with helpers. It reads neither the environment
    nor files.
    """
    from elihu.testing.app import AppUnderTest
    from elihu.testing.databases import database_of_test

    with database_of_test(elihu_database_url) as database:
        app = AppUnderTest(database, **elihu_settings)
        try:
            yield app
        finally:
            app.close()
