"""What grows, and the drain that is measured at each size of it."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final

from bench.compare.servers import Server

SLOTS: Final = 100
"""The slots of each queue."""
JOBS: Final = 20_000

Drain = Callable[[], Awaitable[float]]
"""Stores jobs, drains them, and returns how many were done a second."""
At = Callable[[Server, int, int], AbstractAsyncContextManager[Drain]]
"""Makes a database in which something has a size, for drains of so many jobs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """``axis`` says what grows, with its unit, and ``about`` how it is measured. ``jobs``
    gives the jobs of a drain at a size.
    """

    name: str
    axis: str
    about: str
    sizes: tuple[int, ...]
    at: At
    jobs: Callable[[int], int] = lambda _size: JOBS
