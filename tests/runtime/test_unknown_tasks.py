"""Jobs of tasks that some nodes do not know: rolling releases, split code bases."""

import logging

import pytest

from elihu import DatabaseUnavailable, Elihu, JobState
from elihu.runtime.queue.producer import Producer
from elihu.telemetry.events import JobStarted, TaskUnknown
from tests.runtime.harness import NodeHarness
from tests.runtime.producers import NEVER, wait_idle
from tests.support import QUICK, EventRecorder


async def given_back(harness: NodeHarness, producer: Producer, job_id: int) -> JobState:
    """The state after the node gave the job back."""
    await harness.until(lambda: bool(harness.of(TaskUnknown)) and wait_idle(producer))
    return await harness.state(job_id)


def knows(harness: NodeHarness) -> None:
    """This node knows a task, and fetches jobs."""

    async def known() -> None: ...

    harness.task(known, name="known")


@pytest.mark.parametrize(
    ("queues", "tasks", "state"),
    [
        ({"default": 1}, ["strange"], JobState.AVAILABLE),
        ({"default": 1}, ["other"], JobState.SCHEDULED),
        ({"mail": 1}, ["strange"], JobState.SCHEDULED),
        ({"default": 1}, None, JobState.SCHEDULED),
        (None, "strange", JobState.SCHEDULED),
    ],
)
async def test_it_is_given_back_at_once_only_where_another_node_of_the_queue_knows_it(
    harness: NodeHarness, queues: object, tasks: object, state: JobState
):
    knows(harness)
    other = "00000000-0000-0000-0000-000000000001"
    await harness.engine.register_node(other, "other", {"queues": queues, "tasks": tasks})
    job_id = await harness.put("strange")
    producer = harness.producer(poll=NEVER)
    await producer.start()
    assert await given_back(harness, producer, job_id) is state
    assert (await harness.job(job_id)).attempt == 0
    assert await harness.results(job_id) == ["returned"]


async def test_it_waits_when_the_nodes_cannot_be_read(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
):
    async def fail() -> None:
        raise DatabaseUnavailable("gone")

    knows(harness)
    monkeypatch.setattr(harness.engine, "nodes", fail)
    job_id = await harness.put("strange")
    producer = harness.producer(poll=NEVER)
    await producer.start()
    assert await given_back(harness, producer, job_id) is JobState.SCHEDULED


async def test_a_node_without_tasks_fetches_nothing(app: Elihu, events: EventRecorder):
    """As ``elihu up`` without an app."""
    other = Elihu(app.config.database_url, schema=app.config.schema, **QUICK)

    @other.task(name="t")
    async def t() -> None: ...

    job = await t.aenqueue()
    async with app.running():
        await events.until(lambda: events.calls("heartbeat") >= 5)
        assert (await app.jobs.get(job.id)).state is JobState.AVAILABLE
    assert not events.of(TaskUnknown)
    await other.aclose()


async def test_each_ignorant_node_meets_a_task_once_and_a_later_one_runs_its_jobs(
    app: Elihu, events: EventRecorder, caplog: pytest.LogCaptureFixture
):
    olds = [Elihu(app.config.database_url, schema=app.config.schema, **QUICK) for _ in range(2)]
    met: list[tuple[str, int]] = []
    for old in olds:
        old.task(name="old")(_nothing)
        old.on(TaskUnknown, lambda event: met.append((event.node, event.job_id)))

    @app.task(name="new", aliases=["newer"])
    async def new() -> None: ...

    async with olds[0].running(), olds[1].running():
        with caplog.at_level(logging.WARNING, "elihu"):
            async with app.running():
                jobs = [await new.aenqueue() for _ in range(6)]
                for job in jobs:
                    assert (await events.ended(job.id)).state == JobState.COMPLETED
    assert len(met) == len(set(met)), "a node met a job a second time"
    assert len(events.of(JobStarted)) == 6
    assert "another node does" in caplog.text or not met
    for old in olds:
        await old.aclose()


async def _nothing() -> None: ...
