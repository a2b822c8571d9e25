"""The reconciler: claims whose fetch was never answered are given back."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from elihu import DatabaseUnavailable, Elihu, JobState
from elihu.engines.protocol import Ack, Exchange
from elihu.engines.protocol.signals import SignalKind
from elihu.job import JobFilter
from elihu.runtime.queue.ledger import Key
from elihu.runtime.queue.producer import Producer
from elihu.runtime.queue.reconciler import Reconciler
from elihu.runtime.service import FRESH
from elihu.telemetry.events import JobStarted
from tests.engines.raw import Ago, Raw
from tests.runtime.harness import NodeHarness
from tests.support import EventRecorder


def held_by(*producers: Producer) -> Callable[[], Awaitable[list[Key]]]:
    """The claims that these producers hold."""

    async def held() -> list[Key]:
        return [key for producer in producers for key in producer.held]

    return held


async def test_gives_back_what_was_claimed_long_ago_and_is_not_held(
    harness: NodeHarness, raw: Raw, caplog: pytest.LogCaptureFixture
):
    began, gate = asyncio.Event(), asyncio.Event()

    async def t() -> None:
        began.set()
        await gate.wait()

    harness.task(t, name="t")
    held = await harness.put()
    producer = harness.producer(limit=1)
    await producer.start()
    await began.wait()
    lost, young = await harness.put(queue="mail"), await harness.put(queue="mail")
    await harness.engine.exchange(harness.node, "mail", 2, [])
    long_ago = 2 * harness.config.call_timeout + 0.5
    for job_id in (held, lost):
        await raw.put(job_id, started_at=Ago(long_ago))
    reconciler = Reconciler(harness.scope, held_by(producer))
    tick = await reconciler.tick()
    assert tick == (harness.config.heartbeat, {"released_count": 1})
    assert [await harness.state(id_) for id_ in (held, lost, young)] == [
        "executing",
        "available",
        "executing",
    ]
    job = await harness.job(lost)
    assert job.attempt == 0
    assert await harness.results(lost) == ["returned"]
    assert harness.announced() == ["mail"]
    assert caplog.text.count("the answers to their fetches never arrived") == 1
    assert (await reconciler.tick()).data == {"released_count": 0}
    gate.set()


async def test_a_waiter_of_a_job_to_be_cancelled_is_woken(harness: NodeHarness, raw: Raw):
    job_id, other = await harness.put(awaited=True), await harness.put(awaited=True)
    await harness.engine.exchange(harness.node, "default", 2, [])
    await harness.engine.cancel(JobFilter(ids=(job_id,)))
    for lost in (job_id, other):
        await raw.put(lost, started_at=Ago(2 * harness.config.call_timeout + 0.5))
    await Reconciler(harness.scope, held_by()).tick()
    assert [await harness.state(id_) for id_ in (job_id, other)] == ["cancelled", "available"]
    assert [signal.payload for signal in harness.signals if signal.kind is SignalKind.ENDED] == [
        str(job_id)
    ]
    assert harness.announced() == ["default"]


async def test_jobs_of_other_nodes_are_none_of_its_business(harness: NodeHarness, raw: Raw):
    job_id = await harness.put()
    await harness.engine.exchange(harness.node, "default", 1, [])
    await raw.execute("UPDATE job SET node = '00000000-0000-0000-0000-000000000001'")
    await raw.put(job_id, started_at=Ago(3_600))
    assert (await Reconciler(harness.scope, held_by()).tick()).data == {"released_count": 0}


async def test_asks_nothing_while_heartbeats_find_no_job_of_the_node(
    harness: NodeHarness, raw: Raw
):
    lost = await harness.put()
    await harness.engine.exchange(harness.node, "default", 1, [])
    await raw.put(lost, started_at=Ago(3_600))
    reconciler = Reconciler(harness.scope, held_by())
    reconciler.executes(False)
    assert (await reconciler.tick()).data == {"released_count": 0}
    assert (await harness.engine.heartbeat(harness.node)).executes
    reconciler.executes(True)
    assert (await reconciler.tick()).data == {"released_count": 1}
    assert not (await harness.engine.heartbeat(harness.node)).executes
    await harness.engine.exchange(harness.node, "default", 1, [])
    await raw.put(lost, started_at=Ago(3_600))
    reconciler.executes(False)
    harness.clock.time += (FRESH + 0.1) * harness.config.heartbeat
    assert (await reconciler.tick()).data == {"released_count": 1}, "the finding is too old"


async def test_an_end_that_waits_to_be_written_is_still_held(
    harness: NodeHarness, raw: Raw, monkeypatch: pytest.MonkeyPatch
):
    exchange = harness.engine.exchange
    away = asyncio.Event()

    async def fail_to_write(
        node: str, queue: str, free: int, acks: Sequence[Ack], **more: Any
    ) -> Exchange:
        if acks:
            away.set()
            raise DatabaseUnavailable("gone")
        return await exchange(node, queue, free, acks, **more)

    async def t() -> None:
        pass

    harness.task(t, name="t")
    job_id = await harness.put()
    producer = harness.producer()
    with monkeypatch.context() as patched:
        patched.setattr(harness.engine, "exchange", fail_to_write)
        await producer.start()
        await away.wait()
        assert not producer.running
        await raw.put(job_id, started_at=Ago(3_600))
        assert (await Reconciler(harness.scope, held_by(producer)).tick()).data == {
            "released_count": 0
        }
    producer.fetch_soon()
    await harness.until(lambda: not producer.held)
    assert await harness.state(job_id) is JobState.COMPLETED


async def test_a_node_runs_again_a_job_whose_fetch_was_not_answered(
    app: Elihu, events: EventRecorder, harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
):
    exchange = type(harness.engine).exchange
    lost = 0

    @app.task(name="t")
    async def t() -> None:
        pass

    async def lose_one(*args: Any, **more: Any) -> Exchange:
        nonlocal lost
        answer = await exchange(*args, **more)
        if answer.claims and not lost:
            lost += 1
            raise DatabaseUnavailable("the connection broke")
        return answer

    monkeypatch.setattr(type(harness.engine), "exchange", lose_one)
    job = await t.aenqueue()
    async with app.running():
        await events.ended(job.id)
    assert lost == 1
    assert [run.outcome for run in await app.jobs.runs(job.id)] == ["returned", "completed"]
    assert (await app.jobs.get(job.id)).attempt == 1
    assert len(events.of(JobStarted)) == 1
