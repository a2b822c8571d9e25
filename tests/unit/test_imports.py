"""A program that only enqueues jobs starts fast: what an import loads."""

import subprocess
import sys

NOT_LOADED = {
    "asyncpg", "aiosqlite", "click", "elihu.runtime.node", "elihu.runtime.queue.producer", "rich",
    "sqlalchemy", "uvloop",
}  # fmt: skip


def loaded(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
    )
    return set(done.stdout.split())


def test_the_package_loads_nothing_of_its_own() -> None:
    assert {name for name in loaded("import elihu") if name.startswith("elihu")} == {"elihu"}


def test_an_app_loads_neither_a_node_nor_a_driver() -> None:
    found = loaded("from elihu import Elihu; Elihu('sqlite:///never.db')")
    assert "elihu.app" in found
    assert found & NOT_LOADED == set()
