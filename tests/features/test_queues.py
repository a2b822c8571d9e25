"""``app.queues``: stored for every node, or live on one."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from elihu import Elihu, InvalidOption, Queue, QueueOnNode, UnknownNode, UnknownQueue
from elihu.engines.select import engine_for
from elihu.runtime.node import Node
from elihu.runtime.queue.manager import Setting
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import (
    JobStarted,
    JobStopped,
    QueueEvent,
    QueuePaused,
    QueueResumed,
    QueueScaled,
    QueueShutdown,
    QueueStarted,
)
from tests.support import EventRecorder

GHOST = "00000000-0000-0000-0000-000000000000"


@pytest.fixture
def gate(app: Elihu) -> asyncio.Event:
    """Lets the jobs of the task ``t`` end."""
    gate = asyncio.Event()

    @app.task(name="t")
    async def t() -> None:
        await gate.wait()

    return gate


async def put(app: Elihu, number: int, queue: str = "default") -> None:
    t = app.task_named("t")
    await app.enqueue_many(t.using(queue=queue).build() for _ in range(number))


async def named(app: Elihu, name: str) -> Queue:
    return next(queue for queue in await app.queues.list() if queue.name == name)


async def test_what_is_listed(app: Elihu, events: EventRecorder, gate: asyncio.Event):
    @app.task(name="other", queue="elsewhere")
    async def other() -> None: ...

    await put(app, 3)
    await put(app, 2, "waiting")
    async with app.running(queues={"default": 2}) as node:
        await events.count(JobStarted, 2)
        listed = await app.queues.list()
        gate.set()
    assert [queue.name for queue in listed] == ["default", "elsewhere", "waiting"]
    assert listed[0].longest_wait is not None
    assert replace(listed[0], longest_wait=None) == Queue(
        name="default",
        limit=None,
        paused=False,
        stopped=False,
        available=1,
        longest_wait=None,
        executing=2,
        nodes=(QueueOnNode(node=node.id, limit=2, paused=False, executing=2),),
    )
    assert (listed[2].available, listed[2].executing, listed[2].nodes) == (2, 0, ())


@pytest.mark.usefixtures("unhurried")
async def test_a_paused_queue_stays_paused_after_a_restart(
    app: Elihu, events: EventRecorder, gate: asyncio.Event
):
    gate.set()
    async with app.running() as node:
        await node.producers[
            0
        ].wait_idle()  # a fetch that is on its way when the queue is paused may still find the job
        await app.queues.pause("default")
        await events.count(QueuePaused, 1)
        await put(app, 1)
    async with app.running() as node:
        (producer,) = node.producers
        await producer.wait_idle()
        assert node.queues.served == {"default": Setting(10, True)}
        assert (await app.nodes.list())[0].info["paused"] == ["default"]
        assert (await named(app, "default")).paused
        assert events.of(JobStarted) == []
        await app.queues.resume("default")
        await events.count(JobStopped, 1)
        assert not (await named(app, "default")).paused


async def test_a_stored_limit_wins_over_the_configuration(app: Elihu, gate: asyncio.Event):
    await app.queues.scale("default", 3)
    async with app.running() as plain, app.running(queues={"default": 7, "mail": 1}) as split:
        assert plain.queues.served == {"default": Setting(3)}
        assert split.queues.served == {"default": Setting(3), "mail": Setting(1)}
        queue = await named(app, "default")
        assert (queue.limit, sorted(each.limit for each in queue.nodes)) == (3, [3, 3])


async def test_a_change_reaches_running_nodes_at_once(
    app: Elihu, events: EventRecorder, gate: asyncio.Event
):
    """Both directions, on announcement: the heartbeat of this app is too slow to be the
    cause.
    """
    app.override(heartbeat=60, dead_after=600)
    await put(app, 6)
    async with app.running(queues={"default": 2}) as node:
        await events.count(JobStarted, 2)
        await app.queues.scale("default", 5)
        await events.count(JobStarted, 5)
        await app.queues.scale("default", 1)
        await events.count(QueueScaled, 2)
        gate.set()
        await events.count(JobStopped, 6)
        assert node.queues.served == {"default": Setting(1)}
    assert {event.outcome for event in events.of(JobStopped)} == {"completed"}


async def test_with_a_node_only_that_one_changes_and_only_while_it_lives(
    app: Elihu, events: EventRecorder, gate: asyncio.Event
):
    async with app.running() as one, app.running() as two:
        await app.queues.pause("default", node=one.id)
        await app.queues.scale("default", 4, node=two.id[:13])
        await app.queues.start("extra", 2, node=two.id)
        await events.until(
            lambda: (
                two.queues.served.keys() == {"default", "extra"}
                and one.queues.served["default"].paused
            )
        )
        assert one.queues.served == {"default": Setting(10, True)}
        assert two.queues.served == {"default": Setting(4), "extra": Setting(2)}
        await app.queues.resume("default")
        await app.queues.scale("default", 6)
        await events.until(
            lambda: (
                one.queues.served == {"default": Setting(6)}
                and two.queues.served["default"] == Setting(6)
            )
        )
    await app.queues.scale("default", 10)
    async with app.running() as later:
        assert later.queues.served == {"default": Setting(10)}
        assert all(queue.name != "extra" for queue in await app.queues.list())


async def test_a_started_queue_is_served_by_all_but_split_nodes(
    app: Elihu, events: EventRecorder, gate: asyncio.Event
):
    gate.set()
    async with app.running() as plain, app.running(queues={"mail": 1}) as split:
        await put(app, 1, "new")
        await app.queues.start("new", 3)
        await events.count(JobStopped, 1)
        assert events.of(JobStarted)[0].node == plain.id
        assert split.queues.served == {"mail": Setting(1)}
        await app.queues.stop("new")
        await events.until(lambda: [event.queue for event in events.of(QueueShutdown)] == ["new"])
        assert (await named(app, "new")).stopped
    async with app.running() as later:
        assert later.queues.served == {"default": Setting(10)}
        await app.queues.start("new")
        await events.until(lambda: later.queues.served.get("new") == Setting(3))


async def test_what_was_stopped_everywhere_is_served_again_as_configured(
    app: Elihu, events: EventRecorder, gate: asyncio.Event
):
    async with app.running() as node:
        await app.queues.stop("default")
        await events.count(QueueShutdown, 1)
        assert node.queues.served == {}
        await app.queues.start("default")
        await events.until(lambda: node.queues.served == {"default": Setting(10)})


async def test_a_stop_with_a_queue_that_is_still_finishing(
    app: Elihu, events: EventRecorder, gate: asyncio.Event
):
    """The node's own stop gives it ``grace`` seconds, like any other."""
    app.override(grace=0.1)
    await put(app, 1)
    node: Node
    async with app.running() as node:
        await events.count(JobStarted, 1)
        await app.queues.stop("default")
        await events.until(lambda: node.queues.served == {})
    assert node.unwritten == 0
    assert (await app.jobs.counts()) == {"default": {"available": 1}}


async def test_changes_of_queues_are_emitted(
    app: Elihu, events: EventRecorder, gate: asyncio.Event
):
    async with app.running():
        for change, kind in (
            (app.queues.pause("default"), QueuePaused),
            (app.queues.resume("default"), QueueResumed),
            (app.queues.scale("default", 2), QueueScaled),
            (app.queues.start("new", 1), QueueStarted),
        ):
            before = len(events.of(kind))
            await change
            await events.count(kind, before + 1)
    assert [type(event).__name__ for event in events.of(QueueEvent)] == [
        "QueueStarted",
        "QueuePaused",
        "QueueResumed",
        "QueueScaled",
        "QueueStarted",
    ]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda queues: queues.pause("typo"),
            UnknownQueue,
            r"queue: expected a known queue \(default, mail\), got 'typo'",
        ),
        (lambda queues: queues.resume("typo"), UnknownQueue, "got 'typo'"),
        (lambda queues: queues.scale("typo", 1), UnknownQueue, "got 'typo'"),
        (lambda queues: queues.stop("typo"), UnknownQueue, "got 'typo'"),
        (
            lambda queues: queues.start("typo"),
            InvalidOption,
            r"limit: expected .* 10,000 for a new queue, got None \(known are default, mail\)",
        ),
        (
            lambda queues: queues.scale("default", 0),
            InvalidOption,
            "limit: expected a whole number from 1 to 10,000, got 0",
        ),
        (lambda queues: queues.scale("default", 10_001), InvalidOption, "limit: .* got 10001"),
        (lambda queues: queues.scale("default", True), InvalidOption, "limit: .* got True"),
        (lambda queues: queues.start("new", -1), InvalidOption, "limit: .* got -1"),
        (lambda queues: queues.start("new", "3"), InvalidOption, "limit: .* got '3'"),
        (lambda queues: queues.start("", 1), InvalidOption, "queue: expected a text"),
        (lambda queues: queues.start("a\0", 1), InvalidOption, "queue: expected a text"),
        (lambda queues: queues.pause(7), InvalidOption, "queue: expected a text"),
        (
            lambda queues: queues.pause("default", node=GHOST),
            UnknownNode,
            r"node: expected the id of a node \(none runs\), got '0000",
        ),
        (lambda queues: queues.start("new", 1, node=GHOST), UnknownNode, "none runs"),
        (
            lambda queues: queues.pause("default", node=""),
            InvalidOption,
            "node: expected the id of a node",
        ),
        (lambda queues: queues.pause("default", node=7), InvalidOption, "node: .* got 7"),
    ],
)
async def test_bad_input_changes_nothing(
    app: Elihu, call: Callable[[Any], Any], error: type[Exception], message: str
):
    @app.task(name="m", queue="mail")
    async def m() -> None: ...

    before = await app.queues.list()
    with pytest.raises(error, match=message):
        await call(app.queues)
    assert await app.queues.list() == before


async def test_a_node_must_serve_the_queue_and_be_one(app: Elihu):
    async with app.running(queues={"mail": 1}) as one, app.running() as two:
        with pytest.raises(
            UnknownQueue,
            match=rf"expected a queue that node {one.id} serves \(mail\), got 'default'",
        ):
            await app.queues.pause("default", node=one.id)
        with pytest.raises(InvalidOption, match=r"limit: expected .* for a new queue"):
            await app.queues.start("default", node=one.id)
        with pytest.raises(
            UnknownNode, match=rf"expected the id of a node \(.*{two.id}.*\), got 'x'"
        ):
            await app.queues.pause("default", node="x")


async def test_the_beginning_of_an_id_must_be_of_one_node(app: Elihu, database_url: str):
    engine = engine_for(app.config, Bus())
    await engine.open()
    for number in (1, 2):
        await engine.register_node(f"{GHOST[:-1]}{number}", "twin", {"queues": {"default": 1}})
    with pytest.raises(
        UnknownNode,
        match=rf"expected the id of one node \({GHOST[:-1]}1, {GHOST[:-1]}2\), got '0000'",
    ):
        await app.queues.pause("default", node="0000")
    await app.queues.pause("default", node=f"{GHOST[:-1]}2")
    assert [rule.node for rule in await engine.queue_overrides()] == [f"{GHOST[:-1]}2"]
    await engine.close()


async def test_a_queue_that_only_holds_jobs_is_known(app: Elihu, gate: asyncio.Event):
    await put(app, 1, "waiting")
    await app.queues.pause("waiting")
    assert (await named(app, "waiting")).paused


async def test_a_queue_started_for_all_is_no_reason_to_warn(
    app: Elihu, caplog: pytest.LogCaptureFixture
):
    @app.task(name="m", queue="mail")
    async def m() -> None: ...

    async with app.running():
        assert "queue 'mail' of task 'm' is not served by this node" in caplog.text
    caplog.clear()
    await app.queues.start("mail", 1)
    with caplog.at_level(logging.WARNING):
        async with app.running():
            pass
    assert "not served" not in caplog.text


async def test_a_queue_stopped_for_all_is_no_reason_to_warn(
    app: Elihu, caplog: pytest.LogCaptureFixture
):
    @app.task(name="m")
    async def m() -> None: ...

    await app.queues.stop("default")
    with caplog.at_level(logging.WARNING):
        async with app.running() as node:
            assert node.queues.served == {}
    assert "not served" not in caplog.text
