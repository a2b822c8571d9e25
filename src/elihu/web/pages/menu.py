"""What the menu counts, and the names of nodes: read once in two seconds for all pages."""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from elihu.web.context import Context
from elihu.web.pages.texts import bounded
from elihu.web.reads.overview import MOST, active_counts, count_commands

KEPT: Final = 2.0
"""Seconds for which the counts are believed."""


@dataclass(frozen=True, slots=True)
class Menu:
    """``counts`` has a text and a look by path; ``nodes`` has a name by id."""

    counts: dict[str, tuple[str, str]] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    until: float = 0.0


async def menu_of(context: Context) -> Menu:
    """The counts of an application, at most two seconds old."""
    known = context.menu
    if not isinstance(known, Menu) or time.monotonic() > known.until:
        known = context.menu = await _read(context)
    return known


async def _read(context: Context) -> Menu:
    async with context.sessions.read() as session:
        commands = await count_commands(session)
        active = await active_counts(session)
    queues = await context.app.queues.list(most=1)
    nodes = await context.app.nodes.list()
    moving = active["running"] + active["retrying"]
    paused = sum(queue.paused for queue in queues)
    executing = sum(queue.executing for queue in queues)
    found = {
        "/commands": (bounded(min(commands, MOST), commands > MOST), "") if commands else None,
        "/runs": (bounded(moving, moving >= MOST), "run") if moving else None,
        "/jobs": (f"{executing:,}", "") if executing else None,
        "/queues": (f"{paused:,} paused", "warn") if paused else None,
        "/nodes": (f"{len(nodes):,}", "") if nodes else ("none", "bad"),
    }
    names = Counter(node.name for node in nodes)
    return Menu(
        {path: count for path, count in found.items() if count is not None},
        {
            node.id: node.name if names[node.name] == 1 else f"{node.name} {node.id[:4]}"
            for node in nodes
        },
        time.monotonic() + KEPT,
    )
