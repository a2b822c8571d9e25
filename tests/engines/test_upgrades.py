"""Code of this release on tables of a later one, and the headers of migrations."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from elihu import Elihu
from elihu.engines.protocol import Engine
from elihu.engines.schema_steps import parse
from elihu.errors import SchemaTooNew
from tests.engines.future import FUTURE, migrate_to_the_future
from tests.engines.raw import Raw

HERE = Path(__file__).parent
ENGINE_TESTS = (
    "test_insert.py", "test_unique.py", "test_exchange_acknowledge.py",
    "test_exchange_fetch.py", "test_stage.py", "test_nodes.py",
    "test_awaiting.py", "test_crons.py", "test_queues.py", "test_templates.py",
)  # fmt: skip


async def test_this_release_uses_tables_that_only_gained_something(
    engine: Engine, raw: Raw
) -> None:
    await migrate_to_the_future(raw)
    version = await engine.schema_version()
    await engine.check_schema()
    assert await engine.migrate() == []
    assert await engine.schema_version() == version


async def test_this_release_refuses_tables_that_need_a_later_one(engine: Engine, raw: Raw) -> None:
    version = await engine.schema_version()
    await migrate_to_the_future(raw)
    await raw.execute(f"UPDATE meta SET value = '{version + 1}' WHERE key = 'readable_from'")
    for verb in (engine.check_schema, engine.migrate):
        with pytest.raises(SchemaTooNew, match=f"version {version} can use, got.*{version + 1}"):
            await verb()
    assert await engine.schema_version() == version + 1


@pytest.mark.more
@pytest.mark.timeout(300)
def test_the_tests_of_this_release_pass_on_such_tables() -> None:
    tests = [str(HERE / name) for name in ENGINE_TESTS]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests],
        env={**os.environ, FUTURE: "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3_000:]


async def test_a_node_and_callers_start_on_such_tables(
    engine: Engine, raw: Raw, database_url: str, schema: str
) -> None:
    await migrate_to_the_future(raw)
    async with Elihu(database_url, schema=schema, grace=1) as app:

        @app.task(name="t")
        async def t() -> int:
            return 7

        async with app.running():
            relay = await t.asubmit()
            assert await relay.aresult(timeout=15) == 7
        assert await app.migrate() == []


def test_the_header_of_a_migration_says_its_kind_and_what_it_needs() -> None:
    plain = parse("0002_add.sql", "ALTER TABLE elihu.job ADD COLUMN x text;")
    assert (plain.version, plain.kind, plain.readable_from) == (2, "transaction", None)
    assert "readable_from" not in plain.stamp()
    headed = parse("0010_x.sql", "-- kind: batches\n-- readable_from: 9\nSELECT 0;\n")
    assert (headed.version, headed.kind, headed.readable_from) == (10, "batches", 9)
    assert "('readable_from', '9')" in headed.stamp()
