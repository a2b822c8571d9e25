"""The task of the experiments that runs in a process. The child process imports this
module and none of the oracle's other tasks.
"""

import ctypes
import os
import signal
import subprocess
import time
from contextlib import suppress
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
    """Write for which node the task runs. The claim is not known here; the gathering
    finds it.
    """
    attempt = {"id": ctx.job.id, "key": key, "node_pid": os.getppid(), "begun": time.time()}
    journal().write("child begin", **attempt)
    try:
        if ctx.attempt <= fails:
            raise RuntimeError("planned")
        journal().write("child effect", **attempt)
        time.sleep(seconds + (drags if ctx.attempt == 1 else 0))
    finally:
        journal().write("child end", **attempt)


@tasks.task(
    name="oracle.program", run_in="process", backoff=0.2, max_attempts=1_000, max_orphans=100
)
def program(key: str, seconds: float = 0.0, drags: float = 0.0, *, ctx: Context) -> None:
    """Start a program through a shell and wait for a while; end the program in order if
    the attempt comes to its end.
    """
    attempt = {"id": ctx.job.id, "key": key, "node_pid": os.getppid(), "begun": time.time()}
    journal().write("child begin", **attempt)
    try:
        shell = subprocess.Popen(
            ["/bin/sh", "-c", "sleep 300 & echo $!; wait"], stdout=subprocess.PIPE, text=True
        )
        assert shell.stdout
        started = int(shell.stdout.readline())
        journal().write("program", **attempt, program=started)
        journal().write("child effect", **attempt)
        time.sleep(seconds + (drags if ctx.attempt == 1 else 0))
        for pid in (started, shell.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shell.wait()
    finally:
        journal().write("child end", **attempt)


@tasks.task(name="oracle.lock_in_process", run_in="process", max_attempts=1_000)
def lock(key: str, seconds: float, *, ctx: Context) -> None:
    """Keep the interpreter's lock: a call through ``PyDLL`` does not release it."""
    attempt = {"id": ctx.job.id, "key": key, "node_pid": os.getppid(), "begun": time.time()}
    journal().write("child begin", **attempt)
    journal().write("child effect", **attempt)
    ctypes.PyDLL(None).sleep(int(seconds))
    journal().write("child end", **attempt)
