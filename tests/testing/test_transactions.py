"""Jobs of an open transaction, seen through the connection that holds it."""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from elihu import Cancel, InvalidOption, JobState, Snooze, Task, WrongDatabase
from elihu.testing import AppUnderTest, Drained
from tests.triggers.store import driver_url

Note = Task[..., Any]


@pytest.fixture
def note(elihu_app: AppUnderTest) -> Note:
    @elihu_app.task(name="note")
    async def note(number: int) -> None: ...

    return note


@pytest.fixture
def connection(elihu_app: AppUnderTest) -> Iterator[Any]:
    """A connection of a synchronous driver."""
    url = elihu_app.config.database_url
    if url.startswith("sqlite"):
        opened: Any = sqlite3.connect(url.removeprefix("sqlite:///"))
    else:
        opened = psycopg.connect(url)
    yield opened
    opened.close()


@pytest.fixture
async def session(elihu_app: AppUnderTest) -> AsyncIterator[AsyncSession]:
    engine = create_async_engine(driver_url(elihu_app.config.database_url, "async"))
    async with AsyncSession(engine) as session:
        yield session
    await engine.dispose()


def test_a_synchronous_connection(elihu_app: AppUnderTest, note: Note, connection: Any) -> None:
    job = note.using(conn=connection).enqueue(7)
    elihu_app.refute_enqueued(note)
    assert elihu_app.assert_enqueued(note, args={"number": 7}, conn=connection).id == job.id
    assert [each.id for each in elihu_app.all_enqueued(conn=connection)] == [job.id]
    with pytest.raises(AssertionError, match="got 1"):
        elihu_app.refute_enqueued(note, conn=connection)
    connection.rollback()
    elihu_app.refute_enqueued(note, conn=connection)


async def test_an_asynchronous_session(
    elihu_app: AppUnderTest, note: Note, session: AsyncSession
) -> None:
    job = await note.using(conn=session).aenqueue(7)
    await elihu_app.refute_enqueued(note)
    assert (await elihu_app.assert_enqueued(note, conn=session)).id == job.id
    await session.commit()
    assert (await elihu_app.assert_enqueued(note)).id == job.id


async def test_inline_leaves_a_job_to_its_transaction(
    elihu_app: AppUnderTest, note: Note, session: AsyncSession
) -> None:
    with elihu_app.inline():
        job = await note.using(conn=session).aenqueue(7)
        assert job.state is JobState.AVAILABLE
        await session.commit()
    assert await elihu_app.drain() == Drained(completed=1)


@pytest.fixture
def ran(elihu_app: AppUnderTest, connection: Any) -> list[str]:
    """What tasks of every end write when they run."""
    ran: list[str] = []

    @elihu_app.task(name="first")
    def first() -> None:
        ran.append("first")

    @elihu_app.task(name="snooze", queue="other")
    async def snooze() -> Snooze:
        ran.append("snooze")
        return Snooze(5)

    @elihu_app.task(name="fail", max_attempts=2)
    async def fail() -> None:
        ran.append("fail")
        raise ValueError

    @elihu_app.task(name="give_up", max_attempts=1)
    async def give_up() -> None:
        ran.append("give_up")
        raise ValueError

    @elihu_app.task(name="cancel")
    async def cancel() -> None:
        ran.append("cancel")
        raise Cancel

    return ran


def test_drain_inside_a_transaction(
    elihu_app: AppUnderTest, connection: Any, ran: list[str]
) -> None:
    for name in ("first", "snooze", "fail", "give_up", "cancel"):
        elihu_app.task_named(name).using(conn=connection).enqueue()
    elihu_app.task_named("first").using(conn=connection, delay="1h").enqueue()
    assert elihu_app.drain() == Drained()
    assert ran == []
    assert elihu_app.drain(queue="other", conn=connection) == Drained(snoozed=1)
    assert elihu_app.drain(conn=connection) == Drained(
        completed=1, failed=1, discarded=1, cancelled=1
    )
    assert ran == ["snooze", "first", "fail", "give_up", "cancel"]
    assert elihu_app.drain(conn=connection) == Drained()
    elihu_app.clock.advance(3_601)
    assert elihu_app.drain(conn=connection) == Drained(completed=1)
    connection.rollback()
    elihu_app.task_named("first").using(conn=connection, delay="1h").enqueue()
    assert elihu_app.drain(conn=connection) == Drained()
    assert elihu_app.drain(conn=connection, scheduled=True) == Drained(completed=1)


async def test_drain_runs_what_its_jobs_enqueue_in_the_transaction(
    elihu_app: AppUnderTest, note: Note, session: AsyncSession
) -> None:
    @elihu_app.task(name="outer")
    async def outer() -> None:
        await note.using(conn=session).aenqueue(7)

    await outer.using(conn=session).aenqueue()
    assert await elihu_app.drain(conn=session) == Drained(completed=2)
    await session.rollback()
    assert await elihu_app.drain() == Drained()


def test_connections_that_cannot_be_used(elihu_app: AppUnderTest, note: Note) -> None:
    with pytest.raises(InvalidOption, match="conn: expected"):
        elihu_app.assert_enqueued(note, conn=7)
    engine = create_async_engine("sqlite+aiosqlite://")
    with pytest.raises(InvalidOption, match="synchronous"):
        elihu_app.assert_enqueued(note, conn=AsyncSession(engine))
    elsewhere = sqlite3.connect(":memory:")
    with pytest.raises(WrongDatabase):
        elihu_app.assert_enqueued(note, conn=elsewhere)
    elsewhere.close()
