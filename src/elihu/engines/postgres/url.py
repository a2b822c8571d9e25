"""Database URLs as the driver takes them."""

from typing import Final
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from elihu.errors import ConfigError

# The driver sends a parameter it does not know to the server as a setting, and the
# server refuses the connection.
_NOT_FOR_THE_SERVER: Final = frozenset(
    {
        "async_fallback",
        "channel_binding",
        "connect_timeout",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "load_balance_hosts",
        "prepared_statement_cache_size",
        "prepared_statement_name_func",
        "sslcompression",
        "sslsni",
        "statement_cache_size",
        "tcp_user_timeout",
    }
)
_SSL_WORDS: Final = {"true": "require", "1": "require", "false": "disable", "0": "disable"}


def driver_url(url: str) -> str:
    """The same database in the spelling of the driver: no ``+driver``, and only
    parameters that it or the server knows.

    ``ssl=`` is read as ``sslmode=``; several hosts, ``?host=/socket`` and the other
    libpq forms stay as they are. Raises ``ConfigError``.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.partition("+")[0] not in {"postgresql", "postgres"}:
        raise ConfigError(
            'database_url: expected a URL that begins with "postgresql://", got one that begins '
            f'with "{scheme[:40]}"'
        )
    parts = urlsplit(f"postgresql://{rest}")
    known = [
        ("sslmode", _SSL_WORDS.get(value.lower(), value)) if name == "ssl" else (name, value)
        for name, value in parse_qsl(parts.query)
        if name not in _NOT_FOR_THE_SERVER
    ]
    return f"postgresql://{parts.netloc}{parts.path}{'?' if known else ''}{urlencode(known)}"


def place(url: str) -> str:
    """Where a URL leads, for messages: hosts and database, never the user or the
    password.
    """
    parts = urlsplit(url)
    named = dict(parse_qsl(parts.query))
    host = parts.netloc.rpartition("@")[2] or named.get("host", "the local socket")
    return f"{host}/{parts.path.lstrip('/') or named.get('dbname', '')}".rstrip("/")


def database_name(url: str) -> str:
    """The name of the database at a URL; by default that of the user."""
    parts = urlsplit(url)
    named = dict(parse_qsl(parts.query))
    return unquote(parts.path.lstrip("/")) or named.get("dbname") or unquote(parts.username or "")
