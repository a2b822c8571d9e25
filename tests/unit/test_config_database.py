"""Database URLs: spellings, refusals, and that no password is ever shown."""

import traceback
from pathlib import Path
from typing import Any

import pytest

from elihu.config import Config, load_config
from elihu.errors import ConfigError

SECRET = "hunter2"


def load(folder: Path, environ: dict[str, str] | None = None, **keywords: Any) -> Config:
    return load_config(keywords=keywords, environ=environ or {}, folder=folder)


def refused(folder: Path, url: object) -> str:
    with pytest.raises(ConfigError) as caught:
        load(folder, database_url=url)
    message = str(caught.value)
    assert message.startswith("database_url: expected ")
    assert message.endswith("(keyword database_url)")
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return message


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ("sqlite:///jobs.db", "{folder}/jobs.db"),
        ("sqlite:///data/jobs.db", "{folder}/data/jobs.db"),
        ("sqlite:///./a/../jobs.db", "{folder}/jobs.db"),
        ("sqlite:////srv/jobs.db", "/srv/jobs.db"),
        ("sqlite+aiosqlite:///jobs.db", "{folder}/jobs.db"),
        ("sqlite+pysqlite:///jobs.db", "{folder}/jobs.db"),
        ("SQLite:///jobs.db", "{folder}/jobs.db"),
        ("sqlite:///memory", "{folder}/memory"),
        ("sqlite:///mine, 100% é.db", "{folder}/mine, 100% é.db"),
    ],
)
def test_sqlite(tmp_path: Path, given: str, path: str) -> None:
    config = load(tmp_path, database_url=given)
    assert config.database_url == f"sqlite:///{path.format(folder=tmp_path)}"
    assert config.describe_database() == config.database_url


@pytest.mark.parametrize(
    "given",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite+aiosqlite://",
        "sqlite:///file::memory:?cache=shared",
        "sqlite:///x?mode=memory",
    ],
)
def test_sqlite_in_memory_is_refused(tmp_path: Path, given: str) -> None:
    assert "got a database in memory, which other connections and processes cannot see" in refused(
        tmp_path, given
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sqlite://jobs.db", "expected a path after three slashes"),
        ("sqlite://host/jobs.db", "expected a path after three slashes"),
        ("sqlite:///jobs.db?timeout=5", "expected an SQLite URL without parameters"),
        ("sqlite:///file:jobs.db", "expected a plain path"),
        ("sqlite:///jobs/", "expected the path of a file"),
        ("sqlite+pysqlcipher:///jobs.db", "got the scheme 'sqlite+pysqlcipher'"),
    ],
)
def test_sqlite_refused(tmp_path: Path, given: str, expected: str) -> None:
    assert expected in refused(tmp_path, given)


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert (
        load(tmp_path, database_url="sqlite:///link/jobs.db").database_url
        == f"sqlite:///{tmp_path}/real/jobs.db"
    )


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in ("loop", "loop/jobs.db", "loop/deeper/jobs.db"):
        assert "cannot be followed" in refused(tmp_path, f"sqlite:///{path}")


def test_the_folder_of_a_relative_path(tmp_path: Path) -> None:
    below = tmp_path / "below"
    below.mkdir()
    file = tmp_path / "elihu.toml"
    file.write_text("poll = 3\n")
    assert load(below).database_url == f"sqlite:///{tmp_path}/elihu.db"
    assert load(below, database_url="sqlite:///x.db").database_url == f"sqlite:///{below}/x.db"
    assert (
        load(below, {"ELIHU_DATABASE_URL": "sqlite:///x.db"}).database_url
        == f"sqlite:///{below}/x.db"
    )
    file.write_text('database_url = "sqlite:///x.db"\n')
    assert load(below).database_url == f"sqlite:///{tmp_path}/x.db"
    file.unlink()
    assert load(below).database_url == f"sqlite:///{below}/elihu.db"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("sqlite:///elihu.db", "elihu-billing.db"),
        ("sqlite:///a.b.db", "a.b-billing.db"),
        ("sqlite:///jobs", "jobs-billing"),
    ],
)
def test_a_schema_is_a_file_of_its_own(tmp_path: Path, given: str, name: str) -> None:
    assert (
        load(tmp_path, database_url=given, schema="billing").database_url
        == f"sqlite:///{tmp_path}/{name}"
    )
    assert load(tmp_path, schema="billing").database_url == f"sqlite:///{tmp_path}/elihu-billing.db"


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("postgresql://h/d", "postgresql://h/d"),
        ("postgres://u:p@h:5433/d", "postgresql://u:p@h:5433/d"),
        ("postgresql+asyncpg://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgresql+psycopg://u@h/d", "postgresql://u@h/d"),
        ("postgresql+psycopg2://u@h/d", "postgresql://u@h/d"),
        ("PostgreSQL://h/d", "postgresql://h/d"),
        ("postgresql://", "postgresql://"),
        ("postgresql:///d", "postgresql:///d"),
        (
            "postgresql://u@h1:5432,h2:5433,h3/d?target_session_attrs=primary",
            "postgresql://u@h1:5432,h2:5433,h3/d?target_session_attrs=primary",
        ),
        ("postgresql:///d?host=/run/postgresql", "postgresql:///d?host=/run/postgresql"),
        ("postgresql://%2Frun%2Fpostgresql/d", "postgresql://%2Frun%2Fpostgresql/d"),
        (
            "postgresql://u@h/d?sslmode=verify-full&sslrootcert=/etc/ca.pem",
            "postgresql://u@h/d?sslmode=verify-full&sslrootcert=/etc/ca.pem",
        ),
        ("postgresql+asyncpg://u@h/d?ssl=require", "postgresql://u@h/d?ssl=require"),
        ("postgresql://[::1]:5432/d", "postgresql://[::1]:5432/d"),
        ("postgresql://u:p%40%2F%23@h/d", "postgresql://u:p%40%2F%23@h/d"),
        ("postgresql://u:p:q@h/d", "postgresql://u:p:q@h/d"),
    ],
)
def test_postgresql(tmp_path: Path, given: str, url: str) -> None:
    assert load(tmp_path, database_url=given).database_url == url
    assert load(tmp_path, database_url="postgresql://h/d", listen_url=given).listen_url == url


def test_postgresql_keeps_one_database_for_all_schemas(tmp_path: Path) -> None:
    assert (
        load(tmp_path, database_url="postgresql://h/d", schema="billing").database_url
        == "postgresql://h/d"
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (f"mysql://u:{SECRET}@h/d", "got the scheme 'mysql'"),
        (f"redis+{SECRET[:0]}x://u:{SECRET}@h", "got the scheme 'redis+x'"),
        (f"u:{SECRET}@h/d", "got text without a scheme"),
        (f"postgresql:u:{SECRET}@h/d", "got text without a scheme"),
        (f"host=h password={SECRET}", "got text without a scheme"),
        ("", "got nothing"),
        (f"postgresql://u:{SECRET}@x@h/d", "write %40 in a password"),
        (f"postgresql://u:{SECRET}/x@h/d", "write / as %2F in a password"),
        (f"postgresql://u:{SECRET}?x@h/d", "write ? as %3F in a password"),
        (f"postgresql://u:{SECRET}#x@h/d", "write %23 in a password"),
        (
            f"postgresql://u:{SECRET}",
            "expected a port from 1 to 65535 after the host's colon, got something else",
        ),
        (f"postgresql://u:{SECRET}@h:port/d", "expected a port from 1 to 65535"),
        (f"postgresql://u:{SECRET}@h:0/d", "expected a port from 1 to 65535"),
        (f"postgresql://u:{SECRET}@h1:5432,h2:65536/d", "expected a port from 1 to 65535"),
        (f"postgresql://u:{SECRET}@h:/d", "expected a port from 1 to 65535"),
        (f"postgresql://u:{SECRET}@::1/d", "expected an IPv6 address in brackets"),
        (f"postgresql://u:{SECRET}@h/d\n", "got a URL with a control character"),
        (f"postgresql://u:{SECRET}@h/d\0", "got a URL with a control character"),
        (f"postgresql://u:{SECRET}@h/\ud800", "got a URL with a control character"),
        (f"postgresql://u:{SECRET}@h/d".encode(), "got a value of type bytes"),
        ({"password": SECRET}, "got a value of type dict"),
        (5, "got a value of type int"),
    ],
)
def test_a_refused_url_is_not_shown(tmp_path: Path, given: object, expected: str) -> None:
    assert expected in refused(tmp_path, given)


def test_listen_url_is_postgresql(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError,
        match=(
            r"listen_url: expected a postgresql:// URL, got an sqlite:// one "
            r"\(keyword listen_url\)"
        ),
    ):
        load(tmp_path, database_url="postgresql://h/d", listen_url="sqlite:///x.db")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (f"postgresql://u:{SECRET}@h:1/d", "postgresql://u:***@h:1/d"),
        (f"postgresql://:{SECRET}@h/d", "postgresql://:***@h/d"),
        ("postgresql://u@h/d", "postgresql://u@h/d"),
        (
            f"postgresql://h1,h2/d?user=u&password={SECRET}&sslmode=require",
            "postgresql://h1,h2/d?user=u&password=***&sslmode=require",
        ),
        (
            f"postgresql:///d?host=/run/pg&sslpassword={SECRET}",
            "postgresql:///d?host=/run/pg&sslpassword=***",
        ),
    ],
)
def test_a_password_is_masked(tmp_path: Path, given: str, shown: str) -> None:
    config = load(tmp_path, database_url=given, listen_url=given)
    assert config.database_url == given
    assert config.describe_database() == shown
    assert f"database_url='{shown}', listen_url='{shown}'" in repr(config)
    assert SECRET not in repr(config)
    assert SECRET not in str(config)
