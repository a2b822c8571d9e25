"""The fixtures of all tests, and which of them run."""

import gc
import os
import sys

import pytest

pytest_plugins = ["elihu.testing.plugin", "tests.fixtures.databases", "tests.fixtures.programs"]


def pytest_configure(config: pytest.Config) -> None:
    """The programs of tests write no compiled modules: a test may write a module twice
    within the second that would tell them apart.
    """
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked ``more`` take long. They run with ``script/test --more``."""
    if os.environ.get("ELIHU_TEST_MORE"):
        return
    long = [item for item in items if item.get_closest_marker("more")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def pytest_collection_finish() -> None:
    """Compiled modules of tests have been written, which halves the next collection. The
    garbage collector looks no more at what was imported.
    """
    sys.dont_write_bytecode = True
    gc.collect()
    gc.freeze()
