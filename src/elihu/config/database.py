"""Database URLs: checked, normalised, and shown without passwords."""

import errno
import os
import re
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from elihu.config.checks import InvalidValue

SQLITE: Final = "sqlite:///"
POSTGRESQL: Final = "postgresql://"
DEFAULT_SCHEMA: Final = "elihu"
EXPECTED: Final = "a URL such as sqlite:///elihu.db or postgresql://user:password@host/database"

_SCHEME = re.compile(r"(?P<dialect>[A-Za-z][A-Za-z0-9.-]*)(?:\+(?P<driver>[A-Za-z0-9_.-]*))?:")
_SQLITE_DRIVERS = {None, "aiosqlite", "pysqlite"}
_SECRETS = {"password", "sslpassword"}


def check_url(value: object, _textual: bool) -> str:
    """The normalised URL: ``sqlite:///PATH`` or ``postgresql://…``. The errors never
    show the text, which may hold a password.
    """
    if not isinstance(value, str):
        raise InvalidValue(EXPECTED, f"a value of type {type(value).__name__}")
    found = _SCHEME.match(value)
    if not found or not value.startswith("//", found.end()):
        raise InvalidValue(EXPECTED, "text without a scheme" if value else "nothing")
    if not value.isprintable():
        raise InvalidValue(EXPECTED, "a URL with a control character or an unusual space in it")
    rest = value[found.end() + 2 :]
    match found["dialect"].lower(), found["driver"]:
        case "sqlite", driver if driver in _SQLITE_DRIVERS:
            return SQLITE + _sqlite_path(rest)
        case (("postgresql" | "postgres"), _):
            return POSTGRESQL + _postgresql_rest(rest)
    raise InvalidValue(EXPECTED, f"the scheme {found[0].removesuffix(':')!r}")


def check_postgresql_url(value: object, textual: bool) -> str:
    """As ``check_url``, PostgreSQL only."""
    url = check_url(value, textual)
    if not url.startswith(POSTGRESQL):
        raise InvalidValue("a postgresql:// URL", "an sqlite:// one")
    return url


def resolve_url(url: str, folder: Path, schema: str) -> str:
    """``url`` with the absolute path of its SQLite file; a relative path starts at
    ``folder``. Links are resolved, so that a file has one name. A ``schema`` other than
    ``elihu`` is a separate file: ``jobs.db`` becomes ``jobs-SCHEMA.db``.
    """
    if not url.startswith(SQLITE):
        return url
    path = folder / url.removeprefix(SQLITE)
    path = sibling_file(path, DEFAULT_SCHEMA, schema)
    try:
        resolved = path.resolve()
        # Python 3.13 leaves a loop of links in the path, without an error.
        if any(map(os.path.islink, (resolved, *resolved.parents))):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    except (OSError, RuntimeError) as error:
        raise InvalidValue(
            "the path of a file", f"{str(path)!r}, which cannot be followed ({error})"
        ) from error
    return f"{SQLITE}{resolved}"


def sibling_file(path: Path, schema: str, other: str) -> Path:
    """The SQLite file of another schema beside ``path``, which is that of ``schema``."""
    stem = path.stem if schema == DEFAULT_SCHEMA else path.stem.removesuffix(f"-{schema}")
    return path.with_name(f"{stem if other == DEFAULT_SCHEMA else f'{stem}-{other}'}{path.suffix}")


def sibling_url(url: str, schema: str, other: str) -> str:
    """The resolved URL of another schema in the database of ``url``, which is that of
    ``schema``.
    """
    if not url.startswith(SQLITE):
        return url
    return f"{SQLITE}{sibling_file(Path(url.removeprefix(SQLITE)), schema, other)}"


def describe_url(url: str) -> str:
    """``url`` without its passwords."""
    if url.startswith(SQLITE):
        return url
    scheme, _, rest = url.partition("://")
    rest, mark, query = rest.partition("?")
    account, at, place = rest.rpartition("@")
    user, colon, _ = account.partition(":")
    if query:
        pairs = [
            (name, "***" if name in _SECRETS else value)
            for name, value in parse_qsl(query, keep_blank_values=True)
        ]
        query = urlencode(pairs, safe="*/,", quote_via=quote)
    return f"{scheme}://{user}{colon}{'***' if colon else ''}{at}{place}{mark}{query}"


def _sqlite_path(rest: str) -> str:
    path, question, query = rest.partition("?")
    if path in {"", "/"} or ":memory:" in path or ("mode", "memory") in parse_qsl(query):
        raise InvalidValue(
            "the path of a file (sqlite:///elihu.db)",
            "a database in memory, which other connections and processes cannot see",
        )
    if not path.startswith("/"):
        raise InvalidValue(
            "a path after three slashes (sqlite:///elihu.db, or sqlite:////srv/elihu.db for an "
            "absolute one)",
            "two slashes",
        )
    if path.startswith("/file:"):
        raise InvalidValue("a plain path (sqlite:///elihu.db)", 'one that starts with "file:"')
    if path.endswith("/"):
        raise InvalidValue("the path of a file (sqlite:///elihu.db)", "that of a folder")
    if question:
        raise InvalidValue("an SQLite URL without parameters", "one with a question mark")
    return path[1:]


def _postgresql_rest(rest: str) -> str:
    if "#" in rest:
        raise InvalidValue("a URL without the sign # (write %23 in a password)", "one with it")
    place, _, query = rest.partition("?")
    if "@" in query:
        raise InvalidValue(
            "a URL without the sign @ behind a question mark (write ? as %3F in a password)",
            "one with it",
        )
    authority, _, path = place.partition("/")
    if "@" in path:
        raise InvalidValue(
            "a URL without the sign @ behind a slash (write / as %2F in a password)", "one with it"
        )
    account, _, hosts = authority.rpartition("@")
    if "@" in account:
        raise InvalidValue("a URL with one sign @ (write %40 in a password)", "one with more")
    for host in hosts.split(","):
        _check_port(host)
    return rest


def _check_port(host: str) -> None:
    name, colon, port = host[host.rfind("]") + 1 :].rpartition(":")
    if ":" in name:
        raise InvalidValue(
            "an IPv6 address in brackets, and one port a host", "a host with several colons"
        )
    if colon and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65_535):
        raise InvalidValue("a port from 1 to 65535 after the host's colon", "something else")
