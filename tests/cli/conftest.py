"""Fixtures for command-line tests."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.shell import Shell
from tests.fixtures.databases import with_tables
from tests.fixtures.warm import Warm


@pytest.fixture
def postgres_url(request: pytest.FixtureRequest) -> str:
    return with_tables(request, "emptied_postgres_url")


@pytest.fixture
def bare(tmp_path: Path, warm: Warm) -> Iterator[Shell]:
    """A shell with default settings."""
    folder = tmp_path / "app"
    folder.mkdir()
    shell = Shell(
        folder,
        {
            **{name: value for name, value in os.environ.items() if not name.startswith("ELIHU_")},
            "ELIHU_WEB__PORT": "0",
        },
        warm,
    )
    yield shell
    shell.close()


@pytest.fixture
def shell(bare: Shell, database_url: str) -> Shell:
    """A shell with an empty database, once on each engine."""
    bare.environ["ELIHU_DATABASE_URL"] = database_url
    return bare


@pytest.fixture
def shop(shell: Shell, tables: None) -> Shell:
    """A shell with migrated tables and an app with tasks."""
    shell.environ["ELIHU_APP"] = "shop:app"
    return shell
