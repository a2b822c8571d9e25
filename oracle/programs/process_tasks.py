"""The task of the experiments that runs in a process of its own: a child imports this
module and no other of the oracle's tasks.
"""

import os
import time
from functools import cache
from pathlib import Path

from elihu import Context, Tasks
from oracle.journal import Journal

tasks = Tasks()


@cache
def journal() -> Journal:
    return Journal(Path(os.environ["ORACLE_FOLDER"]), "child")


@tasks.task(
    name="oracle.process", run_in="process", backoff=0.2, max_attempts=1_000, max_orphans=100
)
def process(
    key: str, seconds: float = 0.0, fails: int = 0, drags: float = 0.0, *, ctx: Context
) -> None:
    """Says for which node it works, and leaves it to the reader to find out of which
    claim it is, which a task does not know.
    """
    said = {"id": ctx.job.id, "key": key, "node_pid": os.getppid(), "begun": time.time()}
    journal().write("child begin", **said)
    try:
        if ctx.attempt <= fails:
            raise RuntimeError("planned")
        journal().write("child effect", **said)
        time.sleep(seconds + (drags if ctx.attempt == 1 else 0))
    finally:
        journal().write("child end", **said)
