"""The tables on PostgreSQL: made once by many at once, kept apart by schema, printed as
a script.
"""

import asyncio
from itertools import chain
from uuid import UUID

import pytest

from elihu.engines.postgres.migrations import VERSION, migration_sql
from elihu.errors import PermissionDenied, SchemaError, SchemaOutdated, SchemaTooNew
from elihu.job import JobFilter, NewJob
from elihu.testing.postgres import PostgresServer
from tests.engines.postgres_support import Watcher, engine_on, locked, psql

EVERY_VERSION = list(range(1, VERSION + 1))

EVERYTHING = """
  SELECT c.relname, c.relkind::text, c.reloptions::text, a.attname,
    format_type(a.atttypid, a.atttypmod), a.attnotnull,
    pg_get_expr(d.adbin, d.adrelid), (SELECT collname FROM pg_collation WHERE oid = a.attcollation),
    CASE WHEN c.relkind = 'i' THEN pg_get_indexdef(c.oid) END
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
  LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
  WHERE c.relnamespace = 'elihu'::regnamespace
  UNION ALL
  SELECT conrelid::regclass::text, 'constraint', pg_get_constraintdef(oid), conname,
    NULL, NULL, NULL, NULL, NULL
  FROM pg_constraint WHERE connamespace = 'elihu'::regnamespace
  ORDER BY 1, 2, 4, 3
"""


async def test_many_processes_at_once_make_the_tables_once(postgres_url: str) -> None:
    async def one() -> list[int]:
        async with engine_on(postgres_url, migrate=False) as engine:
            return await engine.migrate()

    applied = await asyncio.gather(*(one() for _ in range(8)))
    assert sorted(chain.from_iterable(applied)) == EVERY_VERSION


async def test_a_schema_that_another_process_is_making(postgres_url: str) -> None:
    async with (
        engine_on(postgres_url, migrate=False) as engine,
        psql(postgres_url) as connection,
    ):
        async with locked(postgres_url, "CREATE SCHEMA elihu"):
            migration = asyncio.create_task(engine.migrate())
            await Watcher(connection).until_waiting(1)
        assert await migration == EVERY_VERSION


async def test_a_migration_has_no_deadline(postgres_url: str) -> None:
    lock = "SELECT pg_advisory_xact_lock(hashtextextended('elihu migrate elihu', 0))"
    async with engine_on(postgres_url, migrate=False, call_timeout=0.1) as engine:
        async with locked(postgres_url, lock):
            migration = asyncio.create_task(engine.migrate())
            done, _ = await asyncio.wait([migration], timeout=0.5)
            assert not done
        assert await migration == EVERY_VERSION


async def test_versions(postgres_url: str) -> None:
    async with engine_on(postgres_url, migrate=False) as engine, psql(postgres_url) as connection:
        assert await engine.schema_version() == 0
        with pytest.raises(
            SchemaOutdated, match=r'expected tables of version \d+, got none: run "elihu migrate"'
        ):
            await engine.check_schema()
        await engine.migrate()
        assert await engine.schema_version() == VERSION
        await engine.check_schema()
        installation = await connection.fetchval(
            "SELECT value FROM elihu.meta WHERE key = 'installation_id'"
        )
        assert UUID(installation).version == 4
        await connection.execute(
            "UPDATE elihu.meta SET value = '999' WHERE key IN ('schema_version', 'readable_from')"
        )
        with pytest.raises(SchemaTooNew, match="999"):
            await engine.check_schema()
        with pytest.raises(SchemaTooNew, match="999"):
            await engine.migrate()
        await connection.execute("UPDATE elihu.meta SET value = '0' WHERE key = 'schema_version'")
        with pytest.raises(SchemaOutdated, match="got none"):
            await engine.check_schema()


async def test_a_failed_migration_leaves_nothing(postgres_url: str) -> None:
    async with engine_on(postgres_url, migrate=False) as engine, psql(postgres_url) as connection:
        await connection.execute("CREATE SCHEMA elihu; CREATE TABLE elihu.run ()")
        with pytest.raises(SchemaError, match='is called "run"'):
            await engine.migrate()
        assert await connection.fetchval(
            "SELECT array_agg(relname::text) FROM pg_class WHERE relnamespace = "
            "'elihu'::regnamespace"
        ) == ["run"]
        await connection.execute("DROP TABLE elihu.run")
        assert await engine.migrate() == EVERY_VERSION


async def test_schemas_are_kept_apart_whatever_their_names(postgres_url: str) -> None:
    names = ["elihu", "select", "user", "a", "_", "x" * 41]
    for number, name in enumerate(names):
        async with engine_on(postgres_url, schema=name) as engine:
            await engine.insert([NewJob(task=name) for _ in range(number + 1)])
            await engine.insert([NewJob(task=name, unique_key=b"same", unique_scope=0)])
    for number, name in enumerate(names):
        async with engine_on(postgres_url, schema=name) as engine:
            assert {job.task for job in (await engine.find(JobFilter(), None, 100)).items} == {name}
            assert await engine.count(JobFilter()) == number + 2
    async with psql(postgres_url) as connection:
        assert len(
            await connection.fetch(
                "SELECT DISTINCT nspname FROM pg_namespace WHERE nspname = ANY($1)", names
            )
        ) == len(names)
        assert (
            await connection.fetchval(
                "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            )
            == 0
        )


async def test_an_existing_schema_needs_no_right_to_create_one(postgres_url: str) -> None:
    async with psql(postgres_url) as connection:
        await connection.execute("DROP ROLE IF EXISTS modest")
        await connection.execute(
            "CREATE ROLE modest LOGIN; CREATE SCHEMA jobs AUTHORIZATION modest"
        )
    modest = postgres_url.replace("postgres@", "modest@")
    async with engine_on(modest, schema="jobs") as engine:
        assert await engine.count(JobFilter()) == 0
    async with engine_on(modest, schema="others", migrate=False) as engine:
        with pytest.raises(PermissionDenied, match="GRANT CREATE ON DATABASE"):
            await engine.migrate()


async def test_the_printed_script_makes_the_same_tables(
    postgres_url: str, postgres_server: PostgresServer
) -> None:
    printed = postgres_server.create_database("printed")
    async with engine_on(postgres_url), psql(postgres_url) as one, psql(printed) as other:
        await other.execute(migration_sql("elihu"))
        assert await other.fetch(EVERYTHING) == await one.fetch(EVERYTHING)
        async with engine_on(printed, migrate=False) as engine:
            await engine.check_schema()
            assert await engine.migrate() == []


def test_the_script_has_no_other_schema_in_it() -> None:
    script = migration_sql("jobs")
    assert "elihu." not in script
    assert '"jobs".job' in script
