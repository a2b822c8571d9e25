"""The process between a `PostgresServer` and PostgreSQL. It stops the server when its
parent ends in any way, `kill -9` included.

It is run by its path with the standard library alone, in its own session. Its argument
is a JSON object (see `Settings`). It reads one command a line from standard input and
answers each with one line:

    start                 run initdb if the data folder is empty, then PostgreSQL;
                          answers "running PID" or "failed REASON"
    poll                  answers "running PID" or "exited STATUS"
    stop fast|immediate   answers "exited STATUS"

At the end of its input, or of its parent, it stops PostgreSQL and deletes the temporary
folder. It watches both: a forked child, or a process left behind by a command run by
`os.exec*`, may hold the input open.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, TypedDict

LOCK_TIMEOUT = 20.0
PARENT_INTERVAL = 0.2
PR_SET_PDEATHSIG = 1


class Settings(TypedDict):
    """The commands to run, their user (None: the current one), and the folders."""

    initdb: list[str]
    postgres: list[str]
    user: str | None
    data: str
    log: str
    remove: str
    keeps_data: bool


class Guard:
    """Starts and stops one PostgreSQL server on commands of its parent process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._parent = os.getppid()
        self._server: subprocess.Popen[bytes] | None = None
        self._lock: int | None = None

    def run(self) -> None:
        try:
            self._serve()
        finally:
            self._stop("fast" if self._settings["keeps_data"] else "immediate")
            shutil.rmtree(self._settings["remove"], ignore_errors=True)

    def _serve(self) -> None:
        pending = b""
        while os.getppid() == self._parent:
            if not select.select([0], [], [], PARENT_INTERVAL)[0]:
                continue
            chunk = os.read(0, 4096)
            if not chunk:
                return
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                os.write(1, f"{self._answer(line.decode())}\n".encode())

    def _answer(self, command: str) -> str:
        match command.split():
            case ["start"]:
                return self._start()
            case ["poll"]:
                return self._state()
            case ["stop", mode]:
                self._stop(mode)
                return self._state()
        return f"failed unknown-command-{command}"

    def _start(self) -> str:
        if not self._take_lock():
            return "failed locked"
        with Path(self._settings["log"]).open("ab") as log:
            options = self._child_options(log)
            if not Path(self._settings["data"], "PG_VERSION").exists():
                status = subprocess.run(self._settings["initdb"], check=False, **options).returncode
                if status != 0:
                    return f"failed {status}"
            self._server = subprocess.Popen(
                self._settings["postgres"], preexec_fn=die_with_parent, **options
            )
        return f"running {self._server.pid}"

    def _take_lock(self) -> bool:
        """Wait for the guard of an earlier run, which may still be stopping its server
        on the same data.
        """
        if self._lock is None:
            self._lock = os.open(self._settings["data"], os.O_RDONLY)
        deadline = time.monotonic() + LOCK_TIMEOUT
        while time.monotonic() < deadline:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(0.1)
            else:
                return True
        return False

    def _child_options(self, log: Any) -> dict[str, Any]:
        options: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": log,
            "stderr": log,
            "cwd": "/",
        }
        user = self._settings["user"]
        if user is not None:
            options |= {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}
        return options

    def _state(self) -> str:
        if self._server is None:
            return "exited none"
        status = self._server.poll()
        return f"running {self._server.pid}" if status is None else f"exited {status}"

    def _stop(self, mode: str) -> None:
        if self._server is None:
            return
        steps = [(signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0)]
        if mode == "fast":
            steps.insert(0, (signal.SIGINT, 30.0))
        for number, timeout in steps:
            if self._server.poll() is not None:
                return
            self._server.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._server.wait(timeout)


def die_with_parent() -> None:
    """On Linux, stop PostgreSQL even if the guard itself is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGINT)


def main() -> None:
    """Serve commands until the parent ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(
            number, lambda *_: None
        )  # a handler, unlike SIG_IGN, is not inherited by PostgreSQL
    Guard(json.loads(sys.argv[1])).run()


if __name__ == "__main__":
    main()
