"""The setting ``ELIHU``, and the URL of the database that it names."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote, urlencode

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils.connection import ConnectionDoesNotExist

from elihu import ConfigError

MEMORY: Final = "sqlite:///:memory:"
"""The URL of jobs that only Django's own connection reaches, as in most tests on SQLite."""

_OWN: Final = {"database", "join_transactions"}
_OF_LIBPQ: Final = (
    "channel_binding",
    "connect_timeout",
    "gssencmode",
    "gsslib",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "options",
    "passfile",
    "service",
    "sslcert",
    "sslcrl",
    "sslkey",
    "sslmode",
    "sslpassword",
    "sslrootcert",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "target_session_attrs",
    "tcp_user_timeout",
)
"""Entries of ``OPTIONS`` that Elihu's own connections need too. The others are for
Django's.
"""


class ProjectSettings(NamedTuple):
    """``settings.ELIHU``: the alias of the database, whether jobs join transactions, and
    the keywords of ``Elihu``.
    """

    database: str
    join_transactions: bool
    keywords: dict[str, Any]


def read_settings() -> ProjectSettings:
    """The setting, with its defaults. Raises ``ConfigError``."""
    given = getattr(settings, "ELIHU", {})
    if not isinstance(given, Mapping):
        raise ConfigError(
            f"settings.ELIHU: expected a dictionary, got a value of type {type(given).__name__}"
        )
    database = given.get("database", DEFAULT_DB_ALIAS)
    if database not in connections:
        raise ConfigError(
            f'settings.ELIHU: "database": expected one of {", ".join(connections)} (the aliases '
            f"of DATABASES), got {database!r}"
        )
    join = given.get("join_transactions", True)
    if not isinstance(join, bool):
        raise ConfigError(
            f'settings.ELIHU: "join_transactions": expected True or False, got {join!r}'
        )
    if "database_url" in given:
        raise ConfigError(
            'settings.ELIHU: "database_url": expected none, got one: the database is that of '
            'DATABASES["default"]; "database" names another alias'
        )
    return ProjectSettings(
        database, join, {key: value for key, value in given.items() if key not in _OWN}
    )


def database_name(alias: str) -> str:
    """The name of the database as Django has it now: tests change it."""
    return str(_settings_of(alias).get("NAME") or "")


def database_url(alias: str) -> str:
    """The URL of the database of an alias. Raises ``ConfigError``."""
    vendor = connections[alias].vendor
    if vendor == "postgresql":
        return _postgresql_url(_settings_of(alias))
    if vendor == "sqlite":
        return _sqlite_url(database_name(alias))
    raise ConfigError(
        f'DATABASES["{alias}"]: expected PostgreSQL or SQLite for the jobs, got {vendor}: name '
        'another alias by "database" in settings.ELIHU'
    )


def _settings_of(alias: str) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = connections.settings[alias]
    except (KeyError, ConnectionDoesNotExist) as error:
        raise ConfigError(f"DATABASES: expected an alias {alias!r}, got none") from error
    return found


def _sqlite_url(name: str) -> str:
    if not name or ":memory:" in name or "mode=memory" in name:
        return MEMORY
    return f"sqlite:///{Path(name.removeprefix('file:').partition('?')[0]).resolve()}"


def _postgresql_url(given: Mapping[str, Any]) -> str:
    hosts = [host.strip() for host in str(given.get("HOST") or "").split(",")]
    ports = [port.strip() for port in str(given.get("PORT") or "").split(",")]
    options: Mapping[str, Any] = given.get("OPTIONS") or {}
    query = {name: str(options[name]) for name in _OF_LIBPQ if name in options}
    if role := options.get("assume_role"):
        query["role"] = str(role)
    if hosts[0].startswith("/"):
        query["host"] = hosts[0]
        place = f":{ports[0]}" if ports[0] else ""
    else:
        if len(ports) == 1:
            ports *= len(hosts)
        place = ",".join(
            f"{_bracketed(host)}:{port}" if port else _bracketed(host)
            for host, port in zip(hosts, ports, strict=False)
        )
    user, password = (quote(str(given.get(key) or ""), safe="") for key in ("USER", "PASSWORD"))
    account = f"{user}:{password}@" if password else f"{user}@" if user else ""
    name = quote(str(given.get("NAME") or ""), safe="")
    arguments = f"?{urlencode(query, quote_via=quote, safe='/')}" if query else ""
    return f"postgresql://{account}{place}/{name}{arguments}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith("[") else host
