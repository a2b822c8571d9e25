"""How much a producer fetches at once."""

from collections.abc import Sequence
from typing import Any

import pytest

from elihu.engines.protocol import Ack, Exchange
from elihu.errors import DatabaseTimeout
from elihu.telemetry.events import JobStopped
from tests.runtime.harness import NodeHarness
from tests.runtime.producers import stop


def nothing() -> None: ...


async def test_a_fetch_that_timed_out_asks_for_half(
    harness: NodeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers with more than two jobs do not arrive in time."""
    exchange = harness.engine.exchange
    asked: list[int] = []

    async def slow_link(
        node: str, queue: str, free: int, acks: Sequence[Ack], **more: Any
    ) -> Exchange:
        asked.append(free)
        if free > 2:
            raise DatabaseTimeout("no answer in time")
        return await exchange(node, queue, free, acks, **more)

    harness.task(nothing, name="t")
    for _ in range(9):
        await harness.put()
    monkeypatch.setattr(harness.engine, "exchange", slow_link)
    producer = harness.producer(limit=16)
    await producer.start()
    await harness.until(lambda: len(harness.of(JobStopped)) == 9)
    assert asked[:4] == [16, 8, 4, 2]
    await stop(producer)
