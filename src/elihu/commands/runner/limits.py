"""What a command may use: memory and processor time of all its processes, open files of
each one.
"""

import os
import resource

from elihu.commands.runner.order import Order
from elihu.processes.proc import TICKS, descendants

LOOK = 0.05
"""Seconds between two looks at what the processes use."""

MEMORY_MARGIN = (4, 2**30)
"""A process that takes memory faster than it is looked at is refused more than this
multiple of the limit and this sum. It counts what is reserved, of which some programs
reserve much and use little.
"""
CPU_MARGIN = 2


def apply(order: Order) -> None:
    """Set the limits of this process, which its children inherit. Raises ``OSError``
    and ``ValueError``.
    """
    if order.open_files is not None:
        _set(resource.RLIMIT_NOFILE, order.open_files)
    if order.memory_limit is not None:
        times, more = MEMORY_MARGIN
        _set(resource.RLIMIT_DATA, order.memory_limit * times + more)
    if order.cpu_seconds is not None:
        _set(resource.RLIMIT_CPU, order.cpu_seconds + CPU_MARGIN)


class Limits:
    """Watches what all processes of the command use together."""

    def __init__(self, order: Order) -> None:
        self._memory = order.memory_limit
        self._cpu = order.cpu_seconds

    @property
    def watched(self) -> bool:
        """Whether there is something to watch."""
        return self._memory is not None or self._cpu is not None

    def excess(self) -> str | None:
        """What is over its limit, None where nothing is."""
        living = descendants(os.getpid())
        memory = sum(each.memory for each in living)
        if self._memory is not None and memory > self._memory:
            return f"used {_mib(memory)} of memory, memory_limit is {_mib(self._memory)}"
        if self._cpu is not None:
            cpu = cpu_time() + sum(each.cpu_ticks for each in living) / TICKS
            if cpu > self._cpu:
                return f"used {cpu:.1f} s of processor time, cpu_seconds is {self._cpu:,}"
        return None


def cpu_time() -> float:
    """The processor seconds of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def peak_memory() -> int:
    """The most bytes that one of the processes that have ended had resident."""
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return peak if os.uname().sysname == "Darwin" else peak * 1_024


def _set(kind: int, limit: int) -> None:
    """Lower a limit, but never raise it over the one that is there."""
    highest = resource.getrlimit(kind)[1]
    value = limit if highest == resource.RLIM_INFINITY else min(limit, highest)
    resource.setrlimit(kind, (value, value))


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
