"""What pages read: bounded, and not more often for more rows, on both engines."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from sqlalchemy import text as sql

from elihu import DatabaseUnavailable, Elihu
from elihu.commands.admission import Pair
from elihu.commands.models import Command, CommandJob, CommandJobEvent, Environment
from elihu.commands.rules import commands, crons, environments, schedules
from elihu.commands.usual import USUAL_OF, durations_of, usual_of, usual_seconds
from elihu.engines.protocol.rollups import NUMBERS, RollUp
from elihu.orm.sessions import Sessions
from elihu.web.pages import shapes
from elihu.web.reads import ended
from elihu.web.reads.ended import Ended
from elihu.web.reads.latest import latest_runs
from tests.web.pages.conftest import Browser
from tests.web.pages.counting import counted

START = datetime(2030, 1, 1, tzinfo=UTC)


def ran(
    number: int,
    command: Command,
    place: Environment,
    *,
    took: int = 1_000,
    status: str = "succeeded",
) -> list[CommandJob | CommandJobEvent]:
    """A run that has ended, and its event."""
    at = START + timedelta(minutes=number)
    run_id = UUID(int=(int(at.timestamp() * 1_000) << 80) + command.id.int % 2**64)
    ends: Any = {"id": run_id, "status": status, "started_at": at, "finished_at": at}
    return [
        CommandJob(
            **ends, command_id=command.id, command_name=command.name, environment_id=place.id,
            environment_name=place.name, shell_command="true", mode="shell", source="now",
            max_attempts=1, created_at=at, due_at=at,
        ),
        CommandJobEvent(
            **ends, command_job_id=run_id, command_id=command.id, attempt=1, duration_ms=took,
            stdout="", stderr="",
        ),
    ]  # fmt: skip


async def place_and_commands(
    sessions: Sessions, names: str, place: str = "production"
) -> tuple[Environment, list[Command]]:
    """An environment with a command of each letter, each on a schedule."""
    async with sessions.begin() as session:
        made = await environments.create(session, name=place)
        cron = await crons.create(session, name=f"hourly in {place}", expression="0 * * * *")
        found = []
        for name in names:
            command = await commands.create(session, name=name, shell_command="true")
            await schedules.create(
                session, command_id=command.id, environment_ids=[made.id], cron_ids=[cron.id]
            )
            found.append(command)
    return made, found


async def test_the_usual_time_is_the_median_of_the_last_that_succeeded(
    sessions: Sessions,
) -> None:
    place, (often, seldom, never) = await place_and_commands(sessions, "abc")
    other, _ = await place_and_commands(sessions, "", "staging")
    async with sessions.begin() as session:
        for number in range(USUAL_OF):
            session.add_all(ran(number, often, place, took=9_000))
        session.add_all(ran(1, seldom, place, took=5_000))
        session.add_all(ran(2, seldom, place, took=7_000))
        session.add_all(ran(3, seldom, place, took=1, status="failed"))
        for number in range(100, 100 + USUAL_OF):
            session.add_all(ran(number, often, place, took=2_000))
    pairs = [Pair(each.id, where.id) for each in (often, seldom, never) for where in (place, other)]
    async with sessions.read() as session:
        found = await usual_of(session, pairs)
        assert await usual_seconds(session, pairs[2]) == 6.0
    assert found == dict(zip(pairs, [2.0, None, 6.0, None, None, None], strict=True))


async def test_the_last_runs_of_each_command(sessions: Sessions) -> None:
    place, (often, seldom, never) = await place_and_commands(sessions, "abc")
    async with sessions.begin() as session:
        for number in range(8):
            session.add_all(ran(number, often, place, status="failed" if number == 6 else "lost"))
        session.add_all(ran(9, seldom, place))
    async with sessions.read() as session:
        found = await latest_runs(session, [often.id, seldom.id, never.id], 3)
        assert await latest_runs(session, [], 3) == {}
    assert set(found) == {often.id, seldom.id}
    assert found[often.id].statuses == ["lost", "failed", "lost"]
    assert found[often.id].created_at == START + timedelta(minutes=7)
    assert found[seldom.id].statuses == ["succeeded"]


@pytest.mark.parametrize(
    ("path", "most"),
    [("/", 35), ("/commands", 16), ("/schedules", 20), ("/runs", 16), ("/queues", 12)],
)
async def test_a_page_asks_no_more_often_for_more_rows(
    app: Elihu,
    web: FastAPI,
    sessions: Sessions,
    browser: Browser,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    most: int,
) -> None:
    monkeypatch.setattr("elihu.web.context.LOOK_AGAIN", 60.0)

    async def asked() -> int:
        web.state.elihu.menu = None
        with counted(app) as calls:
            page = await browser.get(path)
        assert page.answer.status_code == 200
        return calls.number

    before = 0
    for round_, names in enumerate(("ab", "cdefgh")):
        place, found = await place_and_commands(sessions, names, f"place {round_}")
        async with sessions.begin() as session:
            for number, command in enumerate(found):
                session.add_all(ran(number, command, place))
        if round_ == 0:
            await browser.get(path)
            before = await asked()
    assert await asked() == before <= most


async def test_usual_times_are_read_from_the_runs_of_the_pair(
    app: Elihu, sessions: Sessions
) -> None:
    place, (command,) = await place_and_commands(sessions, "a")
    statement = durations_of([Pair(command.id, place.id)])
    async with sessions.read() as session:
        dialect = session.get_bind().dialect
        text = str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        schema = app.config.schema
        if dialect.name == "sqlite":
            explain = "EXPLAIN QUERY PLAN " + text.replace("elihu.", "")
        else:
            await session.execute(sql("SET LOCAL enable_seqscan = off"))
            explain = "EXPLAIN " + text.replace("elihu.", f'"{schema}".')
        plan = " ".join(str(row) for row in await session.execute(sql(explain)))
    assert "command_event_job" in plan
    assert "command_event_pkey" not in plan


class Clock:
    """The time that ``ended`` sees."""

    def __init__(self, at: datetime) -> None:
        self.at = at.timestamp()

    def time(self) -> float:
        return self.at

    monotonic = time


async def test_what_ended_long_ago_is_read_once_a_minute(
    app: Elihu, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(START + timedelta(hours=3, minutes=10))
    monkeypatch.setattr(ended, "time", clock)
    asked: list[tuple[float, float]] = []
    answers: list[Any] = []

    async def throughput(*, since: datetime, until: datetime, **_: Any) -> list[Any]:
        asked.append(((since - START) / timedelta(hours=1), (until - START) / timedelta(hours=1)))
        if answers:
            raise answers.pop()
        return [since]

    monkeypatch.setattr(app.stats, "throughput", throughput)
    begin = int(START.timestamp())
    figures = Ended(app)

    async def points() -> int:
        return len(await figures.points(begin, begin + 4 * 3_600, 3_600, by="queue"))

    answers.append(DatabaseUnavailable("away"))
    with pytest.raises(DatabaseUnavailable):
        await points()
    assert await points() == 2
    assert asked == [(0, 3), (0, 3), (3, 4)]  # a failed read is not kept
    assert await points() == 2
    assert asked[3:] == [(3, 4)]
    clock.at += 61
    await points()
    assert asked[4:] == [(0, 3), (3, 4)]
    clock.at += 3_600
    await points()
    assert asked[6:] == [(0, 4)]  # the next hour is past, too
    await figures.aclose()


async def test_figures_without_histograms(app: Elihu) -> None:
    row = RollUp(int(START.timestamp()), "q", "t", "completed", tuple(range(1, len(NUMBERS) + 1)))
    engine = await app._clients.client().ready()
    await engine.write_rollups(str(UUID(int=1)), [row])
    asked: dict[str, Any] = {
        "since": START,
        "until": START + timedelta(hours=1),
        "step": 3_600,
        "by": "task",
    }
    (whole,) = await app.stats.throughput(**asked)
    (part,) = await app.stats.throughput(**asked, histograms=False)
    assert (part.at, part.key, part.outcome) == (whole.at, "t", "completed")
    assert (part.jobs, part.run_ms, part.wait_ms) == (1, 2, 3)
    assert (part.run_histogram, part.wait_histogram) == ((), ())
    assert whole.run_histogram[0] == 4


def test_marks_of_a_look_are_one_path() -> None:
    marks = [(0.5, 2.0, "plan"), (10.0, 3.0, "bad"), (20.0, 2.0, "plan")]
    plan = "M0.5 2h2v8h-2zM20 2h2v8h-2z"
    assert shapes.row(marks, 2, 8) == [("plan", plan), ("bad", "M10 2h3v8h-3z")]
    assert shapes.strip(["ok", "bad", "plan"]) == [
        ("ok", "M0 6h7v8h-7z"), ("bad", "M10 0h7v14h-7z"), ("idle", "M20 6h7v8h-7z"),
    ]  # fmt: skip
