"""Starts processes of an experiment as forks of one that has imported everything: most
of the cost of a start is imports.

Each line on standard input is a request for one process. Lines on standard output
report which processes have started, and which have ended with which status.
"""

import asyncio
import gc
import json
import os
import random
import select
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

from elihu import failpoints
from oracle.programs import enqueuer, node, ticker, waiter

PROGRAMS: Final[dict[str, Callable[[], Coroutine[Any, Any, None]]]] = {
    "node": node.main,
    "enqueuer": lambda: enqueuer.main(enqueuer.enqueue),
    "ticker": ticker.main,
    "waiter": lambda: enqueuer.main(waiter.wait_for_all),
    # imports SQLAlchemy, which no other program needs
    "records": lambda: enqueuer.main(import_module("oracle.programs.triggers").enqueue_for_records),
}


def main() -> None:
    """Serve until the end of standard input; in a fork, run its program."""
    gc.freeze()
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    buffer = b""
    while True:
        ready, _, _ = select.select([0, read_end], [], [])
        if read_end in ready:
            os.read(read_end, 1024)
            report_ends()
        if 0 not in ready:
            continue
        data = os.read(0, 65_536)
        if not data:
            return
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            pid = os.fork()
            if pid == 0:
                run_program(request)
                return
            report({"started": pid})


def report(message: dict[str, int]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


def report_ends() -> None:
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            report({"ended": found[0], "status": os.waitstatus_to_exitcode(found[1])})


def run_program(request: dict[str, Any]) -> None:
    """Run the requested program in this fork."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number, file in enumerate((null, null, log)):
        os.dup2(file, number)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environ"])
    random.seed()
    activate(os.environ.get("ELIHU_TEST_FAILPOINT", ""))
    asyncio.run(PROGRAMS[request["program"]]())


def activate(point: str) -> None:
    """Set the failpoint that the environment would have set at the imports."""
    failpoints._name, _, number = point.partition(":")
    failpoints._left = int(number or 1)
    for module in list(sys.modules.values()):
        if getattr(module, "reach", None) is failpoints.reach:
            module.ACTIVE = point  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
