"""A program that only enqueues jobs starts fast, and an idle node is small: what they load."""

import subprocess
import sys
import tempfile

import pytest

NEVER_USED = {
    "cron_descriptor", "jsonschema_rs", "multiprocessing", "prometheus_client", "rich",
    "sqlalchemy", "tomllib", "yaml",
}  # fmt: skip
"""Modules that neither needs."""
NOT_LOADED = NEVER_USED | {
    "aiosqlite", "asyncpg", "click", "elihu.runtime.node", "elihu.runtime.queue.producer",
    "email", "importlib.resources", "sqlite3", "tempfile", "uvloop", "zipfile",
}  # fmt: skip
SQLITE = {"sqlite3", "elihu.engines.sqlite"}
POSTGRES = {"asyncpg", "elihu.engines.postgres"}
NODE = """
import asyncio, sys
from elihu import Elihu
app = Elihu(sys.argv[1], schema=sys.argv[2])
@app.task(name="t")
async def t(x: float) -> None: ...
async def run():
    async with app.running():
        print(*sys.modules)
asyncio.run(run())
"""


def loaded(code: str, *arguments: str) -> set[str]:
    """The modules that a program prints, in a folder without a file of settings."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
        cwd=tempfile.gettempdir(),
    )
    return set(done.stdout.split())


def loaded_by(code: str) -> set[str]:
    return loaded(f"{code}\nimport sys; print(*sys.modules)")


def test_the_package_loads_nothing_of_its_own() -> None:
    assert {name for name in loaded_by("import elihu") if name.startswith("elihu")} == {"elihu"}


def test_an_app_loads_neither_a_node_nor_a_driver() -> None:
    found = loaded_by("from elihu import Elihu; Elihu('sqlite:///never.db')")
    assert "elihu.app" in found
    assert found & NOT_LOADED == set()


@pytest.mark.usefixtures("tables")
def test_a_node_loads_what_its_engine_and_tasks_use(database_url: str, schema: str) -> None:
    found = loaded(NODE, database_url, schema)
    own, other = (SQLITE, POSTGRES) if database_url.startswith("sqlite") else (POSTGRES, SQLITE)
    assert {"elihu.runtime.node", *own} <= found
    assert found & (NEVER_USED | other) == set()
