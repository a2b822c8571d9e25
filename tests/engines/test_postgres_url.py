"""The forms of a database URL that reach the driver."""

from urllib.parse import quote

import pytest

from elihu.engines.postgres.connections import Connections
from elihu.engines.postgres.url import driver_url, place
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
