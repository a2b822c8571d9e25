"""A cgroup of version 2 for one command, where the node may make one: its kill reaches
processes that fork faster than they can be listed.
"""

import os
import time
from contextlib import suppress

PREFIX = "elihu-"
TRIES = 25
PAUSE = 0.01
"""Seconds between two tries to remove a cgroup: a killed process takes a moment."""
STALE = 60.0
"""Seconds after which an empty cgroup belongs to no command: its supervisor died."""


class Cgroup:
    """A new cgroup under that of this process. ``path`` is None where none can be made,
    and without a name.
    """

    def __init__(self, name: str | None) -> None:
        self.path = _make(name) if name else None

    def enter(self) -> None:
        """Put this process into it. Raises ``OSError``."""
        if self.path:
            _write(f"{self.path}/cgroup.procs", b"0")

    def kill(self) -> None:
        """Kill all that is in it."""
        if self.path:
            kill(self.path)

    def remove(self) -> None:
        """Remove it; what still lives in it goes to the cgroup above."""
        if self.path:
            remove(self.path)


def kill(path: str) -> None:
    """Kill all that is in the cgroup."""
    with suppress(OSError):
        _write(f"{path}/cgroup.kill", b"1")


def remove(path: str) -> None:
    """Remove the cgroup; what still lives in it goes to the cgroup above. Removes those
    too that a killed supervisor has left empty.
    """
    parent = os.path.dirname(path)
    for _ in range(TRIES):
        try:
            with open(f"{path}/cgroup.procs", "rb") as file:
                pids = file.read().split()
        except OSError:
            break
        for pid in pids:
            with suppress(OSError):
                _write(f"{parent}/cgroup.procs", pid)
        with suppress(OSError):
            os.rmdir(path)
            break
        time.sleep(PAUSE)
    _sweep(parent)


def _sweep(parent: str) -> None:
    with suppress(OSError):
        for name in os.listdir(parent):
            path = f"{parent}/{name}"
            with suppress(OSError):
                if name.startswith(PREFIX) and os.stat(path).st_mtime < time.time() - STALE:
                    os.rmdir(path)  # fails where something lives in it


def path_of(name: str) -> str | None:
    """Where a process in this cgroup makes that of a command, None where it cannot."""
    try:
        parent = _own()
    except (OSError, IndexError):
        return None
    return f"{parent}/{PREFIX}{name}" if parent else None


def _make(name: str) -> str | None:
    path = path_of(name)
    try:
        if path is None:
            return None
        os.mkdir(path)
    except OSError:
        return None
    if os.access(f"{path}/cgroup.kill", os.W_OK) and os.access(f"{path}/cgroup.procs", os.W_OK):
        return path
    os.rmdir(path)
    return None


def _own() -> str | None:
    """The folder of the cgroup of this process, None where version 2 is not mounted."""
    with open("/proc/self/cgroup", "rb") as file:
        own = next((line[3:] for line in file.read().splitlines() if line.startswith(b"0::")), None)
    with open("/proc/self/mountinfo", "rb") as file:
        mounts = [line.split() for line in file if b" - cgroup2 " in line]
    if own is None or not mounts:
        return None
    root, place = mounts[0][3], mounts[0][4]
    inside = own.removeprefix(root) if root != b"/" else own
    return os.fsdecode(place + (b"" if inside == b"/" else inside))


def _write(path: str, text: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text)
    finally:
        os.close(descriptor)
