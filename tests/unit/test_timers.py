"""Timers."""

import asyncio

import pytest

from elihu.runtime.timers import Poll
from tests.runtime.harness import Every


async def test_a_look_of_another_part_counts_as_a_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    planned: list[float] = []
    call_later = loop.call_later

    def at_once(delay: float, *rest: object) -> asyncio.TimerHandle:
        planned.append(delay)
        return call_later(0, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "call_later", at_once)
    polled = asyncio.Event()
    times = Every(5)
    times.looks = [1, 4, 5]
    poll = Poll(times, polled.set)
    poll.start()
    await polled.wait()
    poll.stop()
    assert planned == [5, 4, 1, 5], "the third look is as old as a poll may be"
