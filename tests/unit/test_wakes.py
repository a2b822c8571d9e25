"""When an announced queue is fetched."""

import asyncio

import pytest

from elihu.runtime.queue import wakes as module
from elihu.runtime.queue.wakes import MISSES, Wakes


class Fetches:
    def __init__(self) -> None:
        self.count = 0
        self.happened = asyncio.Event()

    def __call__(self) -> None:
        self.count += 1
        self.happened.set()


@pytest.fixture
async def fetches() -> Fetches:
    return Fetches()


def missed(wakes: Wakes) -> None:
    for _ in range(MISSES):
        wakes.announced()
        wakes.fetched(claimed=False)


async def test_a_node_that_gets_jobs_fetches_at_once(fetches: Fetches) -> None:
    wakes = Wakes(fetches)
    for _ in range(20):
        wakes.announced()
        wakes.fetched(claimed=True)
    assert fetches.count == 20
    assert not wakes.pending


async def test_a_node_that_misses_joins_announcements(fetches: Fetches) -> None:
    wakes = Wakes(fetches)
    missed(wakes)
    fetches.happened.clear()
    for _ in range(20):
        wakes.announced()
    assert (fetches.count, wakes.pending) == (MISSES, True)
    await fetches.happened.wait()
    assert (fetches.count, wakes.pending) == (MISSES + 1, False)


async def test_a_claim_ends_it(fetches: Fetches) -> None:
    wakes = Wakes(fetches)
    missed(wakes)
    wakes.fetched(claimed=True)
    wakes.announced()
    assert fetches.count == MISSES + 1


async def test_a_quiet_time_ends_it(fetches: Fetches, monkeypatch: pytest.MonkeyPatch) -> None:
    wakes = Wakes(fetches)
    missed(wakes)
    monkeypatch.setattr(module, "QUIET", 0.0)
    await asyncio.sleep(0)
    wakes.announced()
    assert fetches.count == MISSES + 1


async def test_a_fetch_that_was_put_off_can_be_made_now_or_dropped(fetches: Fetches) -> None:
    wakes = Wakes(fetches)
    missed(wakes)
    wakes.announced()
    wakes.flush()
    assert (fetches.count, wakes.pending) == (MISSES + 1, False)
    wakes.announced()
    wakes.cancel()
    wakes.flush()
    assert (fetches.count, wakes.pending) == (MISSES + 1, False)
