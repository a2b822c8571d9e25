"""Arguments, options and jobs that are refused: by which error, in which words, and with
nothing stored.
"""

import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from elihu import (
    ArgumentsTooLarge,
    Context,
    Elihu,
    InvalidArguments,
    InvalidOption,
    InvalidTask,
    Task,
    Unique,
    UnknownTask,
)
from tests.support import EventRecorder

pytestmark = pytest.mark.sqlite_first


@pytest.fixture
def t(app: Elihu) -> Task[..., Any]:
    @app.task(name="t")
    async def t(number: int, text: str = "", day: date | None = None, anything: Any = None): ...

    return t


ARGUMENTS: dict[str, tuple[dict[str, Any], str | None, str]] = {
    "wrong type": ({"number": "many"}, "number", "expected a valid integer"),
    "missing": ({}, "number", "expected a value, got none"),
    "unknown": ({"number": 1, "nmber": 2}, "nmber", "expected one of number, text, day, anything"),
    "NaN": ({"number": 1, "anything": float("nan")}, "anything", "expected a finite number"),
    "infinity inside": (
        {"number": 1, "anything": {"a": [1, float("-inf")]}},
        "anything.a.1",
        "expected a finite number",
    ),
    "NUL": ({"number": 1, "text": "a\0b"}, "text", "expected text without NUL characters"),
    "NUL in a key": (
        {"number": 1, "anything": {"a\0b": 1}},
        None,
        "expected text without NUL characters",
    ),
    "lone surrogate": ({"number": 1, "text": "a\ud800"}, "text", "surrogate"),
    "lone surrogate inside": (
        {"number": 1, "anything": ["\udfff"]},
        "anything.0",
        "text without lone surrogates",
    ),
    "no JSON": ({"number": 1, "anything": object()}, "anything", "expected plain JSON"),
    "a set": ({"number": 1, "anything": {1}}, "anything", "expected plain JSON"),
    "no date": ({"number": 1, "day": "yesterday"}, "day", "expected a valid date"),
    "a key that is no text": (
        {"number": 1, "anything": {1: 2}},
        "anything",
        "expected texts for keys",
    ),
    "a huge number": ({"number": 10**5_000}, "number", "expected"),
}


async def test_arguments(app: Elihu, events: EventRecorder, t: Task[..., Any]):
    for name, (arguments, field, expected) in ARGUMENTS.items():
        with pytest.raises(InvalidArguments) as caught:
            await t.aenqueue(**arguments)
        assert str(caught.value).startswith("t: "), name
        assert expected in str(caught.value), name
        assert field is None or caught.value.field == field, name
        assert "got" in str(caught.value), name
    with pytest.raises(InvalidArguments, match="by position"):
        await t.aenqueue(1, "", None, None, 5)
    with pytest.raises(InvalidArguments, match="by position and one by name"):
        await t.aenqueue(1, number=2)
    assert events.calls("insert") == 0
    assert await app.jobs.count() == 0


async def test_arguments_that_are_too_large(app: Elihu, events: EventRecorder, t: Task[..., Any]):
    with pytest.raises(
        ArgumentsTooLarge,
        match=r"t: expected arguments of at most 1,048,576 bytes of JSON, got 20,000,0",
    ):
        await t.aenqueue(1, "x" * 20_000_000)
    with pytest.raises(ArgumentsTooLarge, match="got 1,500,0"):
        await t.aenqueue(1, "å" * 750_000)
    assert events.calls("insert") == 0
    most = 1_048_576 - len(
        json.dumps({"number": 1, "text": "", "day": None, "anything": None}, separators=(",", ":"))
    )
    job = await t.aenqueue(1, "x" * most)
    assert (await app.jobs.get(job.id)).args["text"] == "x" * most
    with pytest.raises(ArgumentsTooLarge):
        await t.aenqueue(1, "x" * (most + 1))
    with pytest.raises(ArgumentsTooLarge):
        await app.jobs.update(job.id, args={"number": 1, "text": "x" * (most + 1)})
    assert await app.jobs.count() == 1


FAR = datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))


EARLY = datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))


USING: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"prority": 1}, (r"expected an option out of .*priority.*got prority \(did you "
    r"mean priority\?\)")),
    "priority": ({"priority": 10}, "priority: expected a whole number from 0 to 9, got 10"),
    "priority below": ({"priority": -1}, "priority: expected a whole number from 0 to 9, got -1"),
    "priority as a text": ({"priority": "1"}, "priority: expected a whole number .* got '1'"),
    "priority as a flag": ({"priority": True}, "priority: expected .* got True"),
    "max_attempts": ({"max_attempts": 0}, ("max_attempts: expected a whole number from 1 to "
    "1,000,000, got 0")),
    "max_attempts, huge": ({"max_attempts": 2**40}, "max_attempts: expected"),
    "queue": ({"queue": ""}, "queue: expected a text of 1 to 200 characters"),
    "queue with NUL": ({"queue": "a\0"}, "queue: expected a text"),
    "queue with a surrogate": ({"queue": "\ud800"}, "queue: expected a text"),
    "queue that is none": ({"queue": None}, "queue: expected a text .* got None"),
    "delay": ({"delay": -1}, "delay: expected a duration .* got -1"),
    "delay NaN": ({"delay": float("nan")}, "delay: expected a duration"),
    "delay as a text": ({"delay": "soon"}, "delay: expected a duration .* got 'soon'"),
    "delay of ages": ({"delay": timedelta.max}, "delay: expected a duration"),
    "run_at without a zone": (
        {"run_at": datetime(2030, 1, 1)},  # noqa: DTZ001
        "run_at: expected a datetime with a time zone",
    ),
    "run_at as a text": ({"run_at": "2030-01-01"}, "run_at: expected a datetime"),
    "run_at as a date": ({"run_at": date(2030, 1, 1)}, "run_at: expected a datetime"),
    "run_at outside the calendar": ({"run_at": FAR}, "run_at: expected"),
    "run_at before the calendar": ({"run_at": EARLY}, "run_at: expected"),
    "delay and run_at": ({"delay": 1, "run_at": datetime.now(UTC)}, ("expected delay or run_at, "
    "got both")),
    "hold": ({"hold": "yes"}, "hold: expected True or False"),
    "record": ({"record": 1}, "record: expected True or False"),
    "backoff": ({"backoff": -2}, "backoff: expected a duration"),
    "backoff as a callable": ({"backoff": lambda job, error: 1}, ("backoff: expected a duration .a "
    "callable cannot be stored")),
    "unique": ({"unique": True}, "unique: expected Unique"),
    "unique keys": ({"unique": Unique(keys=("nmber",))}, ("unique: keys: expected some of the "
    "task's arguments .* got 'nmber'")),
    "tags": ({"tags": "vip"}, "tags: expected a list of texts, got 'vip'"),
    "tags that are numbers": ({"tags": [1]}, "tags: expected a text"),
    "tags with NUL": ({"tags": ["a\0"]}, "tags: expected a text"),
    "too many tags": ({"tags": [str(n) for n in range(101)]}, ("tags: expected at most 100 tags, "
    "got 101")),
    "meta": ({"meta": [1]}, "meta: expected a dictionary"),
    "meta with NaN": ({"meta": {"a": {"b": float("nan")}}}, (r"meta: a\.b: expected a finite "
    "number")),
    "meta with NUL": ({"meta": {"a": "\0"}}, "meta: a: expected text without NUL"),
    "meta with a surrogate": ({"meta": {"a": "\ud800"}}, ("meta: a: expected text without lone "
    "surrogates")),
    "meta with an object": ({"meta": {"a": object()}}, "meta: a: expected plain JSON"),
    "large meta": ({"meta": {"a": "x" * 70_000}}, ("meta: expected at most 65,536 bytes of JSON, "
    "got 70,008")),
}  # fmt: skip


async def test_options_of_one_enqueue(app: Elihu, events: EventRecorder, t: Task[..., Any]):
    for name, (options, expected) in USING.items():
        with pytest.raises(InvalidOption, match=expected) as caught:
            await t.using(**options).aenqueue(1)
        assert str(caught.value).startswith("task t: using"), name
    assert events.calls("insert") == 0


def test_options_of_a_task(sqlite_url: str):
    app = Elihu(sqlite_url)

    def fn(number: int = 0): ...

    async def afn(number: int = 0): ...

    refused: list[tuple[Any, dict[str, Any], type[Exception], str]] = [
        (fn, {"prority": 1}, InvalidOption, "did you mean priority"),
        (fn, {"timeout": 0}, InvalidOption, "timeout: expected at least a millisecond"),
        (fn, {"expires": -1}, InvalidOption, "expires: expected a duration"),
        (fn, {"template": 1}, InvalidOption, "template: expected a text"),
        (fn, {"run_in": "fork"}, InvalidOption, 'expected "loop", "thread" or "process"'),
        (fn, {"run_in": "loop"}, InvalidOption, 'expected "thread"'),
        (afn, {"run_in": "thread"}, InvalidOption, 'expected "loop"'),
        (fn, {"retry_on": "ValueError"}, InvalidOption, "retry_on: expected exception types"),
        (
            fn,
            {"discard_on": (ValueError, 3)},
            InvalidOption,
            "discard_on: expected exception types",
        ),
        (fn, {"backoff": -1}, InvalidOption, "backoff: expected a duration"),
        (fn, {"max_orphans": 0}, InvalidOption, "max_orphans: expected a whole number"),
        (
            fn,
            {"unique": Unique(keys=("other",))},
            InvalidOption,
            "keys: expected some of the task's arguments",
        ),
        (lambda: None, {"name": None}, InvalidTask, "expected name="),
        (print, {}, InvalidTask, "expected a function written with def"),
        ("name", {}, InvalidTask, "expected a function"),
    ]
    for function, options, error, expected in refused:
        with pytest.raises(error, match=expected):
            app.task(function, **{"name": "t", **options})
    with pytest.raises(UnknownTask):
        app.task_named("t")
    wrongs: tuple[dict[str, Any], ...] = (
        {"by": ()},
        {"by": ("tsk",)},
        {"states": "finished"},
        {"period": 0.5},
        {"keys": ()},
        {"on_conflict": "replace"},
    )
    for wrong in wrongs:
        with pytest.raises(InvalidOption, match=r"Unique\("):
            Unique(**wrong)


async def test_tasks_that_cannot_be(app: Elihu):
    class Mystery: ...

    async def unknown_type(thing: Mystery): ...

    async def bad_default(number: int = "many"): ...  # type: ignore[assignment]

    async def two(*, a: Context, b: Context): ...

    async def generator(number: int):
        yield number

    for fn, expected in (
        (unknown_type, "thing"),
        (bad_default, "default"),
        (two, "one Context"),
        (generator, "generator"),
    ):
        with pytest.raises(InvalidTask, match=expected):
            app.task(fn, name="t")
    with pytest.raises(InvalidTask, match="return"):

        @app.task(name="t", record=True)
        async def t() -> Mystery:
            return Mystery()


async def test_unknown_names(app: Elihu, t: Task[..., Any]):
    with pytest.raises(
        UnknownTask,
        match=r"expected the name of a task that this app knows, got 'tt' \(did you mean 't'\?\)",
    ):
        app.task_named("tt")


async def test_jobs_that_are_no_jobs(app: Elihu, events: EventRecorder, t: Task[..., Any]):
    wrong: list[Any] = [1, None, "t", t, {"task": "t"}]
    for job in wrong:
        with pytest.raises(InvalidOption, match=r"expected .*build"):
            await app.aenqueue(job)
        with pytest.raises(InvalidOption, match=r"expected .*build"):
            await app.enqueue_many([t.build(1), job])
    for jobs in (5, None, t.build(1)):
        with pytest.raises(InvalidOption, match=r"expected .*iterable"):
            await app.enqueue_many(jobs)  # type: ignore[arg-type]
    assert events.calls("insert") == 0
