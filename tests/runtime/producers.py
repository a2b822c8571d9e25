"""What the tests of a producer share."""

import asyncio

from elihu.runtime.queue.producer import Producer
from tests.runtime.harness import NodeHarness

NEVER = 3_600.0


def wait_idle(producer: Producer) -> bool:
    return not producer.held and not producer.running


async def stop(producer: Producer, grace: float = 10) -> None:
    await producer.stop(grace=grace, now=asyncio.Event())


async def gated(harness: NodeHarness) -> tuple[asyncio.Event, asyncio.Semaphore]:
    """A task ``t`` that waits for the event, and tells of its start by the semaphore."""
    gate, began = asyncio.Event(), asyncio.Semaphore(0)

    async def t() -> None:
        began.release()
        await gate.wait()

    harness.task(t, name="t")
    return gate, began
