"""``occurrence``: the tick that a cron entry made a job for, in every attempt."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from elihu import Context, Elihu, JobState, Snooze, Unique
from tests.engines.raw import raw_for
from tests.features import surrounded_app as s
from tests.support import BUSY_MACHINE, QUICK, EventRecorder

pytestmark = pytest.mark.sqlite_first


async def fire(app: Elihu, task: str, *, missed: int = 1) -> None:
    """Fire an entry of this task for so many of the last minutes."""
    await app.tick()
    await app.crons.create("entry", "* * * * *", task=task, catch_up="all")
    raw = await raw_for(app.config.database_url, "elihu").open()
    await raw.execute(f"UPDATE cron SET last_tick = {raw.moment(60 * missed)} WHERE name = 'entry'")
    await raw.close()
    await app.tick()


async def test_retries_snoozes_and_retry_do_not_move_it(app: Elihu, events: EventRecorder):
    seen: list[tuple[datetime | None, datetime | None, datetime]] = []

    @app.task(name="report", backoff=0.01, max_attempts=3)
    async def report(*, ctx: Context = Context()) -> None:
        seen.append((ctx.occurrence, ctx.job.occurrence, ctx.job.scheduled_at))
        if len(seen) == 1:
            raise ValueError("once")
        if len(seen) == 2:
            raise Snooze(0.01)

    await fire(app, "report")
    (stored,) = (await app.jobs.list(task="report")).items
    async with app.running():
        await events.stored(stored.id, {JobState.COMPLETED})
        await app.jobs.retry(stored.id)
        await events.until(lambda: len(seen) == 4)
        await events.stored(stored.id, {JobState.COMPLETED})
    tick = seen[0][2]
    assert tick.second == tick.microsecond == 0
    assert {each[:2] for each in seen} == {(tick, tick)}
    assert seen[-1][2] > tick
    assert (await app.jobs.get(stored.id)).occurrence == tick
    assert stored.occurrence == tick


async def test_each_missed_tick_has_its_own(app: Elihu):
    @app.task(name="t")
    async def t() -> None: ...

    await fire(app, "t", missed=3)
    jobs = (await app.jobs.list(task="t")).items
    ticks = [job.occurrence for job in jobs if job.occurrence]
    assert len(ticks) == len(jobs) >= 3
    assert {one - two for one, two in pairwise(ticks)} == {timedelta(minutes=1)}


async def test_a_job_that_a_tick_met_keeps_its_own(app: Elihu):
    @app.task(name="t", unique=Unique(), queue="nobody")
    async def t() -> None: ...

    held = await t.aenqueue()
    await fire(app, "t")
    assert (await app.jobs.get(held.id)).occurrence is None
    assert await app.jobs.count(task="t") == 1


async def test_no_other_job_has_one(app: Elihu):
    @app.task(name="t")
    async def t(*, ctx: Context = Context()) -> None:
        assert ctx.occurrence is None

    await app.crons.create("entry", "@yearly", task="t")
    stored = [await t.aenqueue(), await app.crons.run_now("entry")]
    assert [(await app.jobs.get(job.id)).occurrence for job in stored] == [None, None]
    await t()


async def test_a_child_process_sees_it(database_url: str):
    app, events = s.app, EventRecorder(s.app)
    app.override(database_url=database_url, **QUICK | BUSY_MACHINE)
    await app.migrate()
    await fire(app, "s.occurrence")
    (stored,) = (await app.jobs.list(task="s.occurrence")).items
    async with app.running({"default": 1}):
        done = await events.stored(stored.id, {JobState.COMPLETED})
    assert done.occurrence is not None
    assert datetime.fromisoformat(done.result) == done.occurrence.astimezone(UTC)
    await app.aclose()
