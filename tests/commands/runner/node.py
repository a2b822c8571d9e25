"""A program that runs one command and says when it began: a node for tests that kill it.

Arguments: the text of the command, its kill_grace and timeout, and ``fork`` for a process that it
forks, which inherits its sockets and outlives it.
"""

import asyncio
import os
import sys
import threading

from elihu.commands.runner import RunSpec, run
from tests.commands.runner.support import KeptOutput


async def main() -> None:
    text, grace, timeout, *forks = sys.argv[1:]
    sink = KeptOutput()
    spec = RunSpec(
        text=text,
        timeout=float(timeout),
        kill_grace=float(grace),
        variables={"NODE_MARK": os.environ["NODE_MARK"]},
    )
    running = asyncio.create_task(run(spec, sink))
    await sink.until(b"ready")
    if forks and os.fork() == 0:
        threading.Event().wait(20)
        os._exit(0)
    print("ready", flush=True)
    await running


asyncio.run(main())
