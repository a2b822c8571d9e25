"""Every setting and the check of its value. The defaults are in ``model.py``."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from elihu.config.checks import (
    Check,
    any_case,
    duration,
    flag,
    hidden,
    matching,
    name,
    one_of,
    size,
    slots,
    texts,
    whole,
)
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

_VARIABLE: Final = "[A-Za-z_][A-Za-z0-9_]*"

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
        "queues": Named(slots),
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
        "secret_key": hidden(
            matching(r"[\x21-\x7e]+([\s,]+[\x21-\x7e]+)*", "keys of elihu commands rotate-key")
        ),
        "secret_key_file": name,
        "web": Table(
            {
                "host": matching(r"[0-9A-Za-z.:_-]{1,200}", "an address or a host name"),
                "port": whole(0, 65_535),
                "unix": name,
                "root_path": matching(
                    r"(/[0-9A-Za-z._~-]+)*", 'a path such as "/elihu", without "/" at its end'
                ),
                "allowed_hosts": texts(
                    r"[0-9A-Za-z._-]{1,200}|\[[0-9a-fA-F:.]+\]",
                    'a list of host names without ports, such as ["jobs.example.org"]',
                ),
                "trusted_proxies": texts(
                    r"[0-9a-fA-F.:]+(/[0-9]{1,3})?|unix",
                    'a list of addresses or networks, such as ["10.0.0.0/8"], or "unix"',
                ),
                "read_only": flag,
            }
        ),
        "commands": Table(
            {
                "slots": whole(1, 10_000),
                "quiet": duration(0, 365 * 24 * HOUR),
                "late_after": duration(1, 365 * 24 * HOUR),
                "retention": duration(60, CENTURY),
                "retention_runs": whole(1, 1_000_000),
                "allow_variables": texts(
                    _VARIABLE, 'a list of names of variables, such as ["PATH", "PYTHONPATH"]'
                ),
                "pass_environment": texts(
                    _VARIABLE, 'a list of names of variables, such as ["SSH_AUTH_SOCK"]'
                ),
                "private_targets": flag,
                "smtp_host": name,
                "smtp_port": whole(1, 65_535),
                "smtp_user": name,
                "smtp_password": hidden(name),
                "smtp_from": name,
                "smtp_security": one_of("starttls", "tls", "none"),
            }
        ),
        "log_level": any_case(one_of("debug", "info", "warning", "error", "critical")),
        "log_format": one_of("text", "json"),
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
