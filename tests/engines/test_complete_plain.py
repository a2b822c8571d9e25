"""Plain completions in a caller's transaction on PostgreSQL: a lean statement does what
the one for every end does.
"""

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import create_async_engine

from elihu.config import Config
from elihu.engines.in_transaction import Answer, Completion, open_session
from elihu.engines.in_transaction.steps import are_plain
from elihu.engines.postgres import in_transaction
from elihu.engines.postgres.channel import channel_of
from elihu.engines.postgres.engine import PostgresEngine
from elihu.errors import SchemaOutdated
from elihu.job import JobState, NewJob, RunOutcome
from tests.engines.builders import job
from tests.engines.postgres_support import engine_on, registered

END = Completion(1, 1, "node", "here", "1", None, None, None, False)
ROW = "SELECT state, result::text, reason, orphans, finished_at IS NULL FROM elihu.job WHERE id = "


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[PostgresEngine]:
    async with engine_on(postgres_url) as engine:
        yield engine


async def ended(
    engine: PostgresEngine, url: str, installation: str | None = None, *, wanted: bool
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], list[str]]:
    """The answers, the rows and what was announced, for a plain job, an awaited one, one
    of a lost claim, and one that is not executed any more.
    """
    node = await registered(engine)
    await engine.insert([NewJob(task="t"), NewJob(task="t", awaited=True), *[NewJob(task="t")] * 2])
    claims = (await engine.exchange(node, "default", 9, [])).claims
    with psycopg.connect(url) as connection, psycopg.connect(url, autocommit=True) as listener:
        here = connection.execute("SELECT value FROM elihu.meta WHERE key = 'installation_id'")
        ((known,),) = here.fetchall()
        connection.execute(
            "UPDATE elihu.job SET state = 'discarded', finished_at = now() WHERE id = %s",
            [claims[3].id],
        )
        listener.execute(f"LISTEN {channel_of('elihu')}")
        ends = [
            END._replace(
                id=claim.id,
                claim=claim.claim + (claim is claims[2]),
                node=node,
                installation=installation or known,
                wanted=wanted,
            )
            for claim in claims
        ]
        session = open_session(connection, Config(database_url=url))
        answers = [
            (answer.done, answer.installation == known, answer.state)
            for answer in session.complete(ends)
        ]
        connection.commit()
        rows = [connection.execute(ROW + str(claim.id)).fetchall()[0] for claim in claims]
        told = [each.payload for each in listener.notifies(timeout=0.2, stop_after=1)]
        assert told in ([], [f"ended:{claims[1].id}"])
    return answers, rows, ["ended"] * len(told)


@pytest.mark.parametrize("wanted", [False, True])
@pytest.mark.parametrize("installation", [None, "elsewhere"])
async def test_the_two_statements_do_the_same(
    engine: PostgresEngine,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
    wanted: bool,
    installation: str | None,
) -> None:
    lean = await ended(engine, postgres_url, installation, wanted=wanted)
    monkeypatch.setattr(in_transaction, "are_plain", lambda ends: False)
    assert lean == await ended(engine, postgres_url, installation, wanted=wanted)
    executing, completed = JobState.EXECUTING, JobState.COMPLETED
    answers, rows, told = lean
    if installation:
        assert [done for done, *_ in answers] == [False] * 4
        return
    assert answers == [
        (True, True, executing),
        (True, True, executing),
        (False, True, executing),
        (False, True, "discarded"),
    ]
    assert rows[:2] == [
        (completed, "1" if wanted else None, None, 0, False),
        (completed, "1", None, 0, False),
    ]
    assert told == ["ended"]


async def test_a_plain_end_takes_one_statement(
    engine: PostgresEngine, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[str] = []
    monkeypatch.setattr(in_transaction, "_complete_any", lambda *given: called.append("any"))
    node = await registered(engine)
    await engine.insert([NewJob(task="t")] * 3)
    claims = (await engine.exchange(node, "default", 9, [])).claims
    with psycopg.connect(postgres_url) as connection:
        here = connection.execute("SELECT value FROM elihu.meta WHERE key = 'installation_id'")
        ((known,),) = here.fetchall()
        session = open_session(connection, Config(database_url=postgres_url))
        ends = [
            END._replace(id=claim.id, claim=claim.claim, node=node, installation=known)
            for claim in claims
        ]
        assert session.complete(ends, known=True) == [Answer(True, known, JobState.EXECUTING)] * 3
    assert not called


@pytest.mark.parametrize(
    "fields",
    [
        {"reason": "large"},
        {"log": "line"},
        {"error_type": "builtins:ValueError"},
        {"to_state": JobState.DISCARDED.value},
        {"outcome": RunOutcome.FAILED.value},
        {"error": "no"},
        {"traceback": "no"},
    ],
)
def test_an_end_with_more_to_tell_is_not_plain(fields: dict[str, Any]) -> None:
    assert are_plain([END, END._replace(id=2, claim=7)])
    assert not are_plain([END._replace(**fields)])
    assert not are_plain([END, END._replace(id=2, **fields)])


def test_ends_with_different_values_are_not_plain_together() -> None:
    assert are_plain([END._replace(value="2", wanted=True)])
    assert not are_plain([END, END._replace(id=2, value="2")])
    assert not are_plain([END, END._replace(id=2, wanted=True)])


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
async def test_an_end_in_a_known_database_is_executed_below_sqlalchemy(
    engine: PostgresEngine, postgres_url: str, driver: str
) -> None:
    node = await registered(engine)
    await engine.insert([NewJob(task="t")] * 2)
    claims = (await engine.exchange(node, "default", 9, [])).claims
    here = await engine.installation()
    ends = [
        END._replace(id=claim.id, claim=claim.claim, node=node, installation=here)
        for claim in claims
    ]
    seen: list[str] = []

    def work(connection: Connection) -> list[Answer]:
        connection.execute(text("SELECT 1"))  # begins the transaction
        event.listen(connection, "before_cursor_execute", lambda *given: seen.append(given[2]))
        session = open_session(connection, Config(database_url=postgres_url))
        answers = session.complete(ends[:1], known=True)
        elsewhere = open_session(connection, Config(database_url=postgres_url, schema="nowhere"))
        savepoint = connection.begin_nested()
        with pytest.raises(SchemaOutdated):
            elsewhere.complete(ends[1:], known=True)
        savepoint.rollback()
        return answers + session.complete(ends[1:], known=True)

    database = create_async_engine(postgres_url.replace("postgresql:", f"postgresql+{driver}:"))
    try:
        async with database.begin() as connection:
            answers = await connection.run_sync(work)
    finally:
        await database.dispose()
    assert answers == [Answer(True, here, JobState.EXECUTING)] * 2
    assert [sql for sql in seen if "SAVEPOINT" not in sql] == []
    for claim in claims:
        assert (await job(engine, claim.id)).state is JobState.COMPLETED
