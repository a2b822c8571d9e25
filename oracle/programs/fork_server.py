"""Starts processes of an experiment as forks of one that has imported everything: most
of what a start costs is imports.

Each line on standard input asks for one; lines on standard output say which have
started and which have ended, and how.
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
from typing import Any, Final

from elihu import failpoints
from oracle.programs import enqueuer, node, waiter

PROGRAMS: Final[dict[str, Callable[[], Coroutine[Any, Any, None]]]] = {
    "node": node.main,
    "producer": lambda: enqueuer.main(enqueuer.produce),
    "waiter": lambda: enqueuer.main(waiter.wait_for_all),
}


def main() -> None:
    """Serve until the end of standard input; in a fork, run its program."""
    gc.freeze()
    wake, ring = os.pipe()
    os.set_blocking(ring, False)
    signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    buffer = b""
    while True:
        ready, _, _ = select.select([0, wake], [], [])
        if wake in ready:
            os.read(wake, 1024)
            tell_ends()
        if 0 not in ready:
            continue
        data = os.read(0, 65_536)
        if not data:
            return
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            asked = json.loads(line)
            pid = os.fork()
            if pid == 0:
                become(asked)
                return
            say({"started": pid})


def say(told: dict[str, int]) -> None:
    os.write(1, json.dumps(told).encode() + b"\n")


def tell_ends() -> None:
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            say({"ended": found[0], "status": os.waitstatus_to_exitcode(found[1])})


def become(asked: dict[str, Any]) -> None:
    """Run the program that was asked for, in this fork."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for number, file in enumerate((nowhere, nowhere, log)):
        os.dup2(file, number)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environ"])
    random.seed()
    activate(os.environ.get("ELIHU_TEST_FAILPOINT", ""))
    asyncio.run(PROGRAMS[asked["program"]]())


def activate(point: str) -> None:
    """Put in the fail point that would have been there if the environment had said so
    at the imports.
    """
    failpoints._name, _, number = point.partition(":")
    failpoints._left = int(number or 1)
    for module in list(sys.modules.values()):
        if getattr(module, "reach", None) is failpoints.reach:
            module.ACTIVE = point  # type: ignore[attr-defined]


if __name__ == "__main__":
    main()
