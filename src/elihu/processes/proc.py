"""What ``/proc`` knows of processes.

It imports almost nothing, since the supervisor of a command has to start fast.
"""

import os

PROC = "/proc"
TICKS = os.sysconf("SC_CLK_TCK")
"""Clock ticks in a second."""
PAGE = os.sysconf("SC_PAGE_SIZE")


class ProcessStat:
    """One living process.

    ``started`` is a clock tick since the start of the machine. ``cpu_ticks`` counts the
    process and its ended children. ``memory`` is what is resident, in bytes.
    """

    __slots__ = ("cpu_ticks", "group", "memory", "parent", "pid", "session", "started")

    def __init__(self, pid: int, fields: list[bytes]) -> None:
        self.pid = pid
        self.parent = int(fields[1])
        self.group = int(fields[2])
        self.session = int(fields[3])
        self.cpu_ticks = sum(map(int, fields[11:15]))
        self.started = int(fields[19])
        self.memory = int(fields[21]) * PAGE


def read_stat(pid: int) -> ProcessStat | None:
    """The process with this id, None where there is none or it has ended."""
    try:
        descriptor = os.open(f"{PROC}/{pid}/stat", os.O_RDONLY)
    except OSError:
        return None
    try:
        # The name of the program, in parentheses, may hold any character.
        fields = os.read(descriptor, 4_096).rpartition(b")")[2].split()
        return None if fields[0] in {b"Z", b"X"} else ProcessStat(pid, fields)
    except (OSError, ValueError, IndexError):
        return None
    finally:
        os.close(descriptor)


def processes() -> list[ProcessStat]:
    """Every living process, none where the system has no ``/proc``."""
    try:
        names = os.listdir(PROC)
    except OSError:
        return []
    return [each for name in names if name.isdecimal() and (each := read_stat(int(name)))]


def has_proc() -> bool:
    """Whether the system has ``/proc``."""
    return os.path.exists(f"{PROC}/self")


def descendants(ancestor: int) -> list[ProcessStat]:
    """The living processes that ``ancestor`` started, and those that these started."""
    by_parent: dict[int, list[ProcessStat]] = {}
    for each in processes():
        by_parent.setdefault(each.parent, []).append(each)
    found: list[ProcessStat] = []
    parents = [ancestor]
    while parents:
        children = by_parent.pop(parents.pop(), [])
        found += children
        parents += [child.pid for child in children]
    return found
