"""The stager: due jobs become available, on the leader only, oldest first, announced."""

import asyncio

import pytest

from elihu import ConfigError, DatabaseUnavailable, Elihu, JobState
from elihu.config import load_config
from elihu.engines.protocol import QueueOverride, Staged
from elihu.runtime.leader.election import Leader
from elihu.runtime.leader.expiry import FRESH, Expiry
from elihu.runtime.leader.stager import ASK_AGAIN, Stager
from elihu.telemetry.events import (
    EngineCalled,
    JobStopped,
    QueueUnserved,
    ServiceStarted,
    ServiceStopped,
    Ticked,
    TickFailed,
)
from tests.engines.raw import Ago, Raw
from tests.runtime.conftest import HarnessFactory
from tests.runtime.harness import NodeHarness
from tests.support import EventRecorder


async def leader_of(harness: NodeHarness) -> Leader:
    leader = Leader(harness.scope)
    await leader.tick()
    assert leader.is_leader
    return leader


async def leading(harness: NodeHarness) -> Stager:
    return stager_of(harness, await leader_of(harness))


def stager_of(harness: NodeHarness, leader: Leader) -> Stager:
    return Stager(harness.scope, leader, Expiry(harness.scope, leader))


async def due(
    harness: NodeHarness,
    raw: Raw,
    *,
    ago: float = 1.0,
    state: str = "scheduled",
    queue: str = "default",
) -> int:
    """A job whose time has come ``ago`` seconds ago."""
    job_id = await harness.put(delay=3_600.0, queue=queue)
    await raw.put(job_id, state=state, scheduled_at=Ago(ago))
    return job_id


async def test_moves_scheduled_and_retryable_jobs_whose_time_has_come(
    harness: NodeHarness, raw: Raw
):
    stager = await leading(harness)
    scheduled, retryable = await due(harness, raw), await due(harness, raw, state="retryable")
    later = await harness.put(delay=3_600.0)
    held = await harness.put(hold=True)
    tick = await stager.tick()
    assert tick.data == {"staged_count": 2, "queues": ("default",)}
    assert [await harness.state(id_) for id_ in (scheduled, retryable, later, held)] == [
        "available",
        "available",
        "scheduled",
        "suspended",
    ]


async def test_stages_in_one_transaction(harness: NodeHarness, raw: Raw):
    stager = await leading(harness)
    for _ in range(3):
        await due(harness, raw)
    before = len(harness.of(EngineCalled))
    await stager.tick()
    assert [event.verb for event in harness.of(EngineCalled)[before:]].count("stage") == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [("interval", value) for value in (0, -1, "soon", True)]
    + [("limit", value) for value in (0, -1, 1.5, "many")],
)
def test_interval_and_limit_are_validated(option: str, value: object):
    with pytest.raises(ConfigError) as caught:
        load_config(keywords={"stager": {option: value}}, environ={}, read_files=False)
    assert f"stager.{option}" in str(caught.value)
    assert repr(value) in str(caught.value)


def test_interval_and_limit_have_defaults():
    stager = load_config(keywords={}, environ={}, read_files=False).stager
    assert (stager.interval, stager.limit) == (1.0, 5_000)


def test_an_unknown_option_is_refused_by_name():
    with pytest.raises(ConfigError, match=r"stager\.intervall"):
        load_config(keywords={"stager": {"intervall": 1}}, environ={}, read_files=False)


async def test_runs_on_the_leader_only_and_a_follower_stages_0(
    harnesses: HarnessFactory, raw: Raw, harness: NodeHarness
):
    await leading(harness)
    other = await harnesses()
    follower = Leader(other.scope)
    await follower.tick()
    assert not follower.is_leader
    job_id = await due(harness, raw)
    assert (await stager_of(other, follower).tick()).data["staged_count"] == 0
    assert await harness.state(job_id) is JobState.SCHEDULED


async def test_ordered_by_due_time_then_id_and_bounded_by_limit(
    harnesses: HarnessFactory, raw: Raw
):
    harness = await harnesses(stager={"interval": 0.5, "limit": 2})
    stager = await leading(harness)
    young, old, holder = (
        await due(harness, raw, ago=10),
        await due(harness, raw, ago=30),
        await due(harness, raw, ago=30),
    )
    moment = await raw.look(old, "scheduled_at")
    await raw.execute(
        f"UPDATE job SET scheduled_at = (SELECT scheduled_at FROM job WHERE id = {old}) WHERE id "
        f"= {holder}"
    )
    assert moment == await raw.look(holder, "scheduled_at")
    tick = await stager.tick()
    assert tick.data["staged_count"] == 2
    assert [await harness.state(id_) for id_ in (young, old, holder)] == [
        "scheduled",
        "available",
        "available",
    ]


async def test_a_full_batch_is_followed_by_the_next_at_once(harnesses: HarnessFactory, raw: Raw):
    harness = await harnesses(stager={"interval": 300, "limit": 2})
    stager = await leading(harness)
    for _ in range(5):
        await due(harness, raw)
    assert [
        (tick.delay, tick.data["staged_count"]) for tick in [await stager.tick() for _ in range(3)]
    ] == [(0, 2), (0, 2), (300, 1)]


async def test_a_backlog_drains_without_waiting_for_the_interval(
    harnesses: HarnessFactory, raw: Raw
):
    harness = await harnesses(stager={"interval": 300, "limit": 2})
    stager = await leading(harness)
    ids = [await due(harness, raw) for _ in range(7)]
    await stager.start()
    await harness.until(
        lambda: sum(event.data["staged_count"] for event in harness.of(Ticked)) == 7
    )
    await stager.stop()
    assert {await harness.state(id_) for id_ in ids} == {JobState.AVAILABLE}


async def test_a_queue_that_nobody_serves_is_staged_and_reported(
    harness: NodeHarness, raw: Raw, caplog: pytest.LogCaptureFixture
):
    leader = await leader_of(harness)
    stager = stager_of(harness, leader)
    job_id = await due(harness, raw, queue="nobody")
    await due(harness, raw, queue="default")
    for _ in range(3):
        await stager.tick()
    assert await harness.state(job_id) is JobState.AVAILABLE
    assert [event.queue for event in harness.of(QueueUnserved)] == ["nobody"]
    assert caplog.text.count("'nobody', which no node serves") == 1
    harness.clock.time += ASK_AGAIN
    await leader.tick()
    await stager.tick()
    assert len(harness.of(QueueUnserved)) == 2


async def test_a_stopped_queue_is_not_reported(harness: NodeHarness, raw: Raw):
    stager = await leading(harness)
    await harness.engine.set_queue(QueueOverride("stopped", served=False))
    await harness.engine.set_queue(QueueOverride("paused", paused=True))
    for queue in ("stopped", "paused"):
        await due(harness, raw, queue=queue)
    await stager.tick()
    assert [event.queue for event in harness.of(QueueUnserved)] == ["paused"]


async def test_announces_the_distinct_queues_of_staged_jobs_and_the_served_ones_with_jobs(
    harness: NodeHarness, raw: Raw
):
    stager = await leading(harness)
    served: dict[str, object] = {"queues": {"ready": {"limit": 1}, "paused": {"limit": 1}}}
    await harness.engine.update_node_info(harness.node, served)
    await harness.engine.set_queue(QueueOverride("paused", paused=True))
    for queue in ("staged", "staged", "both"):
        await due(harness, raw, queue=queue)
    for queue in ("both", "ready", "paused", "served by no node"):
        await harness.put(queue=queue)
    await harness.put(queue="later", delay=60.0)
    await harness.put(queue="held", hold=True)
    await stager.tick()
    assert sorted(harness.announced()) == ["both", "ready", "staged"]


async def test_announces_nothing_where_nothing_is_available(harness: NodeHarness):
    stager = await leading(harness)
    await harness.put(delay=60.0)
    assert (await stager.tick()).data == {"staged_count": 0, "queues": ()}
    assert harness.signals == []


async def test_events_of_start_tick_failure_and_stop_carry_the_count(
    harness: NodeHarness, raw: Raw, monkeypatch: pytest.MonkeyPatch
):
    stager = await leading(harness)
    await due(harness, raw)
    stage = harness.engine.stage
    calls = 0

    async def fail_first(limit: int, *, ready: bool) -> Staged:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise DatabaseUnavailable("gone")
        return await stage(limit, ready=ready)

    monkeypatch.setattr(harness.engine, "stage", fail_first)
    await stager.start()
    await harness.until(lambda: bool(harness.of(Ticked)))
    await stager.stop()
    kinds = [
        type(event)
        for event in harness.events
        if not isinstance(event, EngineCalled | QueueUnserved)
    ]
    assert kinds[1:4] == [ServiceStarted, TickFailed, Ticked]
    assert kinds[-1] is ServiceStopped
    (failed,) = harness.of(TickFailed)
    assert (failed.service, str(failed.error), failed.failures) == ("stager", "gone", 1)
    assert harness.of(Ticked)[0].data["staged_count"] == 1
    assert {
        event.node
        for event in (*harness.of(ServiceStarted), *harness.of(Ticked), *harness.of(ServiceStopped))
    } == {harness.node}


async def test_its_timer_ends_with_it(harnesses: HarnessFactory):
    harness = await harnesses(stager={"interval": 0.01})
    stager = await leading(harness)
    await stager.start()
    await harness.until(lambda: len(harness.of(Ticked)) >= 2)
    await stager.stop()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "elihu-stager"]


async def test_a_job_of_a_running_node_becomes_available_at_most_one_interval_late(
    app: Elihu, events: EventRecorder
):
    @app.task(name="late")
    async def late() -> None:
        pass

    async with app.running():
        job = await late.using(delay=0.3).aenqueue()
        await events.count(JobStopped, 1)
    stored = await app.jobs.get(job.id)
    assert stored.started_at is not None
    assert 0 <= (stored.started_at - stored.scheduled_at).total_seconds() < 1


async def test_a_plain_insert_is_announced_by_the_next_tick(
    app: Elihu, events: EventRecorder, raw: Raw
):
    @app.task(name="plain")
    async def plain(word: str) -> None:
        pass

    app.override(poll="1h", poll_fallback="1h")
    async with app.running():
        await events.until(lambda: any(event.service == "stager" for event in events.of(Ticked)))
        await raw.execute(
            "INSERT INTO job (task, queue, args) VALUES ('plain', 'default', '{\"word\": "
            '"hello"}\')'
        )
        await events.count(JobStopped, 1)


async def test_slow_reading_of_the_queues_with_jobs_is_not_repeated_at_each_tick(
    harness: NodeHarness, raw: Raw, monkeypatch: pytest.MonkeyPatch
):
    stager = await leading(harness)
    stage, asked = harness.engine.stage, []

    async def slow(limit: int, *, ready: bool) -> Staged:
        asked.append(ready)
        harness.clock.time += 0.01
        return await stage(limit, ready=ready)

    monkeypatch.setattr(harness.engine, "stage", slow)
    await due(harness, raw)
    for _ in range(3):
        await stager.tick()
    assert asked == [True, False, False]
    assert harness.announced() == ["default"]
    harness.clock.time += 0.1
    await stager.tick()
    assert asked[-1]


async def test_expiry_asks_nothing_while_the_stager_finds_nothing(harness: NodeHarness, raw: Raw):
    leader = await leader_of(harness)
    expiry = Expiry(harness.scope, leader)
    stager = Stager(harness.scope, leader, expiry)

    async def expired() -> tuple[int, int]:
        """How many jobs a tick expires, and how often it asks the database."""
        before = expire_calls(harness)
        return (await expiry.tick()).data["expired_count"], expire_calls(harness) - before

    assert await expired() == (0, 1), "the stager has not looked yet"
    await stager.tick()
    assert await expired() == (0, 0)
    job_id = await harness.put(expires=60)
    await raw.put(job_id, expires_at=Ago(1))
    await stager.tick()
    assert await expired() == (1, 1)
    await stager.tick()
    assert await expired() == (0, 0)
    harness.clock.time += FRESH
    await leader.tick()
    assert await expired() == (0, 1), "the stager has not looked lately"


def expire_calls(harness: NodeHarness) -> int:
    return [event.verb for event in harness.of(EngineCalled)].count("expire")
