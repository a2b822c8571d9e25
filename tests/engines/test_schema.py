"""Tables: made once, by whoever comes first; a version that does not fit is told apart."""

import asyncio
import sqlite3
from importlib import import_module
from uuid import UUID

import pytest

from elihu.engines.protocol import Engine
from elihu.errors import SchemaError, SchemaOutdated, SchemaTooNew
from tests.engines.builders import ANY, fetch, job, new, node, put
from tests.engines.conftest import Opener
from tests.engines.raw import Raw, RawPostgres, raw_for


async def test_migrate_makes_the_tables_once(opened: Opener) -> None:
    engine = await opened()
    assert await engine.schema_version() == 0
    applied = await engine.migrate()
    assert applied == list(range(1, len(applied) + 1))
    assert await engine.schema_version() == applied[-1]
    assert await engine.migrate() == []
    await engine.check_schema()


async def test_processes_that_start_at_once_migrate_once(opened: Opener) -> None:
    engines = [await opened() for _ in range(5)]
    applied = await asyncio.gather(*(engine.migrate() for engine in engines))
    assert sorted(map(bool, applied)) == [False] * 4 + [True]
    await engines[0].insert([new()])


async def test_absent_tables_are_made_on_sqlite_and_an_error_on_postgresql(opened: Opener) -> None:
    engine = await opened()
    if engine.name == "sqlite":
        await engine.check_schema()
        assert await engine.schema_version() > 0
    else:
        with pytest.raises(SchemaOutdated, match="elihu migrate"):
            await engine.check_schema()


async def test_use_of_absent_tables_says_what_is_missing(opened: Opener) -> None:
    engine = await opened()
    with pytest.raises(SchemaOutdated, match="elihu migrate"):
        await engine.insert([new()])


async def test_newer_tables_are_refused_and_left_alone(engine: Engine, raw: Raw) -> None:
    await raw.execute(
        "UPDATE meta SET value = '9999' WHERE key IN ('schema_version', 'readable_from')"
    )
    with pytest.raises(SchemaTooNew, match="9999"):
        await engine.check_schema()
    with pytest.raises(SchemaTooNew, match="9999"):
        await engine.migrate()
    assert await engine.schema_version() == 9999


async def test_older_tables_ask_for_a_migration(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = await engine.schema_version()
    for name in {
        "sqlite": ["migrations.NEWEST"],
        "postgres": ["migrations.VERSION"],
    }[engine.name]:
        monkeypatch.setattr(f"elihu.engines.{engine.name}.{name}", version + 1)
    with pytest.raises(
        SchemaOutdated, match=f"version {version + 1}.*version {version}.*elihu migrate"
    ):
        await engine.check_schema()


async def test_the_installation_has_an_id_that_stays(engine: Engine, raw: Raw) -> None:
    ((first,),) = await raw.execute("SELECT value FROM meta WHERE key = 'installation_id'")
    assert UUID(first).version == 4
    await engine.migrate()
    ((second,),) = await raw.execute("SELECT value FROM meta WHERE key = 'installation_id'")
    assert first == second


async def test_the_printed_script_makes_the_same_tables(
    opened: Opener, database_url: str, schema: str
) -> None:
    engine = await opened()
    script: str = import_module(f"elihu.engines.{engine.name}.migrations").migration_sql(schema)
    if engine.name == "sqlite":
        with sqlite3.connect(
            database_url.removeprefix("sqlite:///"), isolation_level=None
        ) as connection:
            connection.executescript(script)
        connection.close()
    else:
        raw = await RawPostgres(database_url, schema).open()
        await raw.connection.execute(script)
        await raw.close()
    await engine.check_schema()
    assert await engine.migrate() == []
    await engine.insert([new()])


async def test_a_plain_insert_makes_a_job(engine: Engine, raw: Raw) -> None:
    here = await node(engine)
    await raw.execute(
        """INSERT INTO job (task, queue, args) VALUES ('welcome', 'mail', '{"user_id": 7}')"""
    )
    (claim,) = await fetch(engine, here, queue="mail")
    assert (claim.task, claim.args, claim.attempt, claim.max_attempts, claim.priority) == (
        "welcome",
        '{"user_id": 7}',
        1,
        20,
        0,
    )
    stored = await job(engine, claim.id)
    assert stored.args == {"user_id": 7}
    assert stored.tags == ()
    assert abs((stored.inserted_at - stored.scheduled_at).total_seconds()) < 1


async def test_the_id_of_a_deleted_job_never_comes_back(engine: Engine) -> None:
    before = await put(engine, new(), new(), new())
    await engine.delete(ANY)
    assert min(await put(engine)) > max(before)


async def test_sql_cannot_store_what_no_job_can_be(engine: Engine, raw: Raw) -> None:
    (id_,) = await put(engine)
    for column, value in (
        ("state", "lost"),
        ("state", "completed"),
        ("state", "executing"),
        ("priority", 10),
        ("max_attempts", 0),
    ):
        with pytest.raises(Exception, match=r"(?i)constraint"):
            await raw.put(id_, **{column: value})


FOREIGN = [
    ("meta", "(id integer PRIMARY KEY, title text)"),
    ("meta", "(key text PRIMARY KEY, value text)"),
    ("job", "(id integer PRIMARY KEY, title text)"),
    ("template", "(id integer PRIMARY KEY)"),
    ("cron", "(id integer PRIMARY KEY)"),
]


@pytest.mark.parametrize(("table", "columns"), FOREIGN)
async def test_a_table_of_another_application_is_named_and_left_alone(
    opened: Opener, database_url: str, schema: str, table: str, columns: str
) -> None:
    engine = await opened()
    raw = await raw_for(database_url, schema).open()
    if engine.name == "postgres":
        await raw.execute(f'CREATE SCHEMA "{schema}"')
    await raw.execute(f"CREATE TABLE {table} {columns}")
    for call in (engine.migrate, engine.migrate):
        with pytest.raises(SchemaError, match=f'another application that is called "{table}"'):
            await call()
    if table == "meta":
        with pytest.raises(SchemaError, match="another application"):
            await engine.check_schema()
    assert await raw.execute(f"SELECT * FROM {table}") == []
    await raw.close()


async def test_a_view_of_another_application_is_named(
    opened: Opener, database_url: str, schema: str
) -> None:
    engine = await opened()
    raw = await raw_for(database_url, schema).open()
    if engine.name == "postgres":
        await raw.execute(f'CREATE SCHEMA "{schema}"')
    await raw.execute("CREATE VIEW queue AS SELECT 1 AS name")
    with pytest.raises(SchemaError, match='"queue"'):
        await engine.migrate()
    await raw.close()
