"""A node that is cut off from the database fetches nothing, and its attempts learn it."""

import asyncio
import time
from typing import Any

import pytest

from elihu import Context, DatabaseUnavailable, Elihu, JobState
from elihu.engines.protocol import HeartbeatReply
from elihu.telemetry.events import EngineCalled, JobStarted, JobStopped
from tests.runtime.harness import NodeHarness
from tests.runtime.test_heartbeat import heartbeat_thread
from tests.support import QUICK, EventRecorder

pytestmark = pytest.mark.sqlite_first


class Cut:
    """The line of all heartbeats to the database."""

    def __init__(self, engine: object, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cut = False
        beat = type(engine).heartbeat  # type: ignore[attr-defined]

        async def maybe(engine: object, node: str, **options: Any) -> HeartbeatReply:
            if self.cut:
                raise DatabaseUnavailable("cut")
            reply: HeartbeatReply = await beat(engine, node, **options)
            return reply

        monkeypatch.setattr(type(engine), "heartbeat", maybe)


async def test_cut_off_after_dead_after_less_one_heartbeat_and_no_longer_at_the_next_answer(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
):
    cut = Cut(harness.engine, monkeypatch)
    part, reports = heartbeat_thread(harness)
    await part.start()
    loop = asyncio.get_running_loop()
    cut.cut, began = True, loop.time()
    await reports.until(lambda: bool(reports.cut_off))
    took = loop.time() - began
    config = harness.config
    assert reports.cut_off == [True]
    assert config.dead_after - 2 * config.heartbeat - 0.1 <= took <= config.dead_after
    cut.cut = False
    await reports.until(lambda: len(reports.cut_off) == 2)
    assert reports.cut_off == [True, False]
    await part.stop()


@pytest.mark.parametrize(
    ("setting", "own", "ended"),
    [
        ("tell", None, False),
        ("cancel", None, True),
        ("tell", "cancel", True),
        ("cancel", "tell", False),
    ],
)
async def test_attempts_in_the_loop_see_it_or_are_ended(
    database_url: str,
    schema: str,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    own: Any,
    ended: bool,
):
    app = Elihu(database_url, schema=schema, **QUICK, fence=setting)
    await app.migrate()
    events, how = EventRecorder(app), list[str]()

    @app.task(name="long", fence=own)
    async def long(*, ctx: Context = Context()) -> None:
        try:
            await ctx.wait_cancelled()
            how.append("told")
        except asyncio.CancelledError:
            how.append("ended")
            raise

    async with app, app.running() as node:
        cut = Cut(node.engine, monkeypatch)
        job = await long.aenqueue()
        await events.count(JobStarted, 1)
        cut.cut = True
        event = await events.ended(job.id)
        assert event.outcome == "returned"
        assert how == ["ended" if ended else "told"]
        cut.cut = False


async def test_threads_see_it_and_nothing_is_fetched_meanwhile(
    app: Elihu, events: EventRecorder, monkeypatch: pytest.MonkeyPatch
):
    saw: list[bool] = []

    @app.task(name="thread")
    def thread(*, ctx: Context = Context()) -> None:
        while not ctx.cancelled:
            time.sleep(0.01)
        saw.append(True)

    @app.task(name="t")
    async def t() -> None: ...

    async with app.running() as node:
        cut = Cut(node.engine, monkeypatch)
        first = await thread.aenqueue()
        await events.count(JobStarted, 1)
        cut.cut = True
        await events.ended(first.id)
        assert saw == [True]
        waiting = await t.aenqueue()
        beats = len([event for event in events.of(EngineCalled) if event.verb == "exchange"])
        await events.until(
            lambda: len([e for e in events.of(EngineCalled) if e.verb != "exchange"]) > beats
        )
        assert (await app.jobs.get(waiting.id)).state is JobState.AVAILABLE
        cut.cut = False
        assert (await events.ended(waiting.id)).state == JobState.COMPLETED
    assert len(events.of(JobStopped)) >= 2
