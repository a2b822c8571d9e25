"""The fixtures of all tests, and which of them run."""

import gc
import logging
import os
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")  # a busy machine may take its time for an example

pytest_plugins = ["elihu.testing.plugin", "tests.fixtures.databases", "tests.fixtures.programs"]


def pytest_configure(config: pytest.Config) -> None:
    """The programs of tests write no compiled modules: a test may write a module twice
    within the second that would tell them apart.
    """
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


@pytest.fixture(autouse=True)
def log_level() -> Iterator[None]:
    """A test that leaves another level would silence the log of later ones."""
    logger = logging.getLogger("elihu")
    level = logger.level
    yield
    assert logger.level == level


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked ``more`` take long, and those marked ``sqlite_first`` do the same on each
    engine. They run with ``script/test --more``, the latter on PostgreSQL.
    """
    if os.environ.get("ELIHU_TEST_MORE"):
        return
    config.hook.pytest_deselected(items=[item for item in items if _is_for_later(item)])
    items[:] = [item for item in items if not _is_for_later(item)]


def _is_for_later(item: pytest.Item) -> bool:
    if item.get_closest_marker("sqlite_first"):
        callspec = getattr(item, "callspec", None)
        if callspec and "postgres" in callspec.params.values():
            return True
    return item.get_closest_marker("more") is not None


def pytest_collection_finish() -> None:
    """Compiled modules of tests have been written, which halves the next collection. The
    garbage collector looks no more at what was imported.
    """
    sys.dont_write_bytecode = True
    gc.collect()
    gc.freeze()
