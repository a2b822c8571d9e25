"""Migrations of tables in use: locks, indexes, batches, the printed script."""

import asyncio
import logging
import subprocess
from typing import Any

import pytest

from elihu.engines.postgres import migrations
from elihu.engines.postgres.migrations import VERSION, migration_sql
from elihu.engines.postgres.steps import MIGRATIONS
from elihu.engines.schema_steps import Migration, parse
from elihu.job import NewJob
from tests.engines.postgres_support import Watcher, engine_on, locked, psql, until

ADD = "ALTER TABLE elihu.job ADD COLUMN later text;\n"
INDEX = """-- kind: concurrently
CREATE INDEX CONCURRENTLY IF NOT EXISTS job_later ON elihu.job (task);
"""
BATCHES = """-- kind: batches
WITH piece AS (SELECT id FROM elihu.job WHERE reason IS NULL LIMIT 10), changed AS (
  UPDATE elihu.job SET reason = 'seen' WHERE id IN (SELECT id FROM piece) RETURNING id
) SELECT count(*) FROM changed;
"""


def later(monkeypatch: pytest.MonkeyPatch, *texts: str) -> list[int]:
    """Give this code further migrations; their versions."""
    steps: list[Migration] = [
        parse(f"{VERSION + number:04d}_later.sql", sql) for number, sql in enumerate(texts, 1)
    ]
    monkeypatch.setattr(migrations, "MIGRATIONS", (*MIGRATIONS, *steps))
    monkeypatch.setattr(migrations, "VERSION", VERSION + len(steps))
    monkeypatch.setattr(migrations, "_PAUSE", 0.1)
    return [step.version for step in steps]


async def test_a_step_that_waits_for_a_reader_lets_others_pass_and_names_the_reader(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with engine_on(postgres_url) as engine, psql(postgres_url) as writer:
        versions = later(monkeypatch, ADD)
        monkeypatch.setattr(migrations, "SET_LOCK_TIMEOUT", "SET LOCAL lock_timeout = 300")
        reader = "LOCK TABLE elihu.job IN ACCESS SHARE MODE"
        async with locked(postgres_url, reader) as reading:
            pid = await reading.fetchval("SELECT pg_backend_pid()")
            with caplog.at_level(logging.WARNING, "elihu"):
                migrating = asyncio.create_task(engine.migrate())
                await Watcher(writer).until_waiting(1)
                for _ in range(3):
                    await writer.execute("INSERT INTO elihu.job (task) VALUES ('t')", timeout=3)

                async def warned() -> bool:
                    return bool(await writer.fetchval("SELECT true") and caplog.records)

                await until(warned)
            assert f"pid {pid} (postgres, locker, idle in transaction" in caplog.text
            assert not migrating.done()
        assert await migrating == versions
        await engine.check_schema()


async def test_limits_of_the_database_do_not_end_a_step(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine_on(postgres_url), psql(postgres_url) as connection:
        for setting in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
            await Watcher(connection).set_default(f"SET {setting} TO '200ms'")
    versions = later(
        monkeypatch, f"SELECT pg_sleep(0.4);\n{ADD}", INDEX + "SELECT pg_sleep(0.4);\n"
    )
    async with engine_on(postgres_url, migrate=False) as engine:
        assert await engine.migrate() == versions


async def test_an_index_is_made_beside_open_transactions_by_one_of_many(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine_on(postgres_url) as engine, psql(postgres_url) as connection:
        versions = later(monkeypatch, INDEX)
        await connection.execute("CREATE INDEX job_later ON elihu.job (task)")
        await connection.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'elihu.job_later'::regclass"
        )
        broken = await connection.fetchval("SELECT 'elihu.job_later'::regclass::oid")
        applied = await asyncio.gather(*(engine.migrate() for _ in range(3)))
        assert sorted(applied) == [[], [], versions]
        row = await connection.fetchrow(
            "SELECT indisvalid, indexrelid FROM pg_index "
            "WHERE indexrelid = 'elihu.job_later'::regclass"
        )
        assert row["indisvalid"]
        assert row["indexrelid"] != broken


async def test_batches_are_transactions_of_their_own(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with engine_on(postgres_url) as engine, psql(postgres_url) as connection:
        await engine.insert([NewJob(task="t")] * 35)
        versions = later(monkeypatch, BATCHES)
        last = "SELECT id FROM elihu.job ORDER BY id DESC LIMIT 1 FOR UPDATE"
        async with locked(postgres_url, last):
            migrating = asyncio.create_task(engine.migrate())
            await Watcher(connection).until_waiting(1)
            seen = "SELECT count(*) FROM elihu.job WHERE reason = 'seen'"
            assert await connection.fetchval(seen) == 30
            assert not migrating.done()
        assert await migrating == versions
        assert await connection.fetchval(seen) == 35
        assert await engine.migrate() == []


@pytest.mark.parametrize("after", [0, VERSION])
async def test_the_script_for_psql_has_every_kind_of_step(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    if after:
        async with engine_on(postgres_url) as engine:
            await engine.insert([NewJob(task="t")] * 35)
    versions = later(monkeypatch, ADD, INDEX, BATCHES)
    script = migration_sql("elihu", after)
    assert ("CREATE TABLE" in script) is (after == 0)
    assert "lock_timeout" in script
    done = await asyncio.to_thread(_psql, postgres_url, script)
    assert done.returncode == 0, done.stderr
    async with engine_on(postgres_url, migrate=False) as engine, psql(postgres_url) as connection:
        await engine.check_schema()
        assert await engine.schema_version() == versions[-1]
        assert await engine.migrate() == []
        unseen = "SELECT count(*) FROM elihu.job WHERE reason IS DISTINCT FROM 'seen'"
        assert await connection.fetchval(unseen) == 0


def _psql(url: str, script: str) -> Any:
    return subprocess.run(
        ["psql", "--no-psqlrc", "-v", "ON_ERROR_STOP=1", url],
        input=script, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
