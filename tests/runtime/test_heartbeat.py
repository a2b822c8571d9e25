"""Liveness: the beat of this node, and the burial of others."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from elihu import DatabaseUnavailable, Elihu, JobState
from elihu.clock import SystemClock
from elihu.engines.protocol import HeartbeatReply
from elihu.engines.protocol.signals import SignalKind
from elihu.runtime.housekeeping import Housekeeping, NodeCallbacks
from elihu.task import Registry
from elihu.telemetry.events import (
    EngineCalled,
    JobStarted,
    JobStopped,
    NodeRejoined,
    NodeRemoved,
    NodeStarted,
)
from tests.engines.raw import Raw
from tests.runtime.conftest import HarnessFactory
from tests.runtime.harness import NodeHarness
from tests.support import BUSY_MACHINE, EventRecorder


class Reports:
    """What the heartbeat reports to its node."""

    def __init__(self) -> None:
        self.identities: list[str] = []
        self.cut_off: list[bool] = []
        self._changed = asyncio.Event()

    def rejoined(self, node: str) -> None:
        self.identities.append(node)
        self._changed.set()

    def was_cut_off(self, cut: bool) -> None:
        self.cut_off.append(cut)
        self._changed.set()

    async def until(self, done: Callable[[], bool]) -> None:
        """Return when ``done()``, looked at after each report."""
        async with asyncio.timeout(10):
            while not done():
                self._changed.clear()
                await self._changed.wait()


def heartbeat_thread(harness: NodeHarness) -> tuple[Housekeeping, Reports]:
    """The second thread of a node, without services."""
    reports = Reports()
    return Housekeeping(
        harness.config,
        harness.bus,
        SystemClock(),
        harness.hub,
        harness.scope.failure_log,
        name="here",
        info={},
        timetable=Registry().timetable,
        counts=harness.scope.counts,
        leads=False,
        callbacks=NodeCallbacks(
            rejoined=reports.rejoined,
            cut_off=reports.was_cut_off,
            held=list,
            describe=lambda task: None,
            replied=lambda reply: None,
        ),
    ), reports


def beats(harness: NodeHarness) -> int:
    return sum(
        event.verb == "heartbeat" and event.error is None for event in harness.of(EngineCalled)
    )


async def test_writes_the_nodes_row_beats_and_removes_it(harness: NodeHarness):
    part, reports = heartbeat_thread(harness)
    node = await part.start()
    assert node in {row.id for row in await harness.engine.nodes()}
    await harness.until(lambda: beats(harness) >= 3)
    await part.stop()
    await part.stop()
    assert node not in {row.id for row in await harness.engine.nodes()}
    assert reports.identities == []


async def test_a_stop_before_the_start_does_nothing(harness: NodeHarness):
    part, _ = heartbeat_thread(harness)
    await part.stop()


async def test_a_start_that_cannot_write_raises(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
):
    async def fail(*_: object) -> None:
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr(type(harness.engine), "register_node", fail)
    part, _ = heartbeat_thread(harness)
    with pytest.raises(DatabaseUnavailable, match="gone"):
        await part.start()
    await part.stop()


async def test_a_start_that_is_cancelled_leaves_no_row_and_no_thread(harness: NodeHarness):
    part, _ = heartbeat_thread(harness)
    starting = asyncio.create_task(part.start())
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait([starting])
    await part.stop()
    assert [row.id for row in await harness.engine.nodes()] == [harness.node]


async def test_a_task_that_blocks_the_loop_does_not_stop_the_beat(
    app: Elihu, events: EventRecorder, harness: NodeHarness
):
    blocked_for = app.config.dead_after * 2

    @app.task(name="rude")
    async def rude() -> None:
        time.sleep(blocked_for)  # noqa: ASYNC251

    watcher, _ = heartbeat_thread(harness)
    await watcher.start()
    job = await rude.aenqueue()
    async with app.running() as node:
        first = node.id
        await events.ended(job.id)
        assert node.id == first
    await watcher.stop()
    assert not events.of(NodeRejoined)
    assert first not in {event.dead for event in harness.of(NodeRemoved)}
    assert (await app.jobs.get(job.id)).state is JobState.COMPLETED


async def test_a_node_whose_row_is_gone_drops_its_attempts_and_rejoins(
    app: Elihu, events: EventRecorder, raw: Raw
):
    app.override(**BUSY_MACHINE)
    gone: list[bool] = []

    @app.task(name="endless")
    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            gone.append(True)
            raise

    @app.task(name="brief")
    async def brief() -> None:
        pass

    async with app.running() as node:
        first = node.id
        await events.count(NodeStarted, 1)
        lost = await endless.aenqueue()
        await events.count(JobStarted, 1)
        await raw.execute("DELETE FROM node WHERE id = %s", first)
        await events.count(NodeRejoined, 1)
        (born,) = events.of(NodeRejoined)
        assert (born.removed, born.node) == (first, node.id)
        assert node.id != first
        done = await brief.aenqueue()
        assert (await events.ended(done.id)).node == node.id
        assert gone == [True]
        assert [row.id for row in await app.nodes.list()] == [node.id]
    assert not [
        event for event in events.of(JobStopped) if event.job_id == lost.id and event.node == first
    ]
    assert await app.nodes.list() == []


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_node_without_heartbeats_is_removed_and_its_jobs_are_rescued_and_announced(
    harness: NodeHarness, harnesses: HarnessFactory
):
    dead = await harnesses()
    job_id = await dead.put(queue="mail")
    await dead.engine.exchange(dead.node, "mail", 1, [])
    await harness.engine.heartbeat(harness.node)
    part, _ = heartbeat_thread(harness)
    began = time.monotonic()
    await part.start()
    await harness.until(lambda: dead.node in {event.dead for event in harness.of(NodeRemoved)})
    assert time.monotonic() - began >= harness.config.dead_after
    await harness.until(lambda: any(signal.kind is SignalKind.JOBS for signal in harness.signals))
    assert harness.announced() == ["mail"]
    assert await harness.state(job_id) is JobState.AVAILABLE
    assert await harness.results(job_id) == ["orphaned"]
    await part.stop()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_on_sqlite_a_node_whose_lock_is_free_is_removed_with_the_next_heartbeat(
    harness: NodeHarness, raw: Raw
):
    await raw.execute(
        "INSERT INTO node (id, name) VALUES ('00000000-0000-0000-0000-000000000001', 'dead')"
    )
    part, _ = heartbeat_thread(harness)
    await part.start()
    await harness.until(lambda: bool(harness.of(NodeRemoved)), within=harness.config.heartbeat + 2)
    await part.stop()
    assert [row.id for row in await harness.engine.nodes()] == [harness.node]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_no_node_is_removed_while_calls_fail(
    harness: NodeHarness, harnesses: HarnessFactory, monkeypatch: pytest.MonkeyPatch
):
    other = await harnesses()
    beat = type(harness.engine).heartbeat
    calls = 0

    async def fail_now_and_then(self: object, node: str, **options: Any) -> HeartbeatReply:
        nonlocal calls
        calls += 1
        if calls % 3 == 0:
            raise DatabaseUnavailable("gone")
        return await beat(self, node, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(type(harness.engine), "heartbeat", fail_now_and_then)
    part, _ = heartbeat_thread(harness)
    began = time.monotonic()
    await part.start()
    await harness.until(lambda: time.monotonic() - began > 2 * harness.config.dead_after)
    await part.stop()
    assert calls > 6
    assert not harness.of(NodeRemoved)
    assert other.node in {row.id for row in await harness.engine.nodes()}


async def test_an_outage_is_logged_once(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    beat = type(harness.engine).heartbeat
    calls = 0

    async def fail_thrice(self: object, node: str, **options: Any) -> HeartbeatReply:
        nonlocal calls
        calls += 1
        if calls <= 3:
            raise DatabaseUnavailable("gone")
        return await beat(self, node, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(type(harness.engine), "heartbeat", fail_thrice)
    part, _ = heartbeat_thread(harness)
    with caplog.at_level("INFO", "elihu"):
        await part.start()
        await harness.until(lambda: calls >= 5)
        await part.stop()
    about = [
        (record.levelname, record.getMessage())
        for record in caplog.records
        if "the database" in record.getMessage()
    ]
    assert [level for level, _ in about] == ["WARNING", "INFO"]
    assert about[1][1] == "the database answers again"
