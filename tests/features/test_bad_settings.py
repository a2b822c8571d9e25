"""URLs, settings and tables that are refused, and in which words."""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from elihu import (
    ConfigError,
    DatabaseUnavailable,
    Elihu,
    NewJob,
    SchemaOutdated,
    SchemaTooNew,
)
from tests.support import BUSY_MACHINE, QUICK

pytestmark = pytest.mark.sqlite_first

URLS: dict[str, str] = {
    "": "nothing",
    "jobs.db": "without a scheme",
    "mysql://host/db": "the scheme 'mysql'",
    "sqlite://jobs.db": "two slashes",
    "sqlite:///": "a database in memory",
    "sqlite:///:memory:": "a database in memory",
    "sqlite:///a.db?mode=ro": "parameters",
    "postgresql://host:port/db": "port",
    "postgresql://host:99999/db": "port",
    "postgresql://user:p@ss:word@host/db": "@",
}


def test_broken_urls():
    for url, got in URLS.items():
        with pytest.raises(ConfigError, match=r"database_url.*expected") as caught:
            Elihu(url)
        assert got in str(caught.value), url
        assert "keyword" in str(caught.value), url
        assert "p@ss" not in str(caught.value)
    with pytest.raises(ConfigError, match="database_url"):
        Elihu(5)  # type: ignore[arg-type]


async def test_a_server_that_is_not_there(t: Any):
    app = Elihu("postgresql://nobody:secret@127.0.0.1:1/nowhere", **QUICK)

    @app.task(name="t")
    async def own(number: int): ...

    with pytest.raises(DatabaseUnavailable, match=r"127\.0\.0\.1") as caught:
        await own.aenqueue(1)
    assert "secret" not in str(caught.value)
    with pytest.raises(DatabaseUnavailable):
        async with app.running():
            pass
    await app.aclose()


async def test_a_folder_that_is_not_there_and_a_file_that_is_no_database(tmp_path: Path):
    (tmp_path / "notes.txt").write_text(
        "not a database, but long enough to be read as one" * 100, "utf-8"
    )
    (tmp_path / "folder").mkdir()
    for name, got in {
        "absent/jobs.db": "absent",
        "notes.txt": "another kind of file",
        "folder": "folder",
    }.items():
        app = Elihu(f"sqlite:///{tmp_path}/{name}", **QUICK)
        with pytest.raises(ConfigError, match="database_url: expected") as caught:
            await app.jobs.count()
        assert got in str(caught.value)
        await app.aclose()


async def test_settings():
    for settings, expected in (
        ({"stager": {"limt": 5}}, r"stager\.limt"),
        ({"stager": {"limit": 0}}, r"stager\.limit: expected"),
        ({"stager": {"interval": "soon"}}, r"stager\.interval: expected"),
        ({"qeues": {"default": 1}}, "qeues"),
        ({"queues": {"default": 0}}, "queues"),
        ({"queues": {"default": "ten"}}, "queues"),
        ({"max_args": -1}, "max_args: expected"),
        ({"grace": float("nan")}, "grace: expected"),
    ):
        with pytest.raises(ConfigError, match=expected) as caught:
            Elihu("sqlite:///a.db", **settings)
        assert "expected" in str(caught.value)
        assert "keyword" in str(caught.value)


async def test_a_node_of_wrong_queues_does_not_start(app: Elihu):
    for queues in ({"default": 0}, {"": 1}, {"default": "x"}, {"default": 1.5}):
        with pytest.raises(ConfigError, match="queues"):
            async with app.running(queues):  # type: ignore[arg-type]
                pass
    assert await app.nodes.list() == []


VERBS: dict[str, Callable[[Elihu], Any]] = {
    "enqueue": lambda app: app.aenqueue(NewJob(task="t")),
    "count": lambda app: app.jobs.count(),
    "cancel": lambda app: app.jobs.cancel(1),
    "nodes": lambda app: app.nodes.list(),
}


@pytest.mark.parametrize("which", ["newer", "older"])
async def test_tables_of_another_version(
    database_url: str, monkeypatch: pytest.MonkeyPatch, which: str
):
    made = Elihu(database_url, **QUICK)
    version = (await made.migrate())[-1]
    await made.aclose()
    error: type[Exception]
    if which == "newer":
        await set_version(database_url, version + 1)
        error, expected = SchemaTooNew, f"expected .*{version}.* got .*{version + 1}"
    else:
        monkeypatch.setattr("elihu.engines.sqlite.migrations.NEWEST", version + 1)
        monkeypatch.setattr("elihu.engines.postgres.migrations.VERSION", version + 1)
        error, expected = SchemaOutdated, f"got version {version}.*run .?elihu migrate"
    for verb in VERBS.values():
        app = Elihu(database_url, **QUICK)
        with pytest.raises(error, match=expected):
            await verb(app)
        with pytest.raises(error, match=expected):
            async with app.running():
                pass
        if which == "newer":
            with pytest.raises(error, match=expected):
                await app.migrate()
        await app.aclose()
    monkeypatch.undo()
    await set_version(database_url, version)
    async with Elihu(database_url, **QUICK) as app:
        assert await app.jobs.count() == 0
        assert await app.nodes.list() == []
        assert await app.migrate() == []


async def test_absent_tables(database_url: str):
    app = Elihu(database_url, **QUICK | BUSY_MACHINE)
    looking = {name: verb for name, verb in VERBS.items() if name != "enqueue"}
    for verb in looking.values():
        with pytest.raises(SchemaOutdated, match=r"run .?elihu migrate"):
            await verb(app)
    if database_url.startswith("sqlite"):
        assert not os.path.exists(database_url.removeprefix("sqlite:///"))  # noqa: ASYNC240, PTH110
        assert (await app.aenqueue(NewJob(task="t"))).id == 1
        assert await app.jobs.count() == 1
    else:
        for verb in VERBS.values():
            with pytest.raises(SchemaOutdated, match=r"run .?elihu migrate"):
                await verb(app)
        with pytest.raises(SchemaOutdated, match=r"run .?elihu migrate"):
            async with app.running():
                pass
        assert await app.migrate()
        assert (await app.aenqueue(NewJob(task="t"))).id == 1
    await app.aclose()


async def set_version(url: str, version: int) -> None:
    if url.startswith("sqlite"):
        import sqlite3

        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection, connection:
            connection.execute(
                "UPDATE meta SET value = ? WHERE key IN ('schema_version', 'readable_from')",
                (str(version),),
            )
    else:
        import asyncpg

        connection = await asyncpg.connect(url)
        await connection.execute(
            "UPDATE elihu.meta SET value = $1 WHERE key IN ('schema_version', 'readable_from')",
            str(version),
        )
        await connection.close()
