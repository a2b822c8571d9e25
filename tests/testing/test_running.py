"""Jobs that a test runs: perform, drain, inline, and the clock."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from elihu import (
    Cancel,
    Context,
    Discard,
    Elihu,
    InvalidArguments,
    InvalidOption,
    JobState,
    Snooze,
    Tasks,
    agather,
)
from elihu.clients.client import Client
from elihu.testing import AppUnderTest, Drained
from elihu.testing.databases import database_of_test

ONE_ENGINE = pytest.mark.parametrize("elihu_database_url", ["sqlite"], indirect=True)


async def test_perform_makes_the_way_through_json(elihu_app: AppUnderTest) -> None:
    seen: list[Any] = []

    @elihu_app.middleware
    async def note(ctx: Context, call_next: Any) -> Any:
        seen.append(ctx.job.args)
        return await call_next(ctx)

    @elihu_app.task(name="shift")
    async def shift(day: date, *, by: int = 1, ctx: Context = Context()) -> date:
        ctx.progress(1, 2)
        return day + timedelta(days=by * ctx.attempt)

    assert await elihu_app.perform(shift, date(2030, 1, 1), by=2) == date(2030, 1, 3)
    assert seen == [{"day": "2030-01-01", "by": 2}]
    job = await shift.aenqueue(date(2030, 1, 1))
    assert await elihu_app.perform(job) == date(2030, 1, 2)
    assert await elihu_app.perform(shift.build(date(2030, 1, 1))) == date(2030, 1, 2)
    assert (await elihu_app.jobs.get(job.id)).state is JobState.AVAILABLE
    with pytest.raises(InvalidArguments, match="day"):
        await elihu_app.perform(shift, "soon")
    with pytest.raises(InvalidOption, match="a job alone"):
        await elihu_app.perform(job, 7)


@ONE_ENGINE
def test_perform_in_a_synchronous_test(elihu_app: AppUnderTest) -> None:
    @elihu_app.task(name="poll")
    def poll(ready: bool, fail: bool = False) -> object:
        if fail:
            raise ValueError("no")
        return object() if ready else Snooze(30)

    assert isinstance(elihu_app.perform(poll, False), Snooze)
    assert type(elihu_app.perform(poll, True)) is object
    with pytest.raises(ValueError, match="no"):
        elihu_app.perform(poll, True, fail=True)


def test_drain_counts_every_end_and_runs_what_jobs_enqueue(elihu_app: AppUnderTest) -> None:
    @elihu_app.task(name="end", max_attempts=2)
    def end(how: str) -> None:
        match how:
            case "snooze":
                raise Snooze(60)
            case "cancel":
                raise Cancel
            case "discard":
                raise Discard
            case "fail":
                raise ValueError(how)
            case "more":
                end.using(queue="other").enqueue("complete")

    for how in ("complete", "snooze", "cancel", "discard", "fail", "more"):
        end.enqueue(how)
    end.using(delay="1h").enqueue("complete")
    assert elihu_app.drain() == Drained(completed=3, failed=1, discarded=1, snoozed=1, cancelled=1)
    assert elihu_app.drain() == Drained()
    elihu_app.clock.advance(120)
    assert elihu_app.drain() == Drained(discarded=1, snoozed=1)


def test_drain_of_one_queue_and_of_jobs_for_later(elihu_app: AppUnderTest) -> None:
    @elihu_app.task(name="note")
    def note() -> None: ...

    note.using(queue="a").enqueue()
    note.using(queue="b", delay="1d").enqueue()
    assert elihu_app.drain(queue="b") == Drained()
    assert elihu_app.drain(queue="b", scheduled=True) == Drained(completed=1)
    assert elihu_app.drain() == Drained(completed=1)


async def test_drain_leaves_paused_queues_and_ends(elihu_app: AppUnderTest) -> None:
    @elihu_app.task(name="note")
    async def note() -> None: ...

    await elihu_app.queues.pause("default")
    await note.aenqueue()
    assert await elihu_app.drain() == Drained()


async def test_the_clock_decides_what_is_due_and_stamps_jobs(elihu_app: AppUnderTest) -> None:
    @elihu_app.task(name="note", expires="1h")
    async def note() -> None: ...

    noon = datetime(2031, 1, 31, 12, tzinfo=UTC)
    elihu_app.clock.move_to(noon)
    job = await note.using(delay="10m").aenqueue()
    assert (job.inserted_at, job.scheduled_at) == (noon, noon + timedelta(minutes=10))
    elihu_app.clock.advance(9 * 60)
    assert await elihu_app.drain() == Drained()
    elihu_app.clock.advance(timedelta(minutes=1))
    assert await elihu_app.drain() == Drained(completed=1)
    ended = await elihu_app.jobs.get(job.id)
    assert ended.started_at == ended.finished_at == noon + timedelta(minutes=10)
    late = await note.aenqueue()
    elihu_app.clock.advance(2 * 3600)
    assert await elihu_app.drain() == Drained()
    assert (await elihu_app.jobs.get(late.id)).reason == "expired"
    assert elihu_app.clock.now() == noon + timedelta(minutes=10, hours=2)


async def test_cron_entries_fire_by_the_clock(elihu_app: AppUnderTest) -> None:
    seen: list[datetime | None] = []

    @elihu_app.cron("0 6 * * *", name="report")
    @elihu_app.task(name="report")
    async def report(*, ctx: Context) -> None:
        seen.append(ctx.occurrence)

    elihu_app.clock.move_to(datetime(2031, 1, 31, 5, tzinfo=UTC))
    assert (await elihu_app.tick()).cron == 0
    elihu_app.clock.advance(3600)
    assert (await elihu_app.tick()).cron == 1
    assert seen == [datetime(2031, 1, 31, 6, tzinfo=UTC)]


@ONE_ENGINE
@pytest.mark.parametrize("wrong", [-1, "1h", True, float("nan")])
def test_a_wrong_step_is_refused(elihu_app: AppUnderTest, wrong: Any) -> None:
    with pytest.raises(InvalidOption, match="seconds"):
        elihu_app.clock.advance(wrong)
    with pytest.raises(InvalidOption, match="UTC offset"):
        elihu_app.clock.move_to(datetime(2030, 1, 1))  # noqa: DTZ001


def test_inline_runs_jobs_at_once(elihu_app: AppUnderTest) -> None:
    @elihu_app.task(name="double", record=True)
    def double(number: int) -> int:
        return 2 * number

    @elihu_app.task(name="fail", max_attempts=1)
    async def fail() -> None:
        await double.aenqueue(9)
        raise ValueError("no")

    with elihu_app.inline():
        job = double.enqueue(4)
        assert (job.state, job.result) == (JobState.COMPLETED, 8)
        with pytest.raises(ValueError, match="no"):
            fail.enqueue()
        elihu_app.refute_enqueued()
        with pytest.raises(ValueError, match="no"):
            fail.submit().result()
        assert double.submit(5).result() == 10
        assert double.using(delay="1h").enqueue(1).state is JobState.SCHEDULED
        done = elihu_app.run(elihu_app.enqueue_many(double.build(n) for n in range(3)))
        assert done.inserted == 3
        assert len(elihu_app.all_enqueued()) == 1
    assert double.enqueue(4).state is JobState.AVAILABLE


async def test_inline_in_an_asynchronous_test(elihu_app: AppUnderTest) -> None:
    ran: list[int] = []

    @elihu_app.task(name="note")
    async def note(number: int) -> None:
        ran.append(number)

    with elihu_app.inline():
        await asyncio.gather(*(note.aenqueue(number) for number in range(3)))
        assert sorted(ran) == [0, 1, 2]


@ONE_ENGINE
def test_an_included_group(elihu_app: AppUnderTest) -> None:
    tasks = Tasks(prefix="shop.")

    @tasks.task(name="pay")
    async def pay() -> None: ...

    elihu_app.include(tasks)
    pay.enqueue()
    elihu_app.assert_enqueued("shop.pay")


async def test_an_app_that_is_taken_over(
    elihu_app: AppUnderTest, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered: list[Elihu] = []

    @asynccontextmanager
    async def lifespan(app: Elihu) -> Any:
        entered.append(app)
        yield "state"

    shop = Elihu(f"sqlite:///{tmp_path}/shop.db", lifespan=lifespan, grace=3)

    @shop.cron("0 * * * *", name="pay")
    @shop.task(name="pay")
    async def pay(*, ctx: Context = Context()) -> str:
        return str(ctx.state)

    elihu_app.take_over(shop)
    assert await elihu_app.perform(pay) == "state"
    await pay.aenqueue()
    await elihu_app.assert_enqueued(pay)
    assert await elihu_app.drain() == Drained(completed=1)
    assert entered == [shop, shop]
    assert await shop.jobs.count(state="completed") == 1
    assert shop.config.grace == 3.0
    with elihu_app.inline():
        assert (await pay.aenqueue()).state is JobState.COMPLETED
    assert (await elihu_app.tick()).cron == 0
    elihu_app.clock.advance(3600)
    ticked = await elihu_app.tick()
    assert (ticked.cron, ticked.start.ok) == (1, 1)
    assert elihu_app.task_names() == ["pay"]
    assert not (tmp_path / "shop.db").exists()
    with pytest.raises(InvalidOption, match="one app"):
        elihu_app.take_over(Elihu(f"sqlite:///{tmp_path}/other.db"))
    await elihu_app.aclose()
    elihu_app.close()
    assert shop.config.database_url == f"sqlite:///{tmp_path}/shop.db"


@ONE_ENGINE
def test_a_client_whose_loop_ends_meanwhile_is_abandoned(
    elihu_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cancelled(client: Client) -> None:
        raise asyncio.CancelledError

    with database_of_test(elihu_database_url) as database:
        helpers = AppUnderTest(database)
        with monkeypatch.context() as patched:
            patched.setattr(Client, "close", cancelled)
            helpers.close()


async def test_a_task_that_waits_for_jobs_of_another_queue(elihu_app: AppUnderTest) -> None:
    @elihu_app.task(name="part", queue="parts", record=True)
    async def part(number: int) -> int:
        return number

    @elihu_app.task(name="whole", record=True)
    async def whole() -> int:
        found = await agather([part.asubmit(number) for number in range(3)], timeout=20)
        return sum(each for each in found if isinstance(each, int))

    await whole.aenqueue()
    assert await elihu_app.drain() == Drained(completed=4)
    with elihu_app.inline():
        assert await (await whole.asubmit()).aresult(timeout=20) == 3
        assert await elihu_app.perform(whole) == 3
