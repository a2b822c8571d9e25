"""Attempts that wait for jobs of their own full queue: reported, and in the error."""

import logging
from typing import Any

import pytest

import elihu
from elihu import Elihu, RelayTimeout
from elihu.runtime.queue import nested_waits
from elihu.runtime.queue.nested_waits import NestedWaits
from elihu.telemetry.events import JobStarted, QueueBlockedByWaits, Ticked
from tests.support import BUSY_MACHINE, EventRecorder

pytestmark = pytest.mark.sqlite_first

HINT = "held by attempts that wait for jobs of the same queue"


async def until_reported(events: EventRecorder) -> QueueBlockedByWaits:
    await events.count(QueueBlockedByWaits, 1)
    return events.of(QueueBlockedByWaits)[0]


@pytest.mark.parametrize("way", ["aresult", "agather", "result", "gather", "wait_retries"])
@pytest.mark.parametrize("slots", [1, 2])
async def test_a_wait_in_every_form_is_reported(
    app: Elihu,
    events: EventRecorder,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
    slots: int,
):
    monkeypatch.setattr(nested_waits, "INTERVAL", 0.1)
    errors: list[Any] = []

    @app.task(name="child")
    async def child() -> None: ...

    @app.task(name="parent", max_attempts=1)
    async def parent() -> None:
        relay = await child.asubmit()
        match way:
            case "agather":
                errors.extend(await elihu.agather([relay], timeout=2))
            case _:
                try:
                    await relay.aresult(timeout=2, wait_retries=way == "wait_retries")
                except RelayTimeout as error:
                    errors.append(error)

    @app.task(name="parent_thread", max_attempts=1)
    def parent_thread() -> None:
        relay = child.submit()
        if way == "gather":
            errors.extend(elihu.gather([relay], timeout=2))
        else:
            try:
                relay.result(timeout=2)
            except RelayTimeout as error:
                errors.append(error)

    task = parent_thread if way in {"result", "gather"} else parent
    with caplog.at_level(logging.WARNING, "elihu"):
        async with app.running(queues={"default": slots}):
            jobs = [await task.aenqueue() for _ in range(slots)]
            event = await until_reported(events)
            for job in jobs:
                await events.ended(job.id)
    assert (event.queue, event.attempts) == ("default", slots)
    assert HINT in caplog.text
    # the first one that gives up frees its slot, so the other may still get its value
    refused = [error for error in errors if isinstance(error, RelayTimeout)]
    assert refused
    assert all(HINT in str(error) for error in refused)
    assert len(events.of(QueueBlockedByWaits)) == 1


async def test_a_wait_that_another_slot_or_queue_can_end_is_not_reported(
    app: Elihu, events: EventRecorder, monkeypatch: pytest.MonkeyPatch
):
    """The child ends after four looks at its parent's wait."""
    monkeypatch.setattr(nested_waits, "INTERVAL", 0.05)
    looks = 0

    def look(event: Ticked) -> None:
        nonlocal looks
        looks += event.service == NestedWaits.name

    app.on(Ticked, look)

    @app.task(name="child", queue="children")
    async def child() -> int:
        enough = looks + 4
        await events.until(lambda: looks >= enough)
        return 1

    @app.task(name="parent")
    async def parent() -> None:
        relay = await child.asubmit()
        assert await relay.aresult(timeout=None) == 1

    async with app.running(queues={"default": 1, "children": 1}):
        job = await parent.aenqueue()
        assert (await events.ended(job.id)).outcome == "completed"
    assert not events.of(QueueBlockedByWaits)


async def test_a_wait_without_a_time_limit_is_reported_and_ends_with_a_further_slot(
    app: Elihu, events: EventRecorder
):
    app.override(**BUSY_MACHINE)

    @app.task(name="child")
    async def child() -> None: ...

    @app.task(name="parent")
    async def parent() -> None:
        await (await child.asubmit()).aresult(timeout=None)

    async with app.running(queues={"default": 1}) as node:
        job = await parent.aenqueue()
        await events.count(JobStarted, 1)
        await until_reported(events)
        await app.queues.scale("default", 2, node=node.id)
        assert (await events.ended(job.id)).outcome == "completed"
