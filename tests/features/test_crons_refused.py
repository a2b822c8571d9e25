"""Cron entries that are refused, and in which words."""

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
    UnknownTask,
)
from tests.features.cron_tasks import nightly

pytestmark = pytest.mark.sqlite_first


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
            match=(
                "cron of task 't': expected name= for each of several entries on "
                "one task, got one without"
            ),
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
            DuplicateCron, match="cron 'e': expected a new name, got the name of another entry"
        ):
            await app.crons.create("e", "@hourly", "t")
        for verb in ("get", "pause", "resume", "reset", "delete", "run_now", "update"):
            with pytest.raises(CronNotFound, match="cron 'nobody' not found"):
                await getattr(app.crons, verb)("nobody")
            with pytest.raises(InvalidOption, match="name: expected a text"):
                await getattr(app.crons, verb)("a\0b")

    async def test_delete_of_the_codes_and_reset_of_ones_own(self, app: Elihu):
        await nightly(app)
        with pytest.raises(
            CronError,
            match="delete: cron 'nightly' is declared in code: pause it",
        ):
            await app.crons.delete("nightly")
        await app.crons.create("mine", "@daily", "report", args={"day": "2026-01-01"})
        with pytest.raises(
            CronError,
            match="reset: cron 'mine' was made at run time",
        ):
            await app.crons.reset("mine")
