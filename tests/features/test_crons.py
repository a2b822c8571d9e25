"""Cron entries as users meet them: declared in code, made and changed at run time."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from elihu import (
    CronError,
    CronNotFound,
    DuplicateCron,
    Elihu,
    ElihuError,
    InvalidArguments,
    InvalidCron,
    InvalidOption,
    InvalidTask,
    Task,
    Tasks,
    Unique,
    UnknownTask,
)
from elihu.telemetry.events import JobStopped
from tests.support import QUICK, EventRecorder


async def nightly(app: Elihu) -> Task[..., Any]:
    """An entry of the code, with the row that a node would write."""

    @app.cron(
        "0 3 * * *",
        tz="Europe/Oslo",
        name="nightly",
        args={"day": date(2026, 1, 1)},
        queue="slow",
        tags=["Night"],
    )
    @app.task(name="report", priority=2, unique=Unique())
    def report(day: date, full: bool = False) -> None: ...

    async with app.running():
        pass
    return report


async def test_a_function_becomes_a_task_and_an_entry(app: Elihu, seen: EventRecorder):
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
        await seen.count(JobStopped, 1)
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
        with pytest.raises(
            UnknownTask, match="expected an app that knows the task 'report', whose jobs are unique"
        ):
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
        with pytest.raises(CronError, match="'nightly', which the code declares: pause it"):
            await other.crons.delete("nightly")  # no node lives: its code may start again
        async with other.running():
            await other.crons.delete("nightly")
            assert await other.crons.list() == []


class TestRefused:
    @pytest.fixture
    def t(self, app: Elihu) -> Task[..., Any]:
        @app.task(name="t")
        async def t(number: int = 0) -> None: ...

        return t

    def test_two_entries_on_one_task_without_names(self, app: Elihu, t: Task[..., Any]):
        app.cron("@daily", name="one")(t)
        app.cron("@hourly", name="two")(t)
        with pytest.raises(
            DuplicateCron,
            match="cron of task 't': expected name= for each of several entries on one task, got one without",
        ):
            app.cron("@weekly")(t)

        @app.task(name="u")
        async def u() -> None: ...

        app.cron("@daily")(u)
        with pytest.raises(DuplicateCron, match="cron of task 'u': expected name="):
            app.cron("@hourly", name="three")(u)
        with pytest.raises(DuplicateCron, match="cron 'one': expected a new name"):
            app.cron("@daily", name="one")(app.task(name="v")(u.fn))

    @pytest.mark.parametrize(
        ("text", "options", "error", "expected"),
        [
            ("61 * * * *", {}, InvalidCron, "minute: expected a whole number from 0 to 59, got 61"),
            ("@daily", {"tz": "Mars/Olympus"}, InvalidCron, "tz: expected the name of a time zone"),
            (
                "@daily",
                {"catch_up": "some"},
                InvalidOption,
                "cron of task 't': catch_up: expected one of none, last, all, got 'some'",
            ),
            ("@daily", {"args": {"nmber": 1}}, InvalidArguments, "nmber: expected one of number"),
            (
                "@daily",
                {"args": {"number": "x"}},
                InvalidArguments,
                "number: expected a valid integer",
            ),
            (
                "@daily",
                {"args": [1]},
                InvalidOption,
                "args: expected a dictionary of the task's arguments by name",
            ),
            (
                "@daily",
                {"name": ""},
                InvalidOption,
                "cron of task 't': name: expected a text of 1 to 200 characters",
            ),
            (
                "@daily",
                {"delay": 5},
                InvalidOption,
                "expected options that each of its jobs can have, got delay",
            ),
            (
                "@daily",
                {"priority": 10},
                InvalidOption,
                "priority: expected a whole number from 0 to 9, got 10",
            ),
            ("@daily", {"run_in": "thread"}, InvalidOption, "expected an option out of"),
        ],
    )
    def test_declarations(
        self,
        app: Elihu,
        t: Task[..., Any],
        text: str,
        options: dict[str, Any],
        error: type[ElihuError],
        expected: str,
    ):
        with pytest.raises(error) as caught:
            app.cron(text, **options)(t)
        assert expected in str(caught.value)
        app.cron("@daily")(t)  # nothing is left of it

    def test_a_function_without_a_stable_name(self, app: Elihu):
        with pytest.raises(InvalidTask, match=r"needs @app.task\(name=…\) below @app.cron"):

            @app.cron("@daily", name="entry")
            def inner() -> None: ...

    @pytest.mark.parametrize(
        ("options", "error", "expected"),
        [
            ({"cron": "* * * * * *"}, InvalidCron, "expected five fields"),
            ({"cron": "0 0 30 2 *"}, InvalidCron, "would never fire"),
            ({"tz": "Nowhere"}, InvalidCron, "tz: expected the name of a time zone"),
            ({"catch_up": "x"}, InvalidOption, "catch_up: expected one of none, last, all"),
            ({"args": {"number": "x"}}, InvalidArguments, "number"),
            ({"args": {"number": float("nan")}}, InvalidArguments, "args"),
            ({"priority": 10}, InvalidOption, "priority: expected a whole number from 0 to 9"),
            ({"queue": ""}, InvalidOption, "queue: expected a text"),
            ({"meta": {"a": object()}}, InvalidOption, "meta"),
        ],
    )
    async def test_create_and_update(
        self,
        app: Elihu,
        t: Task[..., Any],
        options: dict[str, Any],
        error: type[ElihuError],
        expected: str,
    ):
        with pytest.raises(error) as caught:
            await app.crons.create("e", **{"cron": "@daily", "task": "t", **options})
        assert expected in str(caught.value)
        assert await app.crons.list() == []
        before = await app.crons.create("e", "@daily", t)
        with pytest.raises(error) as caught:
            await app.crons.update("e", **options)
        assert expected in str(caught.value)
        assert await app.crons.get("e") == before

    async def test_unknown_and_taken_names(self, app: Elihu, t: Task[..., Any]):
        with pytest.raises(UnknownTask, match="did you mean 't'"):
            await app.crons.create("e", "@daily", "tt")
        await app.crons.create("e", "@daily", "t")
        with pytest.raises(
            DuplicateCron, match="cron 'e': expected a new name, got that of another entry"
        ):
            await app.crons.create("e", "@hourly", "t")
        for verb in ("get", "pause", "resume", "reset", "delete", "run_now", "update"):
            with pytest.raises(
                CronNotFound, match="expected the name of a cron entry, got 'nobody'"
            ):
                await getattr(app.crons, verb)("nobody")
            with pytest.raises(InvalidOption, match="name: expected a text"):
                await getattr(app.crons, verb)("a\0b")

    async def test_delete_of_the_codes_and_reset_of_ones_own(self, app: Elihu):
        await nightly(app)
        with pytest.raises(
            CronError,
            match="delete: expected an entry made at run time, got 'nightly', which the code declares: pause it",
        ):
            await app.crons.delete("nightly")
        await app.crons.create("mine", "@daily", "report", args={"day": "2026-01-01"})
        with pytest.raises(
            CronError,
            match="reset: expected an entry of the code, got 'mine', which was made at run time",
        ):
            await app.crons.reset("mine")


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
