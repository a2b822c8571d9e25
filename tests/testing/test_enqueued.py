"""What was enqueued: found, and the differences that a message shows."""

from datetime import date, timedelta
from typing import Any

import pytest

from elihu import Elihu, InvalidArguments, InvalidOption, Task
from elihu.testing import AppUnderTest
from elihu.testing.databases import DatabaseOfTest

Greet = Task[..., Any]

ONE_ENGINE = pytest.mark.parametrize("elihu_database_url", ["sqlite"], indirect=True)


@pytest.fixture
def greet(elihu_app: AppUnderTest) -> Greet:
    @elihu_app.task(name="greet", aliases=["hello"], tags=["mail"])
    async def greet(user_id: int, day: date = date(2030, 1, 1)) -> str:
        return f"{user_id} {day}"

    return greet


def test_a_synchronous_test(elihu_app: AppUnderTest, greet: Greet) -> None:
    elihu_app.refute_enqueued(greet)
    first = greet.enqueue(7)
    second = greet.using(queue="mail", priority=3, meta={"by": "me", "n": 1}).enqueue(8)
    assert elihu_app.assert_enqueued(greet, args={"user_id": 7}).id == first.id
    assert elihu_app.assert_enqueued(greet).id == second.id
    assert elihu_app.assert_enqueued("greet", queue="mail", priority=3).id == second.id
    assert elihu_app.assert_enqueued(tags=["Mail"], meta={"by": "me"}).id == second.id
    assert elihu_app.assert_enqueued(greet, args=[7], state="available", count=1).id == first.id
    assert [job.id for job in elihu_app.all_enqueued()] == [first.id, second.id]
    assert [job.id for job in elihu_app.all_enqueued(greet, queue="mail")] == [second.id]
    elihu_app.refute_enqueued(greet, args={"user_id": 9})
    assert elihu_app.run(elihu_app.all_enqueued("other")) == []


async def test_an_asynchronous_test(elihu_app: AppUnderTest, greet: Greet) -> None:
    await elihu_app.refute_enqueued(greet)
    job = await greet.using(run_at=elihu_app.clock.now() + timedelta(days=1)).aenqueue(7)
    found = await elihu_app.assert_enqueued(greet, run_at=job.scheduled_at, state="scheduled")
    assert found.id == job.id
    assert [each.id for each in await elihu_app.all_enqueued()] == [job.id]


def test_arguments_are_compared_as_the_task_gets_them(
    elihu_app: AppUnderTest, greet: Greet
) -> None:
    greet.enqueue(7, date(2031, 5, 1))
    elihu_app.assert_enqueued(greet, args={"day": date(2031, 5, 1)})
    elihu_app.assert_enqueued(greet, args={"day": "2031-05-01"})
    elihu_app.refute_enqueued(greet, args={"day": date(2031, 5, 2)})


@ONE_ENGINE
def test_the_message_shows_how_the_nearest_jobs_differ(
    elihu_app: AppUnderTest, greet: Greet
) -> None:
    with pytest.raises(AssertionError) as none:
        elihu_app.assert_enqueued(greet)
    assert str(none.value) == "expected a job: greet\ngot no unfinished job"
    greet.using(queue="mail").enqueue(7)
    greet.enqueue(8, date(2031, 5, 1))
    with pytest.raises(AssertionError) as differ:
        elihu_app.assert_enqueued(greet, args={"user_id": 8, "day": date(2031, 5, 2)})
    assert str(differ.value).splitlines() == [
        "expected a job: greet, args {'user_id': 8, 'day': datetime.date(2031, 5, 2)}",
        "got 2 unfinished jobs, none of which fits; the nearest first:",
        "  job 2 greet {'user_id': 8, 'day': '2031-05-01'}, available, queue default",
        "    args.day: expected datetime.date(2031, 5, 2), got '2031-05-01'",
        "  job 1 greet {'user_id': 7, 'day': '2030-01-01'}, available, queue mail",
        "    args.user_id: expected 8, got 7",
        "    args.day: expected datetime.date(2031, 5, 2), got '2030-01-01'",
    ]
    with pytest.raises(AssertionError) as fields:
        elihu_app.assert_enqueued(
            "gone", queue="a", priority=1, state="held", tags=["x"], meta={"by": "me"}
        )
    lines = [line.strip() for line in str(fields.value).splitlines()]
    for line in (
        "task: expected 'gone', got 'greet'",
        "queue: expected 'a', got 'mail'",
        "priority: expected 1, got 0",
        "state: expected 'held', got 'available'",
        "tags: expected ['x'], got ['mail']",
        "meta.by: expected 'me', got nothing",
    ):
        assert line in lines


@ONE_ENGINE
def test_a_refusal_shows_the_jobs(elihu_app: AppUnderTest, greet: Greet) -> None:
    for number in range(7):
        greet.enqueue(number)
    with pytest.raises(AssertionError, match="expected no job: greet\ngot 7:\n  job 1 greet"):
        elihu_app.refute_enqueued(greet)
    with pytest.raises(AssertionError, match=r"(?s)expected 2 jobs: greet\ngot 7:.* and 2 more"):
        elihu_app.assert_enqueued(greet, count=2)


@ONE_ENGINE
def test_what_cannot_be_looked_for_is_refused(elihu_app: AppUnderTest, greet: Greet) -> None:
    with pytest.raises(InvalidArguments, match="user_id"):
        elihu_app.assert_enqueued(greet, args=["x"])
    with pytest.raises(InvalidOption, match="a list together with a task"):
        elihu_app.assert_enqueued("greet", args=[7])
    with pytest.raises(InvalidOption, match="got colour"):
        elihu_app.assert_enqueued(greet, colour="red")  # type: ignore[call-arg]
    with pytest.raises(InvalidOption, match="name of a task"):
        elihu_app.assert_enqueued(7)  # type: ignore[arg-type]


def test_each_test_has_tables_of_its_own(
    elihu_app: AppUnderTest, elihu_database_url: str, greet: Greet
) -> None:
    greet.enqueue(7)
    other = Elihu(elihu_app.config.database_url, schema=elihu_app.config.schema, connections=2)
    assert [job.task for job in other.run(other.jobs.list()).items] == ["greet"]
    other.run(other.aclose())
    assert elihu_app.config.database_url != elihu_database_url or (
        elihu_app.config.schema != "elihu"
    )


@ONE_ENGINE
def test_neither_environment_nor_files_are_read(
    monkeypatch: pytest.MonkeyPatch, elihu_app: AppUnderTest
) -> None:
    monkeypatch.setenv("ELIHU_GRACE", "99")
    monkeypatch.setenv("ELIHU_NOTHING", "99")
    database = DatabaseOfTest(
        elihu_app.config.database_url, elihu_app.config.schema, elihu_app.clock
    )
    app = AppUnderTest(database, queues={"mail": 3})
    assert (app.config.grace, dict(app.config.queues)) == (15.0, {"mail": 3})
    app.close()
