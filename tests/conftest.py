"""The fixtures of all tests."""

pytest_plugins = ["tests.fixtures.databases"]
