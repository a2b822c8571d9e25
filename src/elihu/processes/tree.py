"""The processes that a task started, and their end."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from elihu.processes.proc import PROC, has_proc, processes

MARK: Final = "ELIHU_STARTED_BY"
"""The environment variable that programs inherit from the job that started them."""

ROUNDS: Final = 20
"""How often the processes are listed until none is left: one may start another between
the list and its end.
"""


def started_by(mark: str, session: int, since: int, spare: frozenset[int]) -> list[int]:
    """The processes that the job with this mark started: those that inherited the mark,
    those of the session that began at tick ``since`` or later, and what these started.
    """
    known = {each.pid: each for each in processes() if each.pid not in spare}
    found = set()
    for pid, each in known.items():
        own = _mark_of(pid)
        in_session = each.session == session and each.started >= since
        if own == mark or (own is None and in_session):
            found.add(pid)
    while more := {pid for pid, each in known.items() if pid not in found and each.parent in found}:
        found |= more
    return sorted(found)


def kill_started_by(mark: str, session: int, since: int, spare: frozenset[int]) -> None:
    """Kill them all. Without ``/proc``, kill the process group ``session``."""
    if not has_proc():
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(session, signal.SIGKILL)
        return
    for _ in range(ROUNDS):
        left = started_by(mark, session, since, spare)
        if not left:
            return
        for pid in left:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _mark_of(pid: int) -> str | None:
    """The mark that a program inherited, None where it has none."""
    try:
        environment = Path(PROC, str(pid), "environ").read_bytes()
    except OSError:
        return None
    start = f"{MARK}=".encode()
    for each in environment.split(b"\0"):
        if each.startswith(start):
            return each[len(start) :].decode(errors="replace")
    return None
