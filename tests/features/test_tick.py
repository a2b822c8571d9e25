"""``app.tick``: one bounded round, without a leader."""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from elihu import DataRefused, Elihu, InvalidOption, JobState, NewJob, Snooze
from elihu.engines.select import engine_for
from elihu.runtime.node import Node
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import (
    JobRaised,
    JobStarted,
    LeaderElected,
    NodeRemoved,
    NodeStarted,
    NodeStopped,
)
from tests.engines.raw import raw_for
from tests.support import EventRecorder

NOTHING = {
    "start": {"ok": 0, "error": 0},
    "expire": {"ok": 0, "error": 0},
    "staged": 0,
    "cron": 0,
    "pruned": 0,
}


async def first_with_effect(app: Elihu) -> dict[str, Any]:
    """The first round that has something to do."""
    async with asyncio.timeout(20):
        while (counted := asdict(await app.tick())) == NOTHING:
            pass
    return counted


async def test_a_round_with_nothing_to_do(app: Elihu, events: EventRecorder):
    assert asdict(await app.tick()) == NOTHING
    assert await app.nodes.list() == []
    assert (len(events.of(NodeStarted)), len(events.of(NodeStopped)), events.of(LeaderElected)) == (
        1,
        1,
        [],
    )


async def test_what_ends_well_and_what_fails_is_counted(app: Elihu):
    @app.task(name="good")
    async def good() -> None: ...

    @app.task(name="bad")
    def bad() -> None:
        raise ValueError("bad")

    @app.task(name="slow", timeout=0.05)
    async def slow() -> None:
        await asyncio.Event().wait()

    @app.task(name="later")
    async def later() -> Snooze:
        return Snooze(60)

    for task in (good, good, bad, slow, later):
        await task.aenqueue()
    assert asdict(await app.tick()) == {**NOTHING, "start": {"ok": 2, "error": 2}}
    assert asdict(await app.tick()) == NOTHING


async def test_the_limit_is_for_all_queues_together(app: Elihu, events: EventRecorder):
    app.override(queues={"a": 2, "b": 10, "c": 1})

    @app.task(name="t")
    async def t() -> None:
        await asyncio.sleep(0)

    for queue in ("a", "b", "c"):
        await app.enqueue_many(t.using(queue=queue).build() for _ in range(6))
    assert (await app.tick(7)).start.ok == 7
    assert len(events.of(JobStarted)) == 7
    assert (await app.tick(100)).start.ok == 11
    assert (await app.tick(100)).start.ok == 0


async def test_limits_and_pauses_of_queues_hold(app: Elihu, events: EventRecorder):
    running = most = 0

    @app.task(name="t")
    async def t() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    app.override(queues={"default": 10, "idle": 10})
    await app.queues.scale("default", 2)
    await app.queues.pause("idle")
    await app.enqueue_many(
        t.using(queue=queue).build() for queue in ("default", "idle") for _ in range(5)
    )
    assert (await app.tick()).start.ok == 5
    assert most == 2
    assert await app.jobs.counts() == {"default": {"completed": 5}, "idle": {"available": 5}}


async def test_an_unknown_task_takes_no_place(app: Elihu):
    @app.task(name="known")
    async def known() -> None: ...

    await app.enqueue_many(NewJob(task="unknown") for _ in range(3))
    await known.aenqueue()
    assert (await app.tick(1)).start.ok == 1
    assert await app.jobs.counts() == {"default": {"completed": 1, "scheduled": 1, "available": 2}}


async def test_what_is_due_is_staged_and_run(app: Elihu):
    @app.task(name="t")
    async def t() -> None: ...

    await t.using(delay=0.001).aenqueue()
    await t.using(delay=3_600).aenqueue()
    assert await first_with_effect(app) == {**NOTHING, "staged": 1, "start": {"ok": 1, "error": 0}}


async def test_what_did_not_start_in_time_is_expired(app: Elihu):
    @app.task(name="t", expires=0.001)
    async def t() -> None: ...

    job = await t.aenqueue()
    async with asyncio.timeout(20):
        while datetime.now(UTC) - job.inserted_at < timedelta(seconds=0.01):
            await app.jobs.get(job.id)
    assert asdict(await app.tick()) == {**NOTHING, "expire": {"ok": 1, "error": 0}}


@pytest.mark.usefixtures("unhurried")
async def test_cron_is_fired_and_runs_and_a_round_is_no_reboot(app: Elihu, events: EventRecorder):
    ran: list[str] = []

    @app.cron("@reboot")
    @app.task(name="booted")
    async def booted() -> None:
        ran.append("booted")

    @app.task(name="t")
    async def t() -> None:
        ran.append("t")

    await app.tick()
    minute = (datetime.now(UTC) - timedelta(minutes=30)).minute  # half an hour until the next one
    await app.crons.create("late", f"{minute} * * * *", task="t", catch_up="last")
    raw = await raw_for(app.config.database_url, "elihu").open()
    await raw.execute(f"UPDATE cron SET last_tick = {raw.moment(3_600)} WHERE name = 'late'")
    await raw.close()
    counts = await app.tick()
    assert (counts.cron, counts.start.ok) == (1, 1)
    assert ran == ["t"]
    async with app.running():
        await events.until(lambda: ran == ["t", "booted"])


async def test_finished_jobs_are_pruned(app: Elihu):
    app.override(retention={"completed": 0})

    @app.task(name="t")
    async def t() -> None: ...

    await t.aenqueue()
    rounds = [await app.tick(), await app.tick()]
    assert (sum(each.pruned for each in rounds), await app.jobs.counts()) == (1, {})


async def test_what_a_dead_node_held_is_rescued_and_run(app: Elihu, events: EventRecorder):
    @app.task(name="t")
    async def t() -> None: ...

    engine = engine_for(app.config, Bus())
    await engine.open()
    dead = str(uuid4())
    await engine.register_node(dead, "dead", {"queues": {"default": 1}})
    job = await t.aenqueue()
    await engine.exchange(dead, "default", 1, [])
    await engine.close()
    if app.config.database_url.startswith("postgresql"):
        assert asdict(await app.tick()) == NOTHING
        raw = await raw_for(app.config.database_url, "elihu").open()
        await raw.execute(
            f"UPDATE node SET beat_at = {raw.moment(app.config.dead_after)} WHERE id = '{dead}'"
        )
        await raw.close()
    assert asdict(await app.tick()) == {
        **NOTHING,
        "expire": {"ok": 1, "error": 0},
        "start": {"ok": 1, "error": 0},
    }
    assert [event.dead for event in events.of(NodeRemoved)] == [dead]
    assert [run.outcome and run.outcome.value for run in await app.jobs.runs(job.id)] == [
        "orphaned",
        "completed",
    ]


async def test_what_cannot_be_rescued_is_counted_and_stops_nothing(
    app: Elihu, monkeypatch: pytest.MonkeyPatch
):
    @app.task(name="t")
    async def t() -> None: ...

    async def refuse(limit: int) -> list[object]:
        raise DataRefused("a bad row")

    start = Node.start

    async def started(node: Node) -> None:
        monkeypatch.setattr(node.engine, "rescue", refuse)
        await start(node)

    monkeypatch.setattr(Node, "start", started)
    await t.aenqueue()
    assert asdict(await app.tick()) == {
        **NOTHING,
        "expire": {"ok": 0, "error": 1},
        "start": {"ok": 1, "error": 0},
    }


async def test_a_round_beside_a_node_that_leads(app: Elihu, events: EventRecorder):
    gate = asyncio.Event()

    @app.task(name="t")
    async def t() -> None:
        await gate.wait()

    async with app.running(queues={"default": 1}):
        await events.count(LeaderElected, 1)
        await app.enqueue_many(t.build() for _ in range(3))
        round_ = asyncio.create_task(app.tick(2))
        await events.count(JobStarted, 3)
        nodes = await app.nodes.list()
        assert sorted(node.running for node in nodes) == [1, 2]
        assert [bool(node.info.get("once")) for node in nodes if node.leader] == [False]
        gate.set()
        assert (await round_).start.ok == 2
    assert len(events.of(LeaderElected)) == 1


async def test_a_stopped_round_returns_its_jobs(app: Elihu, events: EventRecorder):
    app.override(grace=0.1)

    @app.task(name="t")
    async def t() -> None:
        await asyncio.Event().wait()

    job = await t.aenqueue()
    stopping = asyncio.Event()
    round_ = asyncio.create_task(app.tick(stopping=stopping))
    await events.count(JobStarted, 1)
    stopping.set()
    assert asdict(await round_) == NOTHING
    assert ((await app.jobs.get(job.id)).state, (await app.jobs.get(job.id)).attempt) == (
        JobState.AVAILABLE,
        0,
    )
    assert events.of(JobRaised) == []


async def test_a_round_that_is_cancelled_leaves_nothing_behind(app: Elihu, events: EventRecorder):
    app.override(grace=0.1)

    @app.task(name="t")
    async def t() -> None:
        await asyncio.Event().wait()

    await t.aenqueue()
    round_ = asyncio.create_task(app.tick())
    await events.count(JobStarted, 1)
    round_.cancel()
    with pytest.raises(asyncio.CancelledError):
        await round_
    assert await app.jobs.counts() == {"default": {"available": 1}}
    assert await app.nodes.list() == []


@pytest.mark.parametrize("limit", [0, -1, 10_001, "3", None, True, 2.5])
async def test_limits_that_are_none(app: Elihu, limit: int):
    with pytest.raises(InvalidOption, match="limit: expected a whole number from 1 to 10,000, got"):
        await app.tick(limit)
