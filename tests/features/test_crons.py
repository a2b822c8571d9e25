"""Cron entries as users meet them: declared in code, made and changed at run time."""

from datetime import UTC, date, datetime, timedelta

import pytest

from elihu import (
    CronError,
    DuplicateCron,
    Elihu,
    Tasks,
    UnknownTask,
)
from elihu.telemetry.events import JobStopped
from tests.features.cron_tasks import nightly
from tests.support import QUICK, EventRecorder


async def test_a_function_becomes_a_task_and_an_entry(app: Elihu, events: EventRecorder):
    ran: list[str] = []

    @app.task(name="t")
    async def other() -> None: ...

    def of_module() -> None:
        ran.append("yes")

    of_module.__qualname__ = "of_module"
    task = app.cron("@reboot", max_attempts=3)(of_module)
    assert (task.name, task.options.max_attempts) == (f"{__name__}.of_module", 3)
    assert app.task_named(task.name) is task
    async with app.running():
        await events.count(JobStopped, 1)
    assert ran == ["yes"]
    (entry,) = await app.crons.list()
    assert (entry.name, entry.task, entry.cron, entry.max_attempts) == (
        task.name,
        task.name,
        "@reboot",
        3,
    )
    assert entry.fired_at is not None
    assert (await app.jobs.get(entry.job_id or 0)).scheduled_at == entry.fired_at


async def test_an_entry_of_the_code(app: Elihu):
    await nightly(app)
    (entry,) = await app.crons.list()
    assert (entry.name, entry.cron, entry.tz, entry.catch_up, entry.task) == (
        "nightly",
        "0 3 * * *",
        "Europe/Oslo",
        "last",
        "report",
    )
    assert (entry.args, entry.queue, entry.priority, entry.max_attempts) == (
        {"day": "2026-01-01", "full": False},
        "slow",
        2,
        20,
    )
    assert (entry.tags, entry.meta, entry.source, entry.paused, entry.changed) == (
        ("night",),
        {},
        "code",
        False,
        (),
    )
    assert not entry.fires  # no node lives
    assert entry.next_at is not None
    assert datetime.now(UTC) < entry.next_at <= datetime.now(UTC) + timedelta(hours=25)
    assert (entry.fired_at, entry.job_id) == (None, None)
    assert entry == await app.crons.get("nightly")


async def test_a_change_at_run_time_survives_restarts_and_new_code_until_it_is_reset(
    app: Elihu, database_url: str
):
    await nightly(app)
    changed = await app.crons.update("nightly", cron="*/5 * * * *", priority=0, tags=[])
    await app.crons.pause("nightly")
    assert (changed.cron, changed.priority, changed.tags, changed.changed) == (
        "*/5 * * * *",
        0,
        (),
        ("cron", "priority", "tags"),
    )

    newer = Elihu(database_url, **QUICK)

    @newer.cron("0 4 * * *", name="nightly", queue="fast", priority=9)
    @newer.task(name="report")
    def report() -> None: ...

    async with newer, newer.running():
        entry = await newer.crons.get("nightly")
        assert (entry.cron, entry.priority, entry.queue, entry.tz, entry.paused) == (
            "*/5 * * * *",
            0,
            "fast",
            "UTC",
            True,
        )
        assert not entry.fires
        entry = await newer.crons.reset("nightly")
        assert (entry.cron, entry.priority, entry.queue, entry.paused, entry.changed) == (
            "0 4 * * *",
            9,
            "fast",
            False,
            (),
        )
        assert entry.fires


async def test_entries_made_at_run_time(app: Elihu):
    @app.task(name="t", queue="q", tags=["a"])
    async def t(number: int, text: str = "") -> None: ...

    entry = await app.crons.create(
        "mine",
        "@daily",
        t,
        tz="Europe/Oslo",
        catch_up="all",
        args={"number": 7},
        tags=["b"],
        meta={"k": 1},
    )
    assert (entry.task, entry.args, entry.queue, entry.tags, entry.meta) == (
        "t",
        {"number": 7, "text": ""},
        "q",
        ("a", "b"),
        {"k": 1},
    )
    assert (entry.source, entry.fires, entry.catch_up) == ("runtime", True, "all")
    entry = await app.crons.update(
        "mine", args={"number": "8"}, queue="other", catch_up="none", max_attempts=1
    )
    assert (
        entry.args["number"],
        entry.queue,
        entry.catch_up,
        entry.max_attempts,
        entry.changed,
    ) == (8, "other", "none", 1, ())
    assert (
        await app.crons.create("sleeper", "@daily", "t", args={"number": 1}, paused=True)
    ).paused
    assert [each.name for each in await app.crons.list()] == ["mine", "sleeper"]
    await app.crons.delete("mine")
    assert [each.name for each in await app.crons.list()] == ["sleeper"]


async def test_an_app_without_tasks_takes_any_task(app: Elihu):
    entry = await app.crons.create(
        "free", "@daily", "elsewhere.task", args={"anything": [1]}, queue="q", priority=3, meta={}
    )
    assert (entry.task, entry.args, entry.queue, entry.priority) == (
        "elsewhere.task",
        {"anything": [1]},
        "q",
        3,
    )
    entry = await app.crons.update("free", args={"other": 1})
    assert entry.args == {"other": 1}


async def test_run_now_stores_the_job_and_leaves_the_ticks(app: Elihu):
    await nightly(app)
    before = await app.crons.pause("nightly")
    job = await app.crons.run_now("nightly")
    assert (job.task, job.queue, job.args, job.state) == (
        "report",
        "slow",
        {"day": "2026-01-01", "full": False},
        "available",
    )
    assert await app.crons.get("nightly") == before
    assert (await app.crons.run_now("nightly")).conflict  # the task is unique


async def test_a_change_of_arguments_changes_what_is_unique(app: Elihu, database_url: str):
    report = await nightly(app)
    job = await app.crons.run_now("nightly")
    await app.crons.update("nightly", args={"day": "2026-01-02"})
    second = await app.crons.run_now("nightly")
    assert not second.conflict
    assert second.id != job.id
    holder = await report.aenqueue(date(2026, 1, 2))
    assert (holder.conflict, holder.id) == (True, second.id)
    assert (await app.crons.get("nightly")).changed == ("args",)
    async with Elihu(database_url, **QUICK) as bare:
        with pytest.raises(UnknownTask, match="the jobs of its task 'report' are unique"):
            await bare.crons.update("nightly", args={"day": "2026-01-03"})
        assert (await bare.crons.update("nightly", priority=5)).priority == 5


async def test_pause_and_resume_may_be_said_twice(app: Elihu):
    await nightly(app)
    assert [(await app.crons.pause("nightly")).paused for _ in range(2)] == [True, True]
    assert [(await app.crons.resume("nightly")).paused for _ in range(2)] == [False, False]


async def test_an_entry_that_the_code_declares_no_more_can_be_removed(
    app: Elihu, database_url: str
):
    await nightly(app)
    async with Elihu(database_url, **QUICK) as other:
        with pytest.raises(CronError, match="cron 'nightly' is declared in code: pause it"):
            await other.crons.delete("nightly")  # no node lives: its code may start again
        async with other.running():
            await other.crons.delete("nightly")
            assert await other.crons.list() == []


def test_groups_declare_entries_too(app: Elihu):
    tasks = Tasks(prefix="mail.")

    @tasks.cron("@daily", name="daily")
    @tasks.cron("@hourly", name="hourly")
    @tasks.task(name="send")
    async def send() -> None: ...

    @tasks.cron("@weekly")
    @tasks.task(name="clean")
    async def clean() -> None: ...

    assert tasks.timetable.names() == ["mail.clean", "mail.daily", "mail.hourly"]
    app.include(tasks)

    @tasks.cron("@monthly")
    @tasks.task(name="late")
    async def late() -> None: ...

    other = Tasks()
    other.cron("@daily", name="mail.daily")(other.task(name="x")(send.fn))
    with pytest.raises(DuplicateCron, match=r"cron 'mail.daily': expected a new name"):
        app.include(other)
    assert "x" not in app.task_names()
    other.cron("@daily", name="mail.late")(other.task(name="y")(send.fn))
