"""The forms of a database URL that reach the driver."""

import socket
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import asyncpg
import pytest

from elihu.engines.postgres import connect
from elihu.engines.postgres.connect import connect_alone
from elihu.engines.postgres.connections import Connections
from elihu.engines.postgres.url import driver_url, place, target
from elihu.errors import ConfigError
from elihu.testing.postgres import PostgresServer, free_port


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgresql://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgres://u@h:1/d", "postgresql://u@h:1/d"),
        ("postgresql+asyncpg://h/d", "postgresql://h/d"),
        ("postgresql+psycopg://u:p%40x@h/d", "postgresql://u:p%40x@h/d"),
        (
            "postgresql://a:1,b:2/d?target_session_attrs=read-write",
            "postgresql://a:1,b:2/d?target_session_attrs=read-write",
        ),
        ("postgresql:///d?host=/run/pg", "postgresql:///d?host=%2Frun%2Fpg"),
        (
            "postgresql://h/d?sslmode=verify-full&sslrootcert=/a b",
            "postgresql://h/d?sslmode=verify-full&sslrootcert=%2Fa+b",
        ),
        ("postgresql://h/d?ssl=require", "postgresql://h/d?sslmode=require"),
        (
            "postgresql://h/d?ssl=true&application_name=x",
            "postgresql://h/d?sslmode=require&application_name=x",
        ),
        (
            "postgresql://h/d?connect_timeout=3&keepalives=1&prepared_statement_cache_size=0",
            "postgresql://h/d",
        ),
    ],
)
def test_spellings(given: str, expected: str) -> None:
    assert driver_url(given) == expected


@pytest.mark.parametrize("url", ["mysql://h/d", "postgresql:h", "h/d", ""])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="postgresql://"):
        driver_url(url)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:secret@h:1/d", "h:1/d"),
        ("postgresql://u:secret@a:1,b:2/d", "a:1,b:2/d"),
        ("postgresql:///d?host=/run/pg&password=secret", "/run/pg/d"),
        ("postgresql://?dbname=d", "the local socket/d"),
        ("postgresql://h", "h"),
    ],
)
def test_messages_show_where_a_url_leads_and_no_password(url: str, expected: str) -> None:
    assert place(url) == expected


async def test_all_forms_connect(postgres_server: PostgresServer) -> None:
    port = postgres_server.url.rpartition(":")[2].partition("/")[0]
    folder = quote(str(postgres_server.folder), safe="")
    for url in (
        postgres_server.url.replace("postgresql://", "postgres://"),
        postgres_server.url.replace("postgresql://", "postgresql+asyncpg://")
        + "?ssl=disable&connect_timeout=3",
        f"postgresql://postgres@{folder}:{port}/postgres",
        f"postgresql:///postgres?host={postgres_server.folder}&port={port}&user=postgres",
        f"postgresql://postgres@127.0.0.1:{free_port()},127.0.0.1:{port}/postgres?target_session_attrs=read-write",
        f"{postgres_server.url}?application_name=elihu",
    ):
        connections = Connections(url, 1)
        await connections.open(5)
        await connections.close()


@pytest.mark.parametrize("password", ["se[cret]x", "hush[", "]hush", "a[b", "[::1]"])
def test_brackets_in_a_password_are_part_of_it(password: str) -> None:
    url = driver_url(f"postgresql://ada:{password}@h:1/d")
    assert unquote(urlsplit(url).password or "") == password
    assert place(f"postgresql://ada:{password}@h:1/d") == "h:1/d"


@pytest.mark.parametrize("url", ["postgresql://ada:hush@[::1/d", "postgresql://ada:hush@h]/d"])
def test_brackets_that_no_url_has_are_a_clear_error_without_the_password(url: str) -> None:
    with pytest.raises(ConfigError, match="percent-encoded") as caught:
        target(url)
    assert "hush" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_parameters_are_applied() -> None:
    found = target(
        "postgresql://h/d?keepalives_idle=30&keepalives_interval=5&tcp_user_timeout=3000"
        "&connect_timeout=3&statement_cache_size=0"
    )
    assert (found.connect_timeout, found.cached_statements) == (3, 0)
    assert {
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
        (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
        (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 3000),
    } <= set(found.socket_options)
    assert target("postgresql://h/d?keepalives=0").socket_options == (
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0),
    )


@pytest.mark.parametrize(
    "parameter",
    ["channel_binding=require", "gssencmode=require", "sslsni=0", "load_balance_hosts=random"],
)
def test_what_the_driver_cannot_do_is_refused(parameter: str) -> None:
    with pytest.raises(ConfigError, match=parameter):
        target(f"postgresql://h/d?{parameter}")


@pytest.mark.parametrize("parameter", ["keepalives_idle=x", "tcp_user_timeout=-1"])
def test_parameters_that_are_no_numbers_are_refused(parameter: str) -> None:
    with pytest.raises(ConfigError, match=parameter.partition("=")[0]):
        target(f"postgresql://h/d?{parameter}")


def test_what_only_sqlalchemy_knows_has_no_effect_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    target("postgresql+asyncpg://h/d?async_fallback=true&channel_binding=prefer")
    assert [record.getMessage() for record in caplog.records] == [
        "database_url: the parameter async_fallback has no effect"
    ]


@pytest.mark.parametrize("name", ["sslrootcert", "sslcert", "sslcrl"])
async def test_a_file_that_cannot_be_read_is_named(
    postgres_url: str, tmp_path: Path, name: str
) -> None:
    url = f"{postgres_url}?sslmode=verify-full&{name}={tmp_path / 'absent.pem'}"
    with pytest.raises(ConfigError, match=rf"{name}: cannot read .*absent\.pem"):
        await connect_alone(url)


async def test_a_file_that_the_environment_names_is_named(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSSLCERT", str(tmp_path))
    with pytest.raises(ConfigError, match=f"PGSSLCERT: cannot read {tmp_path}"):
        await connect_alone(f"{postgres_url}?sslmode=require")


@pytest.mark.parametrize("mode", ["prefer", "verify-full"])
async def test_files_at_a_home_that_is_closed_count_as_absent(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    """A closed folder of root's is open to root: the driver and the look are played."""
    key = Path("/home/other/.postgresql/postgresql.key")
    driver = asyncpg.connect

    async def refusing(*arguments: Any, **options: Any) -> Any:
        if "ssl" not in options:
            raise PermissionError(13, "Permission denied")
        return await driver(*arguments, **options)

    monkeypatch.setattr(asyncpg, "connect", refusing)
    monkeypatch.setattr(connect, "_closed_file_at_home", lambda: key)
    url = f"{postgres_url}?sslmode={mode}"
    if mode == "verify-full":
        with pytest.raises(ConfigError, match=rf"{key}.*sslrootcert.*PGSSLROOTCERT.*HOME"):
            await connect_alone(url)
    else:
        connection = await connect_alone(url)
        await connection.close()
