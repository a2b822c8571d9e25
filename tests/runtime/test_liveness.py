"""Liveness: the beat of this node, and the burial of others."""

import asyncio
import time

import pytest

from elihu import DatabaseUnavailable, Elihu, JobState
from elihu.clock import SystemClock
from elihu.engines.base import Pulse
from elihu.engines.signals import SignalKind
from elihu.runtime.liveness import Listening, Liveness
from elihu.telemetry.events import EngineCalled, JobStarted, JobStopped, NodeBuried, NodeReborn, NodeStarted
from tests.engines.raw import Raw
from tests.runtime.conftest import Desks
from tests.runtime.desk import Desk
from tests.support import Seen


class Ears:
    """What a node would hear of its liveness."""

    def __init__(self) -> None:
        self.pulses: list[Pulse] = []
        self.births: list[str] = []


def liveness(desk: Desk) -> tuple[Liveness, Ears]:
    ears = Ears()
    listening = Listening(pulse=ears.pulses.append, reborn=ears.births.append)
    return Liveness(desk.config, desk.bus, SystemClock(), desk.hub, desk.scope.trouble, name="here", info={}, listening=listening), ears


async def test_writes_the_nodes_row_beats_and_removes_it(desk: Desk):
    part, ears = liveness(desk)
    node = await part.start()
    assert node in {row.id for row in await desk.engine.nodes()}
    await desk.until(lambda: sum(event.verb == "beat" for event in desk.of(EngineCalled)) >= 3)
    await part.stop()
    await part.stop()
    assert node not in {row.id for row in await desk.engine.nodes()}
    assert ears.births == []
    assert all(pulse.known for pulse in ears.pulses)


async def test_a_stop_before_the_start_does_nothing(desk: Desk):
    part, _ = liveness(desk)
    await part.stop()


async def test_a_start_that_cannot_write_raises(desk: Desk, monkeypatch: pytest.MonkeyPatch):
    async def fail(*_: object) -> None:
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr(type(desk.engine), "enlist", fail)
    part, _ = liveness(desk)
    with pytest.raises(DatabaseUnavailable, match="gone"):
        await part.start()
    await part.stop()


async def test_a_start_that_is_cancelled_leaves_no_row_and_no_thread(desk: Desk):
    part, _ = liveness(desk)
    starting = asyncio.create_task(part.start())
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.wait([starting])
    await part.stop()
    assert [row.id for row in await desk.engine.nodes()] == [desk.node]


async def test_a_task_that_blocks_the_loop_does_not_stop_the_beat(app: Elihu, seen: Seen, desk: Desk):
    blocked_for = app.config.dead_after * 2

    @app.task(name="rude")
    async def rude() -> None:
        time.sleep(blocked_for)  # noqa: ASYNC251

    watcher, _ = liveness(desk)
    await watcher.start()
    job = await rude.aenqueue()
    async with app.running() as node:
        first = node.id
        await seen.ended(job.id)
        assert node.id == first
    await watcher.stop()
    assert not seen.of(NodeReborn)
    assert first not in {event.dead for event in desk.of(NodeBuried)}
    assert (await app.jobs.get(job.id)).state is JobState.COMPLETED


async def test_a_node_whose_row_is_gone_drops_its_attempts_and_goes_on_under_a_new_identity(app: Elihu, seen: Seen, raw: Raw):
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
        await seen.count(NodeStarted, 1)
        lost = await endless.aenqueue()
        await seen.count(JobStarted, 1)
        await raw.execute("DELETE FROM node WHERE id = %s", first)
        await seen.count(NodeReborn, 1)
        (born,) = seen.of(NodeReborn)
        assert (born.buried, born.node) == (first, node.id)
        assert node.id != first
        done = await brief.aenqueue()
        assert (await seen.ended(done.id)).node == node.id
        assert gone == [True]
        assert [row.id for row in await app.nodes.list()] == [node.id]
    assert not [event for event in seen.of(JobStopped) if event.job_id == lost.id and event.node == first]
    assert await app.nodes.list() == []


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_node_whose_beat_stands_is_buried_and_its_jobs_rescued_and_announced(desk: Desk, desks: Desks):
    dead = await desks()
    job_id = await dead.put(queue="mail")
    await dead.engine.exchange(dead.node, "mail", 1, [])
    await desk.engine.beat(desk.node)
    part, _ = liveness(desk)
    began = time.monotonic()
    await part.start()
    await desk.until(lambda: dead.node in {event.dead for event in desk.of(NodeBuried)})
    assert time.monotonic() - began >= desk.config.dead_after
    await desk.until(lambda: any(signal.kind is SignalKind.JOBS for signal in desk.signals))
    assert desk.announced() == ["mail"]
    assert await desk.state(job_id) is JobState.AVAILABLE
    assert await desk.results(job_id) == ["orphaned"]
    await part.stop()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_on_sqlite_a_node_whose_lock_is_free_is_buried_with_the_next_beat(desk: Desk, raw: Raw):
    await raw.execute("INSERT INTO node (id, name) VALUES ('00000000-0000-0000-0000-000000000001', 'dead')")
    part, _ = liveness(desk)
    await part.start()
    await desk.until(lambda: bool(desk.of(NodeBuried)), within=desk.config.heartbeat + 2)
    await part.stop()
    assert [row.id for row in await desk.engine.nodes()] == [desk.node]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_nobody_is_buried_while_calls_fail(desk: Desk, desks: Desks, monkeypatch: pytest.MonkeyPatch):
    other = await desks()
    beat = type(desk.engine).beat
    calls = 0

    async def fail_now_and_then(self: object, node: str) -> Pulse:
        nonlocal calls
        calls += 1
        if calls % 3 == 0:
            raise DatabaseUnavailable("gone")
        return await beat(self, node)  # type: ignore[arg-type]

    monkeypatch.setattr(type(desk.engine), "beat", fail_now_and_then)
    part, _ = liveness(desk)
    began = time.monotonic()
    await part.start()
    await desk.until(lambda: time.monotonic() - began > 2 * desk.config.dead_after)
    await part.stop()
    assert calls > 6
    assert not desk.of(NodeBuried)
    assert other.node in {row.id for row in await desk.engine.nodes()}


async def test_an_outage_is_logged_once(desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    beat = type(desk.engine).beat
    calls = 0

    async def fail_thrice(self: object, node: str) -> Pulse:
        nonlocal calls
        calls += 1
        if calls <= 3:
            raise DatabaseUnavailable("gone")
        return await beat(self, node)  # type: ignore[arg-type]

    monkeypatch.setattr(type(desk.engine), "beat", fail_thrice)
    part, ears = liveness(desk)
    with caplog.at_level("INFO", "elihu"):
        await part.start()
        await desk.until(lambda: len(ears.pulses) >= 2)
        await part.stop()
    about = [(record.levelname, record.getMessage()) for record in caplog.records if "the database" in record.getMessage()]
    assert [level for level, _ in about] == ["WARNING", "INFO"]
    assert about[1][1] == "the database answers again"
