"""The processes that a task started, and their end."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

MARK: Final = "ELIHU_STARTED_BY"
"""The environment variable that programs inherit from the job that started them."""

ROUNDS: Final = 20
"""How often the processes are listed until none is left: one may start another between
the list and its end.
"""

_PROC: Final = Path("/proc")
_PARENT, _SESSION, _STARTED = 1, 3, 19
"""Places in ``/proc/PID/stat`` behind the name of the program."""


class ProcessInfo(NamedTuple):
    """A process: its parent, its session, and the clock tick of its start."""

    pid: int
    parent: int
    session: int
    started: int


def processes() -> list[ProcessInfo]:
    """Every living process, none where the system has no ``/proc``."""
    return [info for pid in _pids() if (info := process_info(pid)) is not None]


def process_info(pid: int) -> ProcessInfo | None:
    """The process with this id, None where there is none or it has ended."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    if fields[0] in {"Z", "X"}:
        return None
    return ProcessInfo(pid, int(fields[_PARENT]), int(fields[_SESSION]), int(fields[_STARTED]))


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
    if not _PROC.joinpath("self").exists():
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


def _pids() -> Iterator[int]:
    with suppress(FileNotFoundError):
        for entry in _PROC.iterdir():
            if entry.name.isdecimal():
                yield int(entry.name)


def _mark_of(pid: int) -> str | None:
    """The mark that a program inherited, None where it has none."""
    try:
        environment = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return None
    start = f"{MARK}=".encode()
    for each in environment.split(b"\0"):
        if each.startswith(start):
            return each[len(start) :].decode(errors="replace")
    return None
