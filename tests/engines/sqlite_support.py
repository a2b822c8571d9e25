"""What the tests of the SQLite engine share."""

import subprocess
import sys
import textwrap
from pathlib import Path


def outcome(script: str, path: Path) -> subprocess.Popen[str]:
    """Another process with an engine on the database; ``script`` is the body of a
    coroutine.
    """
    program = f"""
import asyncio, os, sys
from elihu.config import Config
from elihu.engines.sqlite.engine import SqliteEngine
from elihu.job import *
from elihu.telemetry.bus import Bus

async def main():
    engine = SqliteEngine(Config(database_url="sqlite:///{path}"), Bus())
    await engine.open()
{textwrap.indent(textwrap.dedent(script), "    ")}

asyncio.run(main())
"""
    return subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
