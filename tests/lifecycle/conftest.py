"""An app that stores jobs and looks at them, and the processes that do the work."""

import importlib.util
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from elihu import Elihu
from tests.fixtures.warm import Warm
from tests.lifecycle.nodes import PROGRAMS, Processes


@pytest.fixture
async def app(database_url: str, tables: None) -> AsyncIterator[Elihu]:
    """The test's own app: it runs no node."""
    app = Elihu(database_url, call_timeout=5)
    await app.migrate()  # for a test with a server of its own
    yield app
    await app.aclose()


@pytest.fixture
async def processes(database_url: str, tmp_path: Path, warm: Warm) -> AsyncIterator[Processes]:
    """Starts processes on the test's database, and sees that none is left."""
    processes = Processes(database_url, tmp_path, warm)
    yield processes
    await processes.close()
    assert not [
        process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(tmp_path)
    ]


@pytest.fixture
def invoices(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module of the nodes, imported for this test's database."""
    monkeypatch.setenv("ELIHU_DATABASE_URL", database_url)
    name = "invoices_of_a_test"
    spec = importlib.util.spec_from_file_location(name, PROGRAMS / "invoices.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module
