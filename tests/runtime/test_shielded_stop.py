"""A stop whose caller is cancelled, in whatever way, stops everything all the same."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import pytest

from elihu import Elihu, JobState
from elihu.runtime import shielded_stop
from elihu.runtime.node import Node
from elihu.runtime.shielded_stop import ShieldedStop
from elihu.telemetry.events import JobStarted, NodeStopped
from tests.support import EventRecorder

pytestmark = pytest.mark.sqlite_first

Run = Callable[[AbstractAsyncContextManager[Node], asyncio.Event], Coroutine[Any, Any, None]]


async def in_cancel_scope(node: AbstractAsyncContextManager[Node], began: asyncio.Event) -> None:
    """Cancelled again at each await, until the scope is left."""
    with anyio.CancelScope() as scope:
        async with node:
            await began.wait()
            scope.cancel()
            await anyio.sleep_forever()


async def in_a_time_limit(node: AbstractAsyncContextManager[Node], began: asyncio.Event) -> None:
    """A host that waits a bounded time for the stop."""
    running = await node.__aenter__()
    await began.wait()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await running.stop()


async def cancelled_twice(node: AbstractAsyncContextManager[Node], began: asyncio.Event) -> None:
    """As by a second Ctrl-C."""

    async def program() -> None:
        async with node:
            await asyncio.Event().wait()

    task = asyncio.create_task(program())
    await began.wait()
    for _ in range(2):
        task.cancel()
        await asyncio.sleep(0.05)
    await asyncio.wait([task])


async def every_task_cancelled(
    node: AbstractAsyncContextManager[Node], began: asyncio.Event
) -> None:
    """As by ``asyncio.run`` at its end: the node's own tasks, and those of the stop."""
    running = await node.__aenter__()
    await began.wait()
    me = asyncio.current_task()
    stop = asyncio.create_task(running.stop())
    await asyncio.sleep(0.05)
    for task in asyncio.all_tasks() - {me}:
        task.cancel()
    await asyncio.wait([stop])


@pytest.mark.parametrize(
    "run", [in_cancel_scope, in_a_time_limit, cancelled_twice, every_task_cancelled]
)
async def test_no_attempt_is_left_running(app: Elihu, events: EventRecorder, run: Run):
    began, alive = asyncio.Event(), 0

    @app.task(name="endless")
    async def endless() -> None:
        nonlocal alive
        alive += 1
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            alive -= 1

    job = await endless.aenqueue()
    async with asyncio.timeout(20):
        await run(app.running(), began)
    await events.count(JobStarted, 1)
    await events.count(NodeStopped, 1)
    assert alive == 0
    stored = await app.jobs.get(job.id)
    assert (stored.state, stored.attempt) == (JobState.AVAILABLE, 0)
    assert await app.nodes.list() == []
    left = [task for task in asyncio.all_tasks() if task.get_name().startswith("elihu-")]
    assert [task.get_name() for task in left if "queue" in task.get_name()] == []


async def test_a_start_that_is_cancelled_leaves_nothing(app: Elihu):
    with anyio.CancelScope() as scope:
        scope.cancel()
        async with app.running():
            raise AssertionError("the node started")
    assert await app.nodes.list() == []


async def test_parts_stop_in_reverse_and_each_once():
    order: list[int] = []
    stop = ShieldedStop(lambda: None)
    for number in range(3):

        async def part(number: int = number) -> None:
            order.append(number)

        stop.add(part)
    await stop.run()
    await stop.run()
    assert order == [2, 1, 0]


async def test_a_part_that_fails_does_not_stop_the_others():
    stopped: list[bool] = []
    stop = ShieldedStop(lambda: None)

    async def good() -> None:
        stopped.append(True)

    async def bad() -> None:
        raise RuntimeError("bad")

    stop.add(good)
    stop.add(bad)
    with pytest.raises(RuntimeError, match="bad"):
        await stop.run()
    assert stopped == [True]


async def test_a_part_that_hangs_is_left_once_the_stop_is_hurried(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(shielded_stop, "HURRY", 0.05)
    stopped: list[bool] = []
    hurried: list[bool] = []
    stop = ShieldedStop(lambda: hurried.append(True))

    async def good() -> None:
        stopped.append(True)

    async def hang() -> None:
        await asyncio.Event().wait()

    stop.add(good)
    stop.add(hang)
    stop.hurry()
    stop.hurry()
    with caplog.at_level(logging.WARNING, "elihu"):
        await stop.run()
    assert (stopped, hurried) == ([True], [True])
    assert "shutdown timed out waiting for the database" in caplog.text
