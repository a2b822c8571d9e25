"""From ticks to runs: each occurrence once, whoever dispatches it, and skipped ones
stored.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from sqlalchemy import bindparam, text

from elihu.commands.admission import Admission
from elihu.commands.dispatch import dispatch, dispatch_boot
from elihu.commands.models import CatchUp, CommandJob, Cron
from elihu.orm.columns import Moment
from tests.commands.workshop import Workshop

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def occurrences(rows: list[CommandJob], status: str | None = None) -> list[datetime]:
    return sorted(row.occurrence for row in rows if row.occurrence and status in {None, row.status})


async def add_dispatch_job(workshop: Workshop, tick: datetime) -> None:
    """Store the job that the cron entry makes for a tick."""
    config = workshop.app.config
    table = "job" if config.database_url.startswith("sqlite") else f"{config.schema}.job"
    statement = text(
        f"INSERT INTO {table} (task, queue, occurrence) "
        "VALUES ('commands.dispatch_due', 'commands_dispatch', :tick)"
    ).bindparams(bindparam("tick", tick, Moment()))
    async with workshop.sessions.begin() as session:
        await session.execute(statement)


async def test_each_cron_in_each_environment_is_a_run_of_its_own_with_a_job(
    workshop: Workshop,
) -> None:
    places = [await workshop.environment(name) for name in ("one", "two")]
    times = [await workshop.cron("* * * * *"), await workshop.cron("0 12 * * *")]
    times.append(await workshop.cron("30 * * * *"))
    command = await workshop.command("true", overlap="allow")
    await workshop.schedule(command, places, times, since=LONG_AGO)
    assert await dispatch(workshop.host, NOON) == {"stored": 4, "skipped": 0}
    rows = await workshop.all()
    assert {(row.cron_id, row.environment_id) for row in rows} == {
        (cron.id, place.id) for cron in times[:2] for place in places
    }
    assert {row.occurrence for row in rows} == {NOON}
    assert {row.cron_expression for row in rows} == {"* * * * *", "0 12 * * *"}
    for row in rows:
        assert (row.status, row.source) == ("queued", "schedule")
        assert row.job_id is not None
        job = await workshop.app.jobs.get(row.job_id)
        assert job.args == {"run_id": str(row.id)}
        assert job.queue == "commands"


@pytest.mark.parametrize("what", ["command", "environment", "cron", "schedule"])
async def test_what_is_disabled_does_not_run(workshop: Workshop, what: str) -> None:
    def given(kind: str) -> dict[str, Any]:
        return {"enabled": kind != what}

    place = await workshop.environment(**given("environment"))
    cron = await workshop.cron(**given("cron"))
    command = await workshop.command(**given("command"))
    await workshop.schedule(command, [place], [cron], since=LONG_AGO, **given("schedule"))
    assert await dispatch(workshop.host, NOON) == {"stored": 0, "skipped": 0}


async def test_a_tick_is_dispatched_once_however_often_and_by_however_many(
    workshop: Workshop,
) -> None:
    place, cron = await workshop.environment(), await workshop.cron()
    command = await workshop.command(overlap="allow")
    await workshop.schedule(command, [place], [cron], since=LONG_AGO)
    done = await asyncio.gather(*(dispatch(workshop.host, NOON) for _ in range(5)))
    assert sorted(each["stored"] for each in done) == [0, 0, 0, 0, 1]
    await dispatch(workshop.host, NOON + MINUTE)
    await dispatch(workshop.host, NOON)
    rows = await workshop.all()
    assert occurrences(rows) == [NOON, NOON + MINUTE]
    assert await workshop.app.jobs.count(task="commands.run") == 2


async def test_a_late_dispatch_of_an_earlier_tick_neither_misses_nor_doubles(
    workshop: Workshop,
) -> None:
    place, cron = await workshop.environment(), await workshop.cron()
    command = await workshop.command(overlap="allow")
    await workshop.schedule(command, [place], [cron], since=LONG_AGO)
    await dispatch(workshop.host, NOON)
    await add_dispatch_job(workshop, NOON + MINUTE)
    await dispatch(workshop.host, NOON + 3 * MINUTE)
    await dispatch(workshop.host, NOON + MINUTE)
    rows = await workshop.all()
    assert occurrences(rows, "queued") == [NOON, NOON + MINUTE, NOON + 3 * MINUTE]
    assert occurrences(rows, "skipped") == [NOON + 2 * MINUTE]


async def test_a_dispatch_that_ends_in_the_middle_leaves_nothing_and_is_repeated(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, cron = await workshop.environment(), await workshop.cron()
    command = await workshop.command(overlap="allow")
    await workshop.schedule(command, [place], [cron], since=LONG_AGO)
    reached = asyncio.Event()
    store = Admission.store

    async def stuck(admission: Admission) -> None:
        await store(admission)
        reached.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(Admission, "store", stuck)
        first = asyncio.create_task(dispatch(workshop.host, NOON))
        await reached.wait()
        first.cancel()
        await asyncio.wait([first])
    assert await workshop.all() == []
    assert await workshop.app.jobs.count(task="commands.run") == 0
    assert await dispatch(workshop.host, NOON) == {"stored": 1, "skipped": 0}
    assert await workshop.app.jobs.count(task="commands.run") == 1


@pytest.mark.parametrize(
    ("catch_up", "run", "skipped"),
    [
        ("none", [], [9, 10, 11, 12]),
        ("last", [12], [9, 10, 11]),
        ("all", [9, 10, 11, 12], []),
    ],
)
async def test_after_a_stop_catch_up_decides_and_what_is_left_out_is_stored(
    workshop: Workshop, catch_up: CatchUp, run: list[int], skipped: list[int]
) -> None:
    place, cron = await workshop.environment(), await workshop.cron("0 * * * *")
    command = await workshop.command(overlap="allow")
    await workshop.schedule(command, [place], [cron], since=LONG_AGO, catch_up=catch_up)
    await dispatch(workshop.host, NOON - 4 * HOUR + 30 * MINUTE)
    await dispatch(workshop.host, NOON + 30 * MINUTE)
    rows = await workshop.all()
    assert [at.hour for at in occurrences(rows, "queued")] == run
    assert [at.hour for at in occurrences(rows, "skipped")] == skipped
    for row in rows:
        if row.status == "skipped":
            assert row.reason == f"missed, and catch_up is {catch_up}"
            (event,) = await workshop.events(row.id)
            assert (event.status, event.reason) == ("skipped", row.reason)


async def test_what_is_new_or_was_disabled_has_missed_nothing(workshop: Workshop) -> None:
    place, cron = await workshop.environment(), await workshop.cron("0 * * * *")
    command = await workshop.command(overlap="allow")
    await dispatch(workshop.host, NOON - 3 * HOUR)
    await workshop.schedule(command, [place], [cron], since=NOON - HOUR + MINUTE, catch_up="all")
    await dispatch(workshop.host, NOON + 30 * MINUTE)
    assert occurrences(await workshop.all()) == [NOON]


async def test_overlap_is_decided_in_order_and_skips_are_stored(workshop: Workshop) -> None:
    place = await workshop.environment()
    times = [await workshop.cron(), await workshop.cron()]
    command = await workshop.command()
    await workshop.schedule(command, [place], times, since=LONG_AGO)
    assert await dispatch(workshop.host, NOON) == {"stored": 2, "skipped": 1}
    first, second = await workshop.all()
    assert (first.status, first.cron_id) == ("queued", times[0].id)
    assert (second.status, second.reason) == ("skipped", "an earlier run has not ended")
    assert second.job_id is None
    await dispatch(workshop.host, NOON + MINUTE)
    assert [row.status for row in await workshop.all()] == ["queued"] + 3 * ["skipped"]


async def test_a_cron_that_cannot_be_read_any_more_stops_no_other(
    workshop: Workshop, caplog: pytest.LogCaptureFixture
) -> None:
    place, fine = await workshop.environment(), await workshop.cron()
    name = f"odd in {workshop.app.config.database_url}"  # said once a process
    odd = await workshop.cron(name=name[:200])
    for cron in (odd, fine):
        await workshop.schedule(await workshop.command(), [place], [cron], since=LONG_AGO)
    async with workshop.sessions.begin() as session:
        row = await session.get(Cron, odd.id)
        assert row is not None
        row.timezone = "Mars/Olympus"
    for minute in (0, 1):
        await dispatch(workshop.host, NOON + minute * MINUTE)
    assert {row.cron_id for row in await workshop.all()} == {fine.id}
    said = [text for text in caplog.messages if "Mars/Olympus" in text]
    assert len(said) == 1
    assert "of commands does not run" in said[0]


async def test_at_reboot_runs_once_for_a_boot_and_at_no_tick(workshop: Workshop) -> None:
    place, cron = await workshop.environment(), await workshop.cron("@reboot")
    command = await workshop.command(overlap="allow")
    await workshop.schedule(command, [place], [cron], since=LONG_AGO)
    boot = NOON + timedelta(seconds=12.5)
    assert await dispatch(workshop.host, NOON) == {"stored": 0, "skipped": 0}
    assert await dispatch_boot(workshop.host, boot) == {"stored": 1, "skipped": 0}
    assert await dispatch_boot(workshop.host, boot) == {"stored": 0, "skipped": 0}
    assert occurrences(await workshop.all()) == [boot]


ZONES = {
    "Europe/Oslo": datetime(2026, 10, 24, 23, 0, tzinfo=UTC),
    "America/New_York": datetime(2026, 3, 8, 5, 0, tzinfo=UTC),
    "Australia/Sydney": datetime(2026, 4, 4, 14, 0, tzinfo=UTC),
}
"""Hours before a change of the clock."""


@pytest.mark.parametrize("zone", ZONES)
async def test_across_a_change_of_the_clock_each_occurrence_is_dispatched_once(
    workshop: Workshop, zone: str
) -> None:
    start = ZONES[zone]
    end = start + 4 * HOUR
    place = await workshop.environment()
    texts = ["30 2 * * *", "15 * * * *", "*/20 1-3 * * *"]
    times = [await workshop.cron(text, timezone=zone) for text in texts]
    command = await workshop.command(overlap="allow")
    await workshop.schedule(command, [place], times, since=start, catch_up="all")
    tick = start
    while tick < end:
        tick += MINUTE
        if tick.minute % 5 == 0 and tick.minute != 35:  # the minute of 35 and others are missed
            await dispatch(workshop.host, tick)
            if tick.minute == 20:
                await dispatch(workshop.host, tick)
    rows = await workshop.all()
    assert {row.status for row in rows} == {"queued"}
    for cron in times:
        seen = occurrences([row for row in rows if row.cron_id == cron.id])
        expected = []
        for found in CronSim(cron.expression, start.astimezone(ZoneInfo(zone))):
            at = found.astimezone(UTC)
            if at > end:
                break
            expected.append(at)
        assert seen == expected
