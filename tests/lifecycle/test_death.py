"""Nodes that die, freeze or are told to end, while others go on."""

import asyncio
import signal
from pathlib import Path

import psutil
import pytest

from elihu import Elihu, JobState, RunOutcome
from tests.lifecycle.nodes import Processes, job
from tests.support import Stopwatch

JOBS = 5_000


async def test_a_node_killed_among_5000_jobs_loses_none_and_leadership_moves(
    app: Elihu, processes: Processes
):
    first = await processes.node()
    await processes.printed(first, "event LeaderElected")
    second = await processes.node()
    await app.enqueue_many(job("brief", args={"number": number}) for number in range(JOBS))
    await processes.printed(first, "began brief", 300)
    first.send(signal.SIGSTOP)
    held = [
        held.id
        for held in (await app.jobs.list(state="executing", node=first.node, limit=500)).items
    ]
    first.send(signal.SIGKILL)
    assert await first.end() == -signal.SIGKILL

    await processes.printed(second, "event LeaderElected", within=10)

    async def drained() -> bool:
        return await app.jobs.count(state="completed") == JOBS

    await processes.until_found(drained, within=45)
    assert await app.jobs.counts() == {"default": {"completed": JOBS}}
    for job_id in held:
        results = [run.outcome for run in await app.jobs.runs(job_id)]
        assert results == [RunOutcome.ORPHANED, RunOutcome.COMPLETED], job_id
    assert second.count(f"buried {first.node}") == 1
    assert second.count("event JobRescued") >= len(held)
    assert [node.id for node in await app.nodes.list()] == [second.node]


async def test_claims_that_wait_in_a_killed_node_run_elsewhere(
    app: Elihu, processes: Processes, tmp_path: Path
):
    door = tmp_path / "door"
    first = await processes.node(QUEUES="default=2+50")
    holds = [await app.aenqueue(job("until_file", args={"path": str(door)})) for _ in range(2)]
    await processes.printed(first, "began until_file", 2)
    await app.enqueue_many(job("brief", args={"number": number}) for number in range(30))

    async def wait() -> bool:
        return await app.jobs.count(state="executing") == 32

    await processes.until_found(wait)
    waiting = (await app.jobs.list(task="brief", limit=50)).items
    assert [each.started_at for each in waiting] == [None] * 30
    second = await processes.node(QUEUES="default=2")
    first.send(signal.SIGKILL)
    assert await first.end() == -signal.SIGKILL
    door.touch()

    async def drained() -> bool:
        return await app.jobs.count(state="completed") == 32

    await processes.until_found(drained, within=45)
    assert first.count("began brief") == 0
    assert second.count("began brief") == 30
    for each in [*holds, *waiting]:
        runs = [run.outcome for run in await app.jobs.runs(each.id)]
        assert runs == [RunOutcome.ORPHANED, RunOutcome.COMPLETED], each.id


async def test_a_job_of_a_killed_node_starts_again_soon(
    app: Elihu, processes: Processes, tmp_path: Path
):
    door = tmp_path / "door"
    first, second = await processes.node(), await processes.node()
    stored = await app.aenqueue(job("until_file", args={"path": str(door)}))
    await processes.until(
        lambda: bool(first.count("began until_file") + second.count("began until_file"))
    )
    holder, other = (first, second) if first.count("began until_file") else (second, first)
    watch = Stopwatch()
    holder.send(signal.SIGKILL)
    await processes.printed(other, "began until_file")
    assert watch.seconds < 10
    door.touch()
    await processes.until_found(lambda: completed(app, stored.id))
    assert [run.outcome for run in await app.jobs.runs(stored.id)] == [
        RunOutcome.ORPHANED,
        RunOutcome.COMPLETED,
    ]


async def test_sigterm_lets_jobs_end_within_grace_and_gives_the_others_back(
    app: Elihu, processes: Processes
):
    node = await processes.node(GRACE="1")
    ends, lasts, thread = [
        await app.aenqueue(job("lasting", args={"seconds": 0.8})),
        await app.aenqueue(job("lasting", args={"seconds": 3_600})),
        await app.aenqueue(job("lasting_thread", args={"seconds": 3_600})),
    ]
    await processes.printed(node, "began", 3)
    waiting = await app.aenqueue(job("brief", queue="nobody", args={"number": 1}))
    watch = Stopwatch()
    node.send(signal.SIGTERM)
    assert await node.end() == 0
    assert 1 <= watch.seconds < 6
    assert (await app.jobs.get(ends.id)).state is JobState.COMPLETED
    for given_back in (lasts, thread):
        stored = await app.jobs.get(given_back.id)
        assert (stored.state, stored.attempt) == (JobState.AVAILABLE, 0)
        assert [run.outcome for run in await app.jobs.runs(given_back.id)] == [RunOutcome.RETURNED]
    assert (await app.jobs.get(waiting.id)).state is JobState.AVAILABLE
    assert await app.nodes.list() == []
    assert not node.count("Traceback")
    assert not [line for line in node.errors if "Traceback" in line or "ERROR" in line]


async def test_jobs_given_back_by_a_stopping_node_start_at_once_on_another(
    app: Elihu, processes: Processes, tmp_path: Path
):
    door = tmp_path / "door"
    node = await processes.node(GRACE="0")
    stored = await app.aenqueue(job("until_file", args={"path": str(door)}))
    await processes.printed(node, "began until_file")
    other = await processes.node(POLL="60", POLL_FALLBACK="60")
    node.send(signal.SIGTERM)
    await processes.printed(other, "began until_file")
    assert await node.end() == 0
    door.touch()
    await processes.until_found(lambda: completed(app, stored.id))
    assert [run.outcome for run in await app.jobs.runs(stored.id)] == [
        RunOutcome.RETURNED,
        RunOutcome.COMPLETED,
    ]
    assert (await app.jobs.get(stored.id)).attempt == 1


async def test_a_second_signal_stops_now_whatever_runs(app: Elihu, processes: Processes):
    node = await processes.node(GRACE="1h")
    await app.aenqueue(job("lasting", args={"seconds": 3_600}))
    await app.aenqueue(job("lasting_thread", args={"seconds": 3_600}))
    await processes.printed(node, "began", 2)
    node.send(signal.SIGTERM)
    await processes.printed(node, "stopping")
    watch = Stopwatch()

    def counts_when_it_is_no_echo() -> bool:
        node.send(signal.SIGTERM)
        return node.count("second signal: returning") > 0

    await processes.until(counts_when_it_is_no_echo)
    assert await node.end() == 0
    assert watch.seconds < 5
    assert await app.jobs.counts() == {"default": {"available": 2}}


async def test_a_clean_stop_hands_leadership_over_at_once(app: Elihu, processes: Processes):
    leader = await processes.node(LEASE="1h", HEARTBEAT="0.5")
    await processes.printed(leader, "event LeaderElected")
    follower = await processes.node(LEASE="1h", HEARTBEAT="0.5")
    leader.send(signal.SIGTERM)
    await processes.printed(follower, "event LeaderElected", within=5)
    assert await leader.end() == 0


async def test_a_node_frozen_for_less_than_dead_after_is_not_removed(
    app: Elihu, processes: Processes
):
    frozen, watcher = await processes.node(DEAD_AFTER="6"), await processes.node(DEAD_AFTER="6")
    stored = await app.aenqueue(job("lasting", args={"seconds": 2}))
    await processes.until(lambda: bool(frozen.count("began") + watcher.count("began")))
    frozen.send(signal.SIGSTOP)
    await processes.more(watcher, "mode", 6)
    frozen.send(signal.SIGCONT)
    await asyncio.gather(processes.more(frozen, "mode", 3), processes.more(watcher, "mode", 3))
    await processes.until_found(lambda: completed(app, stored.id))
    for node in (frozen, watcher):
        assert not node.count("buried")
        assert not node.count("reborn")
    assert {node.id for node in await app.nodes.list()} == {frozen.node, watcher.node}
    assert [run.outcome for run in await app.jobs.runs(stored.id)] == [RunOutcome.COMPLETED]


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_a_node_frozen_for_longer_is_removed_and_rejoins(
    app: Elihu, processes: Processes, tmp_path: Path
):
    door = tmp_path / "door"
    stored = await app.aenqueue(job("until_file", args={"path": str(door)}))
    frozen = await processes.node()
    await processes.printed(frozen, "began until_file")
    watcher = await processes.node()
    frozen.send(signal.SIGSTOP)
    await processes.printed(watcher, f"buried {frozen.node}")
    await processes.printed(watcher, "began until_file")
    frozen.send(signal.SIGCONT)
    await processes.printed(frozen, "reborn")
    door.touch()
    await processes.until_found(lambda: completed(app, stored.id))
    assert [run.outcome for run in await app.jobs.runs(stored.id)] == [
        RunOutcome.ORPHANED,
        RunOutcome.COMPLETED,
    ]
    assert len(await app.nodes.list()) == 2
    watcher.send(signal.SIGTERM)
    assert await watcher.end() == 0
    await app.aenqueue(job("brief", args={"number": 1}))
    await processes.printed(frozen, "began brief")


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_on_sqlite_a_frozen_node_keeps_its_jobs(app: Elihu, processes: Processes):
    frozen = await processes.node()
    stored = await app.aenqueue(job("lasting", args={"seconds": 0.5}))
    await processes.printed(frozen, "began lasting")
    frozen.send(signal.SIGSTOP)
    watcher = await processes.node()
    await processes.more(watcher, "mode", 12)
    assert not watcher.count("buried")
    frozen.send(signal.SIGCONT)
    await processes.until_found(lambda: completed(app, stored.id))
    assert [run.outcome for run in await app.jobs.runs(stored.id)] == [RunOutcome.COMPLETED]


async def test_a_cancelled_job_cleans_up_undisturbed(app: Elihu, processes: Processes):
    node = await processes.node(HEARTBEAT="0.1")
    stored = await app.aenqueue(job("stubborn"))
    await processes.printed(node, "began stubborn")
    assert await app.jobs.cancel(stored.id) == 1
    await processes.printed(node, "cleaned up")

    async def cancelled() -> bool:
        return (await app.jobs.get(stored.id)).state is JobState.CANCELLED

    await processes.until_found(cancelled)


async def completed(app: Elihu, job_id: int) -> bool:
    return (await app.jobs.get(job_id)).state is JobState.COMPLETED


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_no_child_process_outlives_its_node(
    app: Elihu, processes: Processes, tmp_path: Path, number: signal.Signals
):
    node = await processes.node(GRACE="0")
    began = tmp_path / "began"
    stored = await app.aenqueue(job("deaf_process", args={"path": str(began)}))
    await processes.until_found(lambda: asyncio.to_thread(began.exists))
    (child,) = psutil.Process(node.pid).children()
    node.send(number)
    await node.end()
    assert psutil.wait_procs([child], timeout=10) == ([child], [])
    if number is signal.SIGTERM:
        assert (await app.jobs.get(stored.id)).state is JobState.AVAILABLE
