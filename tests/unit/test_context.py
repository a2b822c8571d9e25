"""What a running task sees and says."""

import asyncio
import json
import logging
import threading
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pytest

from elihu.context import LOG_LIMIT, MESSAGE_LIMIT, Context
from elihu.errors import InvalidOption
from elihu.job import Job, JobState


class FakeAttempt:
    """An attempt that keeps what it is told."""

    cause: str | None = None
    on_error_due: str | None = None
    committed = False
    carrier = MappingProxyType({"a": "b"})

    def __init__(self, attempt: int = 1, max_attempts: int = 20) -> None:
        self.attempt = attempt
        self.max_attempts = max_attempts
        self.reports: list[str] = []
        self.reads = 0

    def read_job(self) -> Job:
        self.reads += 1
        now = datetime.now(UTC)
        return Job(
            id=7,
            state=JobState.EXECUTING,
            queue="default",
            task="x",
            args={},
            meta={},
            tags=(),
            priority=0,
            attempt=self.attempt,
            max_attempts=self.max_attempts,
            unique_key=None,
            inserted_at=now,
            scheduled_at=now,
        )

    def complete(
        self,
        value: Any,
        conn: object,
        handled: Any = None,
        others: Any = (),
        known: bool = False,
    ) -> None: ...

    async def acomplete(self, value: Any, conn: object) -> None: ...

    def report(self, progress: str) -> None:
        self.reports.append(progress)


class TestAttempt:
    def test_the_job_is_read_once_and_only_when_asked_for(self) -> None:
        attempt = FakeAttempt()
        context = Context(attempt, state="s")
        assert attempt.reads == 0
        assert context.job.id == 7
        assert context.job is context.job
        assert attempt.reads == 1
        assert context.state == "s"

    @pytest.mark.parametrize(("attempt", "last"), [(1, False), (2, False), (3, True), (4, True)])
    def test_which_attempt(self, attempt: int, last: bool) -> None:
        context = Context(FakeAttempt(attempt, 3))
        assert (context.attempt, context.is_last_attempt) == (attempt, last)

    def test_outside_a_node(self, caplog: pytest.LogCaptureFixture) -> None:
        context = Context()
        assert (context.attempt, context.is_last_attempt, context.cancelled, context.state) == (
            1,
            True,
            False,
            None,
        )
        context.progress(1, 2, "half")
        with caplog.at_level(logging.INFO):
            context.log.info("hello")
        assert caplog.messages == ["hello"]
        assert context.log_text() is None
        with pytest.raises(LookupError, match=r"ctx\.job: a direct call of a task has no job"):
            _ = context.job


class TestCancel:
    async def test_waiters_learn_it(self) -> None:
        context = Context(FakeAttempt())
        waiters = [asyncio.ensure_future(context.wait_cancelled()) for _ in range(2)]
        await asyncio.sleep(0)
        assert not any(waiter.done() for waiter in waiters)
        context.cancel()
        async with asyncio.timeout(5):
            await asyncio.gather(*waiters)
            await context.wait_cancelled()
        assert context.cancelled is True

    def test_a_thread_sees_it(self) -> None:
        context = Context(FakeAttempt())
        context.cancel()
        seen: list[bool] = []
        thread = threading.Thread(target=lambda: seen.append(context.cancelled))
        thread.start()
        thread.join(5)
        assert seen == [True]


class TestProgress:
    def test_is_json(self) -> None:
        attempt = FakeAttempt()
        Context(attempt).progress(1, 2.5, "é")
        Context(attempt).progress(3)
        assert [json.loads(report) for report in attempt.reports] == [
            {"done": 1, "total": 2.5, "message": "é"},
            {"done": 3, "total": None, "message": None},
        ]

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), b"x", True])
    def test_what_is_no_finite_number_or_text_is_refused(self, value: Any) -> None:
        attempt = FakeAttempt()
        for name, report in (("done", (value,)), ("total", (1, value)), ("message", (1, 2, value))):
            with pytest.raises(InvalidOption, match=rf"progress\({name}=\): expected"):
                Context(attempt).progress(*report)
        assert attempt.reports == []

    def test_a_message_is_one_that_both_databases_hold(self) -> None:
        attempt = FakeAttempt()
        Context(attempt).progress(1, None, "a\0b\ud800" + "c" * 20_000_000)
        message = json.loads(attempt.reports[0])["message"]
        assert message.startswith("a\N{SYMBOL FOR NULL}b?c")
        assert len(message) == MESSAGE_LIMIT


class TestLog:
    def test_lines_are_kept_and_passed_on(self, caplog: pytest.LogCaptureFixture) -> None:
        context = Context(FakeAttempt())
        assert context.log_text() is None
        with caplog.at_level(logging.DEBUG):
            context.log.debug("one %s", 1)
            context.log.warning("two")
        text = context.log_text()
        assert text is not None
        first, second = text.splitlines()
        assert first.endswith("DEBUG one 1")
        assert second.endswith("WARNING two")
        assert caplog.messages == ["one 1", "two"]
        assert {record.name for record in caplog.records} == {"elihu.job"}

    def test_a_line_that_cannot_be_formatted_does_not_fail_the_task(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        context = Context(FakeAttempt())
        context.log.info("%d", "x")
        context.log.info("after")
        assert str(context.log_text()).endswith("INFO after")
        assert "Logging error" in capsys.readouterr().err

    def test_lines_below_the_level_of_the_program_are_kept_and_not_passed_on(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        context = Context(FakeAttempt())
        with caplog.at_level(logging.WARNING, "elihu.job"):
            context.log.debug("quiet")
        assert caplog.messages == []
        assert "quiet" in str(context.log_text())

    def test_contexts_do_not_mix(self) -> None:
        one, two = Context(FakeAttempt()), Context(FakeAttempt())
        one.log.info("mine")
        assert two.log_text() is None
        two.log.info("yours")
        assert "yours" not in str(one.log_text())

    def test_the_beginning_and_the_end_are_kept(self) -> None:
        context = Context(FakeAttempt())
        for number in range(5_000):
            context.log.info("line %05d", number)
        text = context.log_text()
        assert text is not None
        assert len(text) <= LOG_LIMIT + 100
        lines = text.splitlines()
        assert lines[0].endswith("line 00000")
        assert lines[-1].endswith("line 04999")
        marks = [index for index, line in enumerate(lines) if line.startswith("…")]
        assert len(marks) == 1
        kept = len(lines) - 1
        assert lines[marks[0]] == f"… {5_000 - kept} lines dropped …"
        assert int(lines[marks[0] + 1][-5:]) - int(lines[marks[0] - 1][-5:]) == 5_000 - kept + 1

    def test_a_huge_line_is_cut(self) -> None:
        context = Context(FakeAttempt())
        context.log.info("x" * 1_000_000)
        context.log.info("y" * 1_000_000)
        text = context.log_text()
        assert text is not None
        assert LOG_LIMIT // 2 <= len(text) <= LOG_LIMIT + 100
        assert "y" in text
