"""An app that stores jobs and looks at them, and the processes that do the work."""

from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from elihu import Elihu
from tests.lifecycle.nodes import Processes


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[Elihu]:
    """The test's own app: it runs no node."""
    app = Elihu(database_url, call_timeout=5)
    await app.migrate()
    yield app
    await app.aclose()


@pytest.fixture
async def processes(database_url: str, tmp_path: Path) -> AsyncIterator[Processes]:
    """Starts processes on the test's database, and sees that none is left."""
    processes = Processes(database_url, tmp_path)
    yield processes
    await processes.close()
    assert not [
        process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(tmp_path)
    ]
