"""``app.templates.run``: announced or not, in front of others or not."""

import asyncio

from elihu import (
    Elihu,
    JobState,
)
from elihu.api.templates import Templates
from elihu.clients.client import Client
from elihu.runtime.announcer import Hub
from elihu.task import Registry
from elihu.telemetry.bus import Bus
from tests.features.template_tasks import create, declare
from tests.support import EventRecorder


async def test_run_announces_or_not(app: Elihu) -> None:
    hub, announced = Hub(), []
    hub.join(lambda signal: announced.append(signal.payload))
    client = Client(app.config, Bus(), hub)
    templates = Templates(lambda: client, Registry(), lambda: 1_000)
    await create(app)
    for identifier in (None, "a"):
        await templates.enqueue("invoice", {"number": 1}, identifier)
    await templates.enqueue("invoice", {"number": 1}, run="queued")
    assert announced == []
    for number, run in enumerate(("wake", "now"), 1):
        await templates.enqueue("invoice", {"number": 1}, f"{run}-1", run=run)  # type: ignore[arg-type]
        assert announced == ["default"] * number
    await client.close()


async def test_now_goes_to_the_front_and_wake_keeps_the_order(app: Elihu) -> None:
    declare(app)
    await create(app)
    queued = [
        await app.templates.enqueue("invoice", {"number": 1}, priority=priority)
        for priority in (0, 0, 5)
    ]
    woken = await app.templates.enqueue("invoice", {"number": 2}, run="wake", priority=3)
    now = await app.templates.enqueue("invoice", {"number": 3}, run="now")
    newer = await app.templates.enqueue("invoice", {"number": 4}, run="now")
    order = [newer, now, queued[0], queued[1], woken, queued[2]]
    assert [await app.jobs.position(job.id) for job in order] == [1, 2, 3, 4, 5, 6]
    assert (now.priority, now.state) == (0, "available")
    first = await app.jobs.get(queued[0].id)
    assert (
        newer.scheduled_at
        < now.scheduled_at
        < first.scheduled_at
        <= first.inserted_at
        < now.inserted_at
    )


async def test_now_in_an_empty_queue_has_its_own_time(app: Elihu) -> None:
    await create(app)
    job = await app.templates.enqueue("invoice", {"number": 1}, run="now")
    assert abs((job.inserted_at - job.scheduled_at).total_seconds()) < 1


async def test_now_waits_for_a_slot_like_any_other(app: Elihu, events: EventRecorder) -> None:
    running: list[int] = []
    most = 0
    go = asyncio.Event()

    @app.task(name="slow")
    async def slow(number: int) -> None:
        nonlocal most
        running.append(number)
        most = max(most, len(running))
        if number == 0:
            await go.wait()
        running.remove(number)
        order.append(number)

    order: list[int] = []
    await app.templates.create("slow", "Slow", "slow", {})
    first = await app.templates.enqueue("slow", {"number": 0}, run="wake")
    async with app.running(queues={"default": 1}):
        await events.until(lambda: running == [0])
        await app.templates.enqueue("slow", {"number": 1}, run="wake")
        last = await app.templates.enqueue("slow", {"number": 2}, run="now")
        assert running == [0]
        go.set()
        for job in (first, last):
            await events.stored(job.id, [JobState.COMPLETED])
        await events.until(lambda: len(order) == 3)
    assert (order, most) == ([0, 2, 1], 1)
