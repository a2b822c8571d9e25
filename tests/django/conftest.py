"""The tests of the project in ``project`` run in a process that has Django set up."""

from pathlib import Path

import pytest

collect_ignore = ["project"]


@pytest.fixture
def database(database_url: str, tmp_path: Path) -> str:
    """A database of each engine, as the settings of the project take it."""
    if database_url.startswith("postgresql"):
        return database_url
    return str(tmp_path / "shop.db")
