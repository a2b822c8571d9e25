"""Every setting and the check of its value. The defaults are in ``model.py``."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from elihu.config.checks import Check, duration, flag, matching, name, one_of, size, whole
from elihu.config.database import check_postgresql_url, check_url

HOUR: Final = 3_600.0
CENTURY: Final = 100 * 366 * 24 * HOUR


@dataclass(frozen=True, slots=True)
class Table:
    """A table of fixed keys; levels are merged key by key."""

    keys: "Mapping[str, Node]"


@dataclass(frozen=True, slots=True)
class Named:
    """A table whose keys are the user's names. A whole table replaces that of lower
    levels.
    """

    entry: "Node"


Node = Check | Table | Named

STATES: Final = ("completed", "cancelled", "discarded")
_KEPT: Final = {state: duration(0, CENTURY) for state in STATES}

SETTINGS: Final = Table(
    {
        "database_url": check_url,
        "listen_url": check_postgresql_url,
        "schema": matching(
            "(?!pg_)[a-z_][a-z0-9_]{0,40}",
            'a name of at most 41 lower-case letters, digits and "_" that starts with no digit '
            'and not with "pg_"',
        ),
        "synchronous": one_of("full", "normal"),
        "connections": whole(1, 1_000),
        "call_timeout": duration(0.05, HOUR),
        "queues": Named(whole(1, 10_000)),
        "require_queues": flag,
        "node_name": name,
        "poll": duration(0.01, HOUR),
        "poll_fallback": duration(0.01, HOUR),
        "heartbeat": duration(0.01, HOUR),
        "dead_after": duration(0.1, 24 * HOUR),
        "lease": duration(0.1, HOUR),
        "grace": duration(0, 24 * HOUR),
        "kill_grace": duration(0, HOUR),
        "max_abandoned": whole(1, 10_000),
        "fence": one_of("tell", "cancel"),
        "max_jobs_per_child": whole(1, 10_000_000),
        "max_memory": size(16 * 2**20, 2**46),
        "max_args": size(64, 2**28),
        "max_result": size(64, 2**28),
        "stager": Table({"interval": duration(0.01, HOUR), "limit": whole(1, 100_000)}),
        "lifeline": Table({"interval": duration(0.01, HOUR), "limit": whole(1, 100_000)}),
        "pruner": Table({"interval": duration(0.01, 24 * HOUR), "limit": whole(1, 100_000)}),
        "retention": Table({**_KEPT, "queues": Named(Table(_KEPT)), "tasks": Named(Table(_KEPT))}),
        "app": matching(
            r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*",
            'text such as "package.module:attribute"',
        ),
    }
)


def known_keys(node: Node = SETTINGS, prefix: str = "") -> Iterator[str]:
    """Every key with a fixed name, in dotted form."""
    if isinstance(node, Table):
        for key, below in node.keys.items():
            yield f"{prefix}{key}"
            yield from known_keys(below, f"{prefix}{key}.")
