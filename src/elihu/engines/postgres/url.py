"""Database URLs as the driver takes them."""

import logging
import socket
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from elihu.errors import ConfigError

logger = logging.getLogger("elihu")

CONNECT_TIMEOUT: Final = 5.0
_CACHED_STATEMENTS: Final = 500

# The driver sends a parameter that it does not know to the server as a setting, and the
# server refuses the connection. So these are taken out of the URL.
_APPLIED: Final = frozenset(
    {
        "connect_timeout",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "prepared_statement_cache_size",
        "statement_cache_size",
        "tcp_user_timeout",
    }
)
_WITHOUT_EFFECT: Final = {
    "channel_binding": {"disable", "prefer"},
    "gssencmode": {"disable", "prefer", "allow"},
    "load_balance_hosts": {"disable"},
    "sslcompression": {"0"},
    "sslsni": {"1"},
}
"""Parameters of libpq, with the values that ask for what the driver does anyway."""
_OF_SQLALCHEMY: Final = frozenset({"async_fallback", "prepared_statement_name_func"})
_SSL_WORDS: Final = {"true": "require", "1": "require", "false": "disable", "0": "disable"}

# seconds; a firewall that forgets idle connections does so after some minutes
_KEEPALIVE: Final = {"keepalives_idle": 60, "keepalives_interval": 10, "keepalives_count": 5}
_SOCKET_OPTIONS: Final = {
    "keepalives_idle": getattr(socket, "TCP_KEEPIDLE", getattr(socket, "TCP_KEEPALIVE", None)),
    "keepalives_interval": getattr(socket, "TCP_KEEPINTVL", None),
    "keepalives_count": getattr(socket, "TCP_KEEPCNT", None),
    "tcp_user_timeout": getattr(socket, "TCP_USER_TIMEOUT", None),
}


class Target(NamedTuple):
    """Where and how to connect. ``parameters`` are those of the URL, ``dsn`` is the URL for
    the driver, ``place`` is for messages. ``socket_options`` are (level, option, value).
    """

    dsn: str
    place: str
    parameters: dict[str, str]
    connect_timeout: float
    cached_statements: int
    socket_options: tuple[tuple[int, int, int], ...]


def target(url: str) -> Target:
    """What a database URL asks for. Raises ``ConfigError``, which never shows a password."""
    parts = urlsplit(_readable(url))
    parameters = dict(parse_qsl(parts.query))
    for name, value in parameters.items():
        if value not in _WITHOUT_EFFECT.get(name, {value}):
            raise ConfigError(f"database_url: the driver does not support {name}={value}")
        if name in _OF_SQLALCHEMY:
            logger.warning("database_url: the parameter %s has no effect", name)
    cached = [
        _whole(parameters, name, 0)
        for name in ("statement_cache_size", "prepared_statement_cache_size")
        if name in parameters
    ]
    timeout = _whole(parameters, "connect_timeout", 0)
    return Target(
        dsn=driver_url(url),
        place=place(url),
        parameters=parameters,
        connect_timeout=timeout or CONNECT_TIMEOUT,
        cached_statements=min(cached, default=_CACHED_STATEMENTS),
        socket_options=_socket_options(parameters),
    )


def driver_url(url: str) -> str:
    """The same database in the spelling of the driver: no ``+driver``, and only
    parameters that it or the server knows. ``ssl=`` is read as ``sslmode=``. Several hosts,
    ``?host=/socket`` and the other libpq forms stay as they are. Raises ``ConfigError``.
    """
    parts = urlsplit(_readable(url))
    left_out = {*_APPLIED, *_WITHOUT_EFFECT, *_OF_SQLALCHEMY}
    known = [
        ("sslmode", _SSL_WORDS.get(value.lower(), value)) if name == "ssl" else (name, value)
        for name, value in parse_qsl(parts.query)
        if name not in left_out
    ]
    return f"postgresql://{parts.netloc}{parts.path}{'?' if known else ''}{urlencode(known)}"


def place(url: str) -> str:
    """Where a URL leads, for messages: hosts and database, never the user or the
    password. Raises ``ConfigError``.
    """
    parts = urlsplit(_readable(url))
    named = dict(parse_qsl(parts.query))
    host = parts.netloc.rpartition("@")[2] or named.get("host", "the local socket")
    return f"{host}/{parts.path.lstrip('/') or named.get('dbname', '')}".rstrip("/")


def database_name(url: str) -> str:
    """The name of the database at a URL; by default that of the user."""
    parts = urlsplit(_readable(url))
    named = dict(parse_qsl(parts.query))
    return unquote(parts.path.lstrip("/")) or named.get("dbname") or unquote(parts.username or "")


def _readable(url: str) -> str:
    """The URL with brackets in its user and password percent-encoded: the parser takes
    them for those of an IPv6 address.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.partition("+")[0] not in {"postgresql", "postgres"}:
        raise ConfigError(
            'database_url: expected a URL that begins with "postgresql://", got one that begins '
            f'with "{scheme[:40]}"'
        )
    authority, slash, path = rest.partition("/")
    account, at, hosts = authority.rpartition("@")
    account = account.replace("[", "%5B").replace("]", "%5D")
    readable = f"postgresql://{account}{at}{hosts}{slash}{path}"
    try:
        urlsplit(readable)
    except ValueError:
        # Not chained: the parser's message may show a piece of the password.
        raise ConfigError(
            "database_url: the URL cannot be read: write [ as %5B, ] as %5D and other special "
            "characters of a password percent-encoded"
        ) from None
    return readable


def _socket_options(parameters: Mapping[str, str]) -> tuple[tuple[int, int, int], ...]:
    wanted = {"tcp_user_timeout": _whole(parameters, "tcp_user_timeout", 0)}
    keepalive = _whole(parameters, "keepalives", 1) != 0
    if keepalive:
        wanted |= {name: _whole(parameters, name, value) for name, value in _KEEPALIVE.items()}
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(keepalive))]
    for name, value in wanted.items():
        if value == 0:
            continue
        if (option := _SOCKET_OPTIONS[name]) is not None:
            options.append((socket.IPPROTO_TCP, option, value))
        elif name in parameters:
            raise ConfigError(f"database_url: this system does not support {name}")
    return tuple(options)


def _whole(parameters: Mapping[str, str], name: str, default: int) -> int:
    try:
        value = int(parameters.get(name, default))
    except ValueError:
        value = -1
    if not 0 <= value <= 2**31 - 1:
        raise ConfigError(
            f"database_url: {name}: expected a whole number of at least 0, got {parameters[name]}"
        )
    return value
