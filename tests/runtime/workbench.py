"""A producer and a canceller at work, and tasks that end when a test lets them."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from elihu.engines.protocol import BulkResult
from elihu.job import JobFilter
from elihu.runtime.queue.canceller import Canceller
from elihu.runtime.queue.producer import Producer
from elihu.telemetry.events import (
    JobStarted,
    JobStopped,
)
from tests.runtime.harness import NodeHarness

SOON = 0.05


class Workbench:
    """A producer and a canceller at work, and gates for the tasks of a test."""

    def __init__(self, harness: NodeHarness, producer: Producer) -> None:
        self.harness = harness
        self.producer = producer
        self.canceller = Canceller(harness.scope, lambda: [producer])

    async def run(self, task: str = "t", **fields: Any) -> int:
        """Store a job and return its id when an attempt has begun."""
        begun = len(self.harness.of(JobStarted))
        job_id = await self.harness.put(task, **fields)
        self.producer.fetch_soon()
        await self.harness.until(lambda: len(self.harness.of(JobStarted)) > begun)
        return job_id

    async def kill(self, job_id: int) -> None:
        touched: BulkResult = await self.harness.engine.kill(JobFilter(ids=(job_id,)))
        assert touched == BulkResult(1, frozenset(), frozenset({self.harness.node}))
        assert (await self.canceller.tick()).data["killed_count"] == 1

    async def ended(self, number: int = 1) -> JobStopped:
        """The ``number``-th end, when it is written."""
        await self.harness.until(
            lambda: len(self.harness.of(JobStopped)) >= number and not self.producer.held
        )
        return self.harness.of(JobStopped)[number - 1]


@asynccontextmanager
async def at_work(harness: NodeHarness, limit: int = 2) -> AsyncIterator[Workbench]:
    producer = harness.producer(limit)
    await producer.start()
    yield Workbench(harness, producer)


class Gate:
    """Holds tasks until it is opened, in a thread or in the loop."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.async_open = asyncio.Event()
        self.cancelled = 0

        def thread() -> None:
            """Does not listen."""
            assert self.open.wait(20)

        async def loop() -> None:
            """Swallows its cancellation."""
            while not self.async_open.is_set():
                try:
                    await self.async_open.wait()
                except asyncio.CancelledError:
                    self.cancelled += 1

        self.thread = thread
        self.loop = loop


async def endless() -> None:
    await asyncio.Event().wait()
