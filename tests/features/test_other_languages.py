"""Jobs enqueued without Python: a function in SQL on PostgreSQL, a plain INSERT on both
engines, from the databases' own shells.
"""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from elihu import Elihu, InvalidArguments, JobState, RunOutcome
from elihu.testing.postgres import wheel_bin_dir
from tests.support import QUICK, EventRecorder


async def shell(url: str, sql: str) -> str:
    """What the engine's own shell prints for a statement."""
    if url.startswith("sqlite"):
        path = url.removeprefix("sqlite:///")
        command = [shutil.which("sqlite3") or "", "-cmd", ".timeout 10000", path, sql]
        if not command[0]:
            command = [
                sys.executable,
                "-c",
                "import sqlite3, sys; sqlite3.connect(sys.argv[1]).executescript(sys.argv[2])",
                path,
                sql,
            ]
    else:
        command = [
            str(wheel_bin_dir(18) / "psql"),
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--command",
            sql,
            url,
        ]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode().strip()


@pytest.fixture
async def greeted(app: Elihu) -> list[str]:
    greeted: list[str] = []

    @app.task(name="greet")
    async def greet(name: str) -> None:
        greeted.append(name)

    return greeted


async def test_a_plain_insert_from_the_databases_shell(
    app: Elihu, events: EventRecorder, greeted: list[str], database_url: str
) -> None:
    table = "job" if database_url.startswith("sqlite") else "elihu.job"
    async with app.running({"default": 1, "mail": 1}):
        await shell(
            database_url,
            f"INSERT INTO {table} (task, queue, args)"
            """ VALUES ('greet', 'mail', '{"name": "Åda"}')""",
        )
        await shell(
            database_url,
            f"""INSERT INTO {table} (task, args) VALUES ('greet', '{{"nom": "Ada"}}')""",
        )
        good, bad = await events.ended(1), await events.ended(2)
    assert greeted == ["Åda"]
    assert (good.outcome, good.queue) == (RunOutcome.COMPLETED, "mail")
    assert bad.outcome is RunOutcome.FAILED
    (run,) = await app.jobs.runs(2)
    assert run.error is not None
    assert InvalidArguments.__name__ in run.error


# PostgreSQL's function


@pytest.fixture
async def on_postgres(postgres_url: str) -> AsyncIterator[tuple[Elihu, asyncpg.Connection]]:
    app = Elihu(postgres_url, **QUICK)
    await app.migrate()
    connection = await asyncpg.connect(postgres_url)
    yield app, connection
    await connection.close()
    await app.aclose()


async def test_the_function_from_psql(postgres_url: str, on_postgres: tuple[Elihu, Any]) -> None:
    app, _ = on_postgres
    printed = await shell(
        postgres_url, """SELECT elihu.enqueue('greet', '{"name": "Ada"}', queue => 'mail')"""
    )
    job = await app.jobs.get(int(printed))
    assert (job.task, job.queue, job.args, job.state) == (
        "greet",
        "mail",
        {"name": "Ada"},
        JobState.AVAILABLE,
    )


async def test_what_the_function_stores_is_what_enqueue_stores(
    on_postgres: tuple[Elihu, Any],
) -> None:
    app, connection = on_postgres

    @app.task(name="t")
    async def t(a: int, b: str = "x") -> None: ...

    plain = await app.jobs.get(
        await connection.fetchval("""SELECT elihu.enqueue('t', '{"a": 1, "b": "x"}')""")
    )
    holder = await t.aenqueue(1)
    names = (
        "state",
        "queue",
        "task",
        "args",
        "meta",
        "tags",
        "priority",
        "attempt",
        "max_attempts",
        "unique_key",
    )
    assert [getattr(plain, name) for name in names] == [getattr(holder, name) for name in names]
    assert plain.scheduled_at == plain.inserted_at

    full = await app.jobs.get(
        await connection.fetchval("""SELECT elihu.enqueue(
          task => 't', args => '{}', queue => 'q', priority => 9, max_attempts => 3,
          delay => '90 seconds',
          tags => ARRAY[' VIP ', 'b', 'vip', E'\\ta'], meta => '{"k": [1]}')""")
    )
    assert (full.queue, full.priority, full.max_attempts, full.state) == (
        "q",
        9,
        3,
        JobState.SCHEDULED,
    )
    assert (full.tags, full.meta) == (("vip", "b", "a"), {"k": [1]})
    assert full.scheduled_at - full.inserted_at == timedelta(seconds=90)
    when = datetime(2100, 1, 1, tzinfo=UTC)
    dated = await app.jobs.get(
        await connection.fetchval("SELECT elihu.enqueue('t', run_at => $1)", when)
    )
    assert (dated.scheduled_at, dated.state, dated.args) == (when, JobState.SCHEDULED, {})


REFUSALS = [
    ("''", "task: expected a text of 1 to 200 characters"),
    ("NULL", "task: expected a text of 1 to 200 characters without control characters, got NULL"),
    ("E'a\\nb'", "task: expected"),
    ("'t', '[1]'", "args: expected an object of keywords, got array"),
    ("'t', 'null'", "args: expected an object of keywords, got null"),
    ("'t', queue => ''", "queue: expected"),
    ("'t', queue => NULL", "queue: expected"),
    ("'t', priority => 10", "priority: expected a whole number from 0 to 9, got 10"),
    ("'t', max_attempts => 0", "max_attempts: expected a whole number from 1 to 1,000,000, got 0"),
    ("'t', delay => '1h', run_at => now()", "expected delay or run_at, got both"),
    ("'t', delay => '-1s'", "delay: expected no negative interval"),
    ("'t', run_at => 'infinity'", "run_at: expected a time, got infinity"),
    ("'t', tags => ARRAY[' ']", "tags: expected texts of 1 to 200"),
    ("'t', tags => ARRAY[NULL::text]", "tags: expected texts of 1 to 200"),
    (
        "'t', tags => ARRAY(SELECT n::text FROM generate_series(1, 101) n)",
        "tags: expected at most 100 tags, got 101",
    ),
    ("'t', meta => '[]'", "meta: expected an object, got array"),
]


async def test_what_the_function_refuses(on_postgres: tuple[Elihu, Any]) -> None:
    app, connection = on_postgres
    for call, complaint in REFUSALS:
        with pytest.raises(asyncpg.InvalidParameterValueError, match=f"^enqueue: {complaint}"):
            await connection.fetchval(f"SELECT elihu.enqueue({call})")
    assert await app.jobs.count() == 0


@pytest.mark.parametrize("schema", ["elihu", "other_1"])
async def test_the_function_announces_in_its_transaction_and_schema(
    postgres_url: str, schema: str
) -> None:
    app = Elihu(postgres_url, schema=schema)
    await app.migrate()
    received: asyncio.Queue[str] = asyncio.Queue()
    listener, caller = await asyncpg.connect(postgres_url), await asyncpg.connect(postgres_url)
    channel = f"elihu_{schema}_signal"
    await listener.add_listener(channel, lambda *args: received.put_nowait(args[-1]))
    async with caller.transaction():
        await caller.fetch(
            f"SELECT {schema}.enqueue('t', json_build_object('n', n), queue => 'mail') FROM "
            "generate_series(1, 3) n"
        )
        await caller.fetchval(f"SELECT {schema}.enqueue('t', queue => 'later', delay => '1h')")
    async with caller.transaction():
        await caller.fetchval(f"SELECT {schema}.enqueue('t')")
    undone = caller.transaction()
    await undone.start()
    await caller.fetchval(f"SELECT {schema}.enqueue('t', queue => 'undone')")
    await undone.rollback()
    await caller.execute(f"NOTIFY {channel}, 'end'")
    assert [await received.get() for _ in range(3)] == ["jobs:mail", "jobs:default", "end"]
    assert await app.jobs.count() == 5
    await caller.execute(f"DROP SCHEMA {schema} CASCADE")
    await listener.close()
    await caller.close()
    await app.aclose()
