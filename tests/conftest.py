"""The fixtures of all tests, and which of them run."""

import os

import pytest

# A test may write a module twice within the second that a compiled one would tell.
os.environ["PYTHONDONTWRITEBYTECODE"] = "1"

pytest_plugins = ["elihu.testing.plugin", "tests.fixtures.databases", "tests.fixtures.programs"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked ``more`` take long. They run with ``script/test --more``."""
    if os.environ.get("ELIHU_TEST_MORE"):
        return
    long = [item for item in items if item.get_closest_marker("more")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
