"""Leadership: taken, renewed, lost, given up and taken over."""

import asyncio

import pytest

from elihu import DatabaseUnavailable, Elihu
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.runtime.leader.election import LATEST_TRY, OWN_RENEWAL, Leader
from elihu.telemetry.events import EngineCalled, LeaderElected, LeaderLost
from tests.runtime.conftest import HarnessFactory
from tests.runtime.harness import NodeHarness
from tests.support import EventRecorder


def leads(leader: Leader) -> bool:
    return leader.is_leader


def tries(harness: NodeHarness) -> int:
    """How often the node asked the database for leadership."""
    return [event.verb for event in harness.of(EngineCalled)].count("lead")


@pytest.mark.parametrize(("heartbeat", "part"), [(5, OWN_RENEWAL), (6, 0.5)])
async def test_elected_once_and_renewed_in_time_without_heartbeats(
    harnesses: HarnessFactory, heartbeat: float, part: float
):
    harness = await harnesses(heartbeat=heartbeat, dead_after=60, lease=10)
    leader = Leader(harness.scope)
    assert not leads(leader)
    ticks = [await leader.tick() for _ in range(3)]
    assert leads(leader)
    assert [tick.delay for tick in ticks] == pytest.approx([10 * part] * 3)
    assert [tick.data for tick in ticks] == [{"leader": True}] * 3
    assert [event.node for event in harness.of(LeaderElected)] == [harness.node]


async def test_a_lease_that_heartbeats_renew_needs_no_call_of_its_own(harnesses: HarnessFactory):
    harness = await harnesses(heartbeat=5, dead_after=60, lease=10)
    leader = Leader(harness.scope)
    assert leader.lease is None
    await leader.tick()
    for _ in range(3):
        harness.clock.time += 5
        reply = await harness.engine.heartbeat(harness.node, lease=leader.lease)
        leader.renewed(harness.clock.time, held=bool(reply.leads))
        harness.clock.time += 1
        tick = await leader.tick()
        assert leads(leader)
        assert tick.delay == pytest.approx(5)
        harness.clock.time -= 1
    assert tries(harness) == 1
    harness.clock.time += 6
    await leader.tick()
    assert tries(harness) == 2, "no heartbeat has renewed it since"


async def test_a_heartbeat_that_finds_another_leader_ends_leadership_at_once(
    harness: NodeHarness, harnesses: HarnessFactory
):
    other = await harnesses()
    leader, follower = Leader(harness.scope), Leader(other.scope)
    await leader.tick()
    await harness.engine.resign(harness.node)
    await follower.tick()
    reply = await harness.engine.heartbeat(harness.node, lease=leader.lease)
    assert reply.leads is False
    leader.renewed(harness.clock.time, held=False)
    assert not leads(leader)
    assert len(harness.of(LeaderLost)) == 1
    leader.renewed(harness.clock.time, held=True)
    assert not leads(leader), "the answer is older than what ended it"


async def test_a_follower_that_knows_the_lease_does_not_ask(
    harness: NodeHarness, harnesses: HarnessFactory
):
    other = await harnesses()
    await Leader(harness.scope).tick()
    follower = Leader(other.scope)
    follower.lease_ends_in(4.0)
    await follower.tick()
    assert tries(other) == 0
    other.clock.time += 4.0
    await follower.tick()
    assert tries(other) == 1, "the lease has ended"
    follower.lease_ends_in(4.0)
    follower.receive(Signal(SignalKind.LEADER))
    await follower.tick()
    assert tries(other) == 2, "the leader resigned"


async def test_only_one_of_two_leads(harness: NodeHarness, harnesses: HarnessFactory):
    other = await harnesses()
    first, second = Leader(harness.scope), Leader(other.scope)
    await first.tick()
    tick = await second.tick()
    assert (leads(first), leads(second)) == (True, False)
    assert harness.config.heartbeat <= tick.delay <= harness.config.heartbeat + LATEST_TRY


async def test_a_signal_lets_a_follower_try_and_leaves_the_leader_alone(
    harness: NodeHarness, harnesses: HarnessFactory
):
    other = await harnesses()
    first, second = Leader(harness.scope), Leader(other.scope)

    def calls() -> int:
        return sum(event.verb == "lead" for event in other.of(EngineCalled))

    await first.start()
    await harness.until(lambda: leads(first))
    await second.start()
    await other.until(lambda: calls() == 1)
    second.receive(Signal(SignalKind.JOBS, "default"))
    second.receive(Signal(SignalKind.CHANGED))
    await other.until(lambda: calls() == 2)
    await first.stop()
    second.receive(Signal(SignalKind.LEADER))
    await other.until(lambda: leads(second) and calls() == 3)
    second.receive(Signal(SignalKind.CHANGED))
    second.receive(Signal(SignalKind.LEADER))
    assert not second._woken.is_set()
    await second.stop()


async def test_no_leader_once_the_lease_ran_out_by_the_monotonic_clock(harness: NodeHarness):
    leader = Leader(harness.scope)
    await leader.tick()
    harness.clock.time += harness.config.lease - 0.001
    assert leads(leader)
    harness.clock.time += 0.001
    assert not leads(leader)


async def test_the_lease_counts_from_the_moment_of_asking(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
):
    lead = harness.engine.lead

    async def slow(node: str, lease: float) -> bool:
        harness.clock.time += 0.75 * lease
        return await lead(node, lease)

    monkeypatch.setattr(harness.engine, "lead", slow)
    leader = Leader(harness.scope)
    await leader.tick()
    assert leads(leader)
    harness.clock.time += 0.25 * harness.config.lease
    assert not leads(leader)


async def test_a_refused_renewal_ends_leadership_at_once(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
):
    leader = Leader(harness.scope)
    await leader.tick()

    async def refuse(node: str, lease: float) -> bool:
        return False

    monkeypatch.setattr(harness.engine, "lead", refuse)
    await leader.tick()
    assert not leads(leader)
    assert [event.node for event in harness.of(LeaderLost)] == [harness.node]


async def test_a_failing_renewal_ends_leadership_at_once(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
):
    leader = Leader(harness.scope)
    await leader.tick()

    async def fail(node: str, lease: float) -> bool:
        raise DatabaseUnavailable("gone")

    with monkeypatch.context() as patched:
        patched.setattr(harness.engine, "lead", fail)
        with pytest.raises(DatabaseUnavailable):
            await leader.tick()
    assert not leads(leader)
    assert len(harness.of(LeaderLost)) == 1
    await leader.tick()
    assert leads(leader)
    assert len(harness.of(LeaderElected)) == 2


async def test_a_clean_stop_resigns_and_announces(harness: NodeHarness, harnesses: HarnessFactory):
    other = await harnesses()
    leader = Leader(harness.scope)
    await leader.start()
    await harness.until(lambda: bool(harness.of(LeaderElected)))
    await leader.stop()
    assert not leads(leader)
    assert harness.signals == [Signal(SignalKind.LEADER)]
    follower = Leader(other.scope)
    await follower.tick()
    assert leads(follower)


async def test_a_stop_during_a_renewal_resigns_too(
    harness: NodeHarness, harnesses: HarnessFactory, monkeypatch: pytest.MonkeyPatch
):
    other = await harnesses()
    lead, taken = harness.engine.lead, asyncio.Event()

    async def never_answers(node: str, lease: float) -> bool:
        await lead(node, lease)
        taken.set()
        await asyncio.Event().wait()
        return True

    monkeypatch.setattr(harness.engine, "lead", never_answers)
    leader = Leader(harness.scope)
    await leader.start()
    await taken.wait()
    await leader.stop()
    follower = Leader(other.scope)
    await follower.tick()
    assert leads(follower)


async def test_a_stop_while_the_database_is_away_ends_all_the_same(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async def fail(node: str) -> bool:
        raise DatabaseUnavailable("gone")

    leader = Leader(harness.scope)
    await leader.start()
    await harness.until(lambda: bool(harness.of(LeaderElected)))
    with monkeypatch.context() as patched:
        patched.setattr(harness.engine, "resign", fail)
        await leader.stop()
    assert not leads(leader)
    assert "could not resign" in caplog.text


async def test_a_follower_tries_within_a_second_after_the_end_of_the_lease(
    harness: NodeHarness, harnesses: HarnessFactory, monkeypatch: pytest.MonkeyPatch
):
    other = await harnesses(heartbeat=600, dead_after=3_600)
    await Leader(harness.scope).tick()
    follower = Leader(other.scope)
    await follower.start()
    await other.until(lambda: any(event.verb == "lead" for event in other.of(EngineCalled)))
    planned: list[float] = []
    loop = asyncio.get_running_loop()
    call_later = loop.call_later

    def plan(delay: float, *rest: object) -> asyncio.TimerHandle:
        planned.append(delay)
        return call_later(3_600, lambda: None)

    monkeypatch.setattr(loop, "call_later", plan)
    follower.lease_ends_in(4.0)
    assert 4.0 <= planned[-1] <= 4.0 + LATEST_TRY
    follower.lease_ends_in(0.0)
    assert len(planned) == 1, "a heartbeat after the end must not put the trial off"
    follower.lease_ends_in(5.0)
    assert 5.0 <= planned[-1] <= 5.0 + LATEST_TRY
    await follower.stop()


async def test_the_trial_after_the_lease_is_made(harness: NodeHarness, harnesses: HarnessFactory):
    other = await harnesses(heartbeat=600, dead_after=3_600)
    first = Leader(harness.scope)
    await first.tick()
    follower = Leader(other.scope)
    await follower.start()
    await other.until(lambda: any(event.verb == "lead" for event in other.of(EngineCalled)))
    assert await harness.engine.resign(harness.node)
    follower.lease_ends_in(0.0)
    await other.until(lambda: bool(other.of(LeaderElected)), within=LATEST_TRY + 2)
    await follower.stop()


async def test_nodes_in_one_process_hand_leadership_on(app: Elihu, events: EventRecorder):
    async with app.running():
        await events.count(LeaderElected, 1)
        async with app.running() as second:
            assert [node.leader for node in await app.nodes.list()].count(True) == 1
            first_leader = events.of(LeaderElected)[0].node
            assert first_leader != second.id
        await events.until(lambda: len(events.of(LeaderElected)) == 1)
    async with app.running() as third:
        await events.until(lambda: events.of(LeaderElected)[-1].node == third.id)
