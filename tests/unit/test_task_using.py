"""From a task and its arguments to a job that can be stored: ``build``, ``using``,
``enqueue``.
"""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from elihu.errors import (
    ArgumentsTooLarge,
    InvalidArguments,
    InvalidOption,
    InvalidTask,
    TaskNotBound,
)
from elihu.job import NewJob
from elihu.options import Unique
from elihu.task.configured import ConfiguredTask
from elihu.task.declare import declare
from elihu.task.registry import Registry
from elihu.task.task import Task
from elihu.triggers import Tasks
from tests.unit.fake_enqueuer import FakeEnqueuer, made


def refused(task: Task[..., Any], **options: Any) -> str:
    with pytest.raises(InvalidOption) as caught:
        task.using(**options)
    assert str(caught.value).startswith("task order: using: ")
    return str(caught.value)


class TestBuild:
    def test_defaults(self) -> None:
        assert made().build(7) == NewJob(task="order", args='{"user_id":7,"at":null}')

    def test_the_task_s_options(self) -> None:
        task = made(
            queue="mail",
            priority=3,
            max_attempts=5,
            tags=["a"],
            meta={"b": 1},
            record=True,
            backoff=3,
            max_orphans=5,
        )
        assert task.build(7, at="2026-01-02") == NewJob(
            task="order",
            args='{"user_id":7,"at":"2026-01-02"}',
            queue="mail",
            priority=3,
            max_attempts=5,
            tags=("a",),
            meta='{"b":1}',
            options='{"max_orphans":5}',
        )

    def test_nothing_invalid_is_built(self) -> None:
        with pytest.raises(InvalidArguments) as caught:
            made().build("x")
        assert caught.value.field == "user_id"

    def test_the_default_limit_is_a_mebibyte(self) -> None:
        task = declare(lambda a: None, {"name": "x"})
        assert len(task.build("x" * (1_048_576 - 8)).args) == 1_048_576
        with pytest.raises(ArgumentsTooLarge):
            task.build("x" * (1_048_576 - 7))

    def test_the_app_s_limit(self) -> None:
        with pytest.raises(ArgumentsTooLarge, match="at most 10 bytes of JSON, got 23"):
            made(FakeEnqueuer(max_args=10)).build(7)


class TestEnqueue:
    async def test_both_ways(self) -> None:
        enqueuer = FakeEnqueuer()
        task = made(enqueuer)
        assert task.enqueue(7).id == 1
        assert (await task.aenqueue(8)).id == 2
        assert task.using(priority=2).enqueue(9).priority == 2
        assert (await task.using(priority=3).aenqueue(10)).priority == 3
        assert [json.loads(new.args)["user_id"] for new in enqueuer.stored] == [7, 8, 9, 10]

    async def test_nothing_invalid_is_stored(self) -> None:
        enqueuer = FakeEnqueuer()
        task = made(enqueuer)
        for bad in ("x", None, 1.5):
            with pytest.raises(InvalidArguments):
                task.enqueue(bad)
            with pytest.raises(InvalidArguments):
                await task.aenqueue(bad)
        assert enqueuer.stored == []

    async def test_without_an_app(self) -> None:
        with pytest.raises(
            TaskNotBound, match="task order belongs to a group that no app includes"
        ):
            made().enqueue(7)
        with pytest.raises(TaskNotBound):
            await made().using(priority=1).aenqueue(7)

    def test_what_using_returned_before_the_app_came(self) -> None:
        task = made()
        later = task.using(priority=2)
        enqueuer = FakeEnqueuer()
        task.bind(enqueuer)
        later.enqueue(7)
        assert enqueuer.stored[0].priority == 2


class TestUsing:
    def test_the_task_itself_stays(self) -> None:
        task = made()
        assert isinstance(task.using(priority=5, queue="x"), ConfiguredTask)
        assert task.build(7).priority == 0
        assert "order" in repr(task.using())

    def test_options_replace_the_task_s(self) -> None:
        new = (
            made(queue="a", priority=1, max_attempts=2)
            .using(queue="b", priority=0, max_attempts=9, hold=True)
            .build(7)
        )
        assert (new.queue, new.priority, new.max_attempts, new.hold) == ("b", 0, 9, True)

    def test_tags_add_and_meta_goes_over(self) -> None:
        new = (
            made(tags=["a", "b"], meta={"x": 1, "y": {"z": 1}})
            .using(tags=["B ", "c"], meta={"y": 2, "w": 3})
            .build(7)
        )
        assert new.tags == ("a", "b", "c")
        assert new.meta == '{"x":1,"y":2,"w":3}'

    @pytest.mark.parametrize(
        ("delay", "seconds"), [("10m", 600.0), (0, 0.0), (1.5, 1.5), (timedelta(hours=1), 3600.0)]
    )
    def test_delay(self, delay: Any, seconds: float) -> None:
        new = made().using(delay=delay).build(7)
        assert (new.delay, new.run_at) == (seconds, None)

    def test_run_at(self) -> None:
        at = datetime(2030, 1, 1, tzinfo=timezone(timedelta(hours=2)))
        new = made().using(run_at=at, delay=None).build(7)
        assert (new.delay, new.run_at) == (None, at)

    @pytest.mark.parametrize(
        ("task", "using", "stored"),
        [
            ({}, {"record": True}, {"record": True}),
            ({"record": True}, {"record": False}, {"record": False}),
            ({"record": True}, {"record": True}, None),
            ({}, {"record": False}, None),
            ({}, {"backoff": "1m"}, {"backoff": 60.0}),
            ({"backoff": 60}, {"backoff": "1m"}, None),
            ({"backoff": 60}, {"backoff": 0}, {"backoff": 0.0}),
            ({"backoff": lambda job, error: 1}, {"backoff": 1}, {"backoff": 1.0}),
            (
                {"max_orphans": 1},
                {"record": True, "backoff": 1},
                {"max_orphans": 1, "record": True, "backoff": 1.0},
            ),
        ],
    )
    def test_only_what_differs_from_the_task_is_stored(
        self, task: Any, using: Any, stored: Any
    ) -> None:
        options = made(**task).using(**using).build(7).options
        assert (options and json.loads(options)) == stored

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"delay": -1}, "delay: expected a duration"),
            ({"delay": "soon"}, "delay: expected a duration"),
            (
                {"delay": 1, "run_at": datetime(2030, 1, 1, tzinfo=UTC)},
                "expected delay or run_at, got both",
            ),
            ({"run_at": datetime(2030, 1, 1)}, "run_at: expected a datetime with a time zone"),  # noqa: DTZ001
            ({"run_at": "2030-01-01"}, "run_at: expected a datetime"),
            ({"run_at": 3}, "run_at: expected a datetime"),
            ({"hold": 1}, "hold: expected True or False"),
            ({"queue": ""}, "queue: expected a text"),
            ({"queue": None}, "queue: expected a text"),
            ({"priority": 10}, "priority: expected a whole number from 0 to 9"),
            ({"max_attempts": 0}, "max_attempts: expected a whole number from 1 to 1,000,000"),
            ({"backoff": lambda job, error: 1}, "a callable cannot be stored"),
            ({"backoff": None}, "backoff: expected a duration"),
            ({"unique": 3}, "unique: expected Unique"),
            ({"unique": Unique(keys=("z",))}, "got 'z'"),
            ({"tags": "a"}, "tags: expected a list of texts"),
            ({"meta": []}, "meta: expected a dictionary"),
            ({"record": "yes"}, "record: expected True or False"),
            ({"retry_on": OSError}, "got retry_on"),
            ({"max_orphans": 3}, "got max_orphans"),
            ({"prioritty": 1}, "did you mean priority?"),
            ({"notify": False}, "notify: expected conn with it, got none"),
            ({"notify": 1, "conn": object()}, "notify: expected True or False, got 1"),
            ({"timeout": 0}, "timeout: expected at least a millisecond"),
            ({"timeout": -1}, "timeout: expected a duration"),
            ({"timeout": "367d"}, "timeout: expected at most 366 days"),
            ({"expires": 0}, "expires: expected at least a millisecond"),
            ({"expires": "tomorrow"}, "expires: expected a duration"),
        ],
    )
    def test_refusals(self, options: dict[str, Any], words: str) -> None:
        assert words in refused(made(), **options)

    def test_limits_of_one_job(self) -> None:
        task = made(timeout=30, expires="1h")
        assert (task.build(1).options, task.build(1).expires) == (None, 3_600.0)
        assert task.using(timeout="30s", expires=60).build(1) == task.using(expires=60).build(1)
        shorter = task.using(timeout=0.5, expires=None).build(1)
        assert (shorter.options, shorter.expires) == ('{"timeout":0.5}', None)
        assert task.using(timeout=None).build(1).options == '{"timeout":null}'

    def test_tags_and_meta_are_bounded_together(self) -> None:
        task = made(tags=[str(n) for n in range(60)], meta={"a": "x" * 40_000})
        assert "100 tags" in refused(task, tags=[f"t{n}" for n in range(60)])
        assert "65,536 bytes" in refused(task, meta={"b": "x" * 40_000})

    def test_recording_what_has_no_json_form(self) -> None:
        def opaque() -> FakeEnqueuer:
            return FakeEnqueuer()

        with pytest.raises(InvalidTask, match="return annotation"):
            declare(opaque, {"name": "x"}).using(record=True)


class TestBinding:
    def test_a_group_gives_its_tasks_to_the_app(self) -> None:
        group = Tasks()
        enqueuer, registry = FakeEnqueuer(), Registry()

        @group.task(name="x")
        def fn(a: int) -> None: ...

        group.join(enqueuer, registry)
        fn.enqueue(1)
        assert enqueuer.stored[0].task == "x"
        assert fn.enqueuer is enqueuer


def test_a_conn_of_none_is_given_and_an_absent_one_is_not() -> None:
    enqueuer = FakeEnqueuer()
    task = made(enqueuer)
    task.enqueue(1)
    task.using(delay=1).enqueue(1)
    task.using(conn=None).enqueue(1)
    task.using(conn="mine").enqueue(1)
    assert enqueuer.conns == ["not given", "not given", None, "mine"]


def test_a_record_is_refused_with_the_word_to_pass_its_key() -> None:
    class Record:
        pk = 7
        _meta = None

    task = made(FakeEnqueuer())
    with pytest.raises(InvalidArguments, match="a record: pass its key"):
        task.enqueue(Record())
