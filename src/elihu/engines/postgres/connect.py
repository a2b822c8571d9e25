"""One connection to a server: timeouts, files of certificates, keepalive, poolers."""

import os
import socket
import ssl
from pathlib import Path
from typing import Any, Final

import asyncpg

from elihu.engines.postgres.errors import translate
from elihu.engines.postgres.url import Target, target
from elihu.errors import ConfigError, DatabaseUnavailable

Connection = Any  # the driver's connections carry no types

OLDEST_SERVER: Final = 14
_ABOUT: Final = "SELECT pg_backend_pid(), current_setting('default_transaction_isolation')"
_FILES: Final = {
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
}
_FILES_AT_HOME: Final = ("root.crt", "root.crl", "postgresql.crt", "postgresql.key")
_VERIFYING: Final = frozenset({"verify-ca", "verify-full"})


async def connect_alone(url: str) -> Connection:
    """A connection outside of any pool, for the caller to close. Raises what
    ``Connections.run`` raises.
    """
    where = target(url)
    try:
        return await connect(where, cached=False)
    except Exception as error:
        meaning = translate(error, where.place)
        if meaning is error:
            raise
        raise meaning from error


async def connect(where: Target, *, cached: bool) -> Connection:
    """A connection with keepalive to a server that is not too old."""
    try:
        connection = await _connect(where, where.cached_statements if cached else 0)
    except ConfigError:
        raise
    except asyncpg.ClientConfigurationError as error:
        raise ConfigError(
            f"database_url: the driver refuses the URL for {where.place}: {error}"
        ) from error
    except TimeoutError as error:
        raise DatabaseUnavailable(
            f"PostgreSQL at {where.place}: no connection within {where.connect_timeout:g} s"
        ) from error
    except ValueError:
        # Not chained: what could not be read may be a piece of the password.
        raise ConfigError(
            f"database_url: expected a PostgreSQL URL, got one for {where.place} that cannot be "
            "read"
        ) from None
    _set_options(connection, where)
    version = connection.get_server_version()
    if version.major < OLDEST_SERVER:
        connection.terminate()
        raise ConfigError(
            f"database_url: expected PostgreSQL {OLDEST_SERVER} or later, got "
            f"{version.major}.{version.minor} at {where.place}"
        )
    return connection


async def about(connection: Connection) -> tuple[int, str]:
    """The process that really answers, and its default isolation. COPY asks without a
    prepared statement.
    """
    answer = bytearray()

    async def receive(data: bytes) -> None:
        answer.extend(data)

    await connection.copy_from_query(_ABOUT, output=receive)
    pid, isolation = answer.decode().rstrip("\n").split("\t")
    return int(pid), isolation


async def _connect(where: Target, cached_statements: int) -> Connection:
    async def attempt(**security: Any) -> Connection:
        return await asyncpg.connect(
            where.dsn,
            timeout=where.connect_timeout,
            statement_cache_size=cached_statements,
            **security,
        )

    try:
        return await attempt()
    except (OSError, asyncpg.ClientConfigurationError) as error:
        if isinstance(error, TimeoutError):
            raise
        _check_named_files(where)
        if not isinstance(error, PermissionError) or not (file := _closed_file_at_home()):
            raise
        mode = where.parameters.get("sslmode", os.environ.get("PGSSLMODE", "prefer"))
        if mode in _VERIFYING:
            raise ConfigError(
                f"database_url: cannot read {file}: set sslrootcert in the URL or PGSSLROOTCERT, "
                "or HOME to the folder of this user"
            ) from error
    # As libpq: a file at home that cannot be reached counts as absent.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if mode == "require":
        return await attempt(ssl=context)
    try:
        return await attempt(ssl=context)
    except ConnectionError as error:
        if "SSL" not in str(error):
            raise
        return await attempt(ssl=False)


def _check_named_files(where: Target) -> None:
    """Raise ``ConfigError`` for a file that the URL or the environment names and that
    cannot be read: the driver's error does not say which.
    """
    for name, variable in _FILES.items():
        source = name if name in where.parameters else variable
        if path := where.parameters.get(name) or os.environ.get(variable):
            try:
                with Path(path).open("rb"):
                    pass
            except OSError as error:
                raise ConfigError(
                    f"database_url: {source}: cannot read {path}: {error.strerror}"
                ) from error


def _closed_file_at_home() -> Path | None:
    """A file of certificates that the driver looks for, and that this user may not read."""
    for name in _FILES_AT_HOME:
        path = Path.home() / ".postgresql" / name
        try:
            with path.open("rb"):
                pass
        except PermissionError:
            return path
        except OSError:
            continue
    return None


def _set_options(connection: Connection, where: Target) -> None:
    # The driver has no public way to the socket.
    connected = connection._transport.get_extra_info("socket")
    if connected is not None and connected.family != getattr(socket, "AF_UNIX", None):
        for level, option, value in where.socket_options:
            connected.setsockopt(level, option, value)
