"""The progress display, signal handling and event loop of a node."""

import asyncio
import sys
from typing import Any, cast

import pytest

from elihu.app import Elihu
from elihu.cli.event_loop import loop_factory
from elihu.cli.progress import LINE_INTERVAL, TERMINAL_INTERVAL, JobCounter
from elihu.cli.signals import DUPLICATE_WINDOW, StopSignals
from elihu.cli.start import ending
from elihu.errors import DatabaseUnavailable

pytestmark = pytest.mark.sqlite_first

Counts = dict[str, dict[str, int]]


class Source:
    """A fake app: ``jobs.counts()`` takes the given time and returns the given answer."""

    def __init__(self) -> None:
        self.now = 0.0
        self.answers: list[tuple[float, Counts | Exception]] = []
        self.jobs = self

    async def counts(self) -> Counts:
        took, answer = self.answers.pop(0)
        self.now += took
        if isinstance(answer, Exception):
            raise answer
        return answer

    def counter(self, *answers: tuple[float, Any]) -> JobCounter:
        self.answers = list(answers)
        return JobCounter(cast(Elihu, self), lambda: self.now)


async def test_counts_of_all_queues_and_the_rate() -> None:
    source = Source()
    counter = source.counter(
        (0.0, {}),
        (0.0, {"a": {"available": 1_500, "completed": 2}, "b": {"completed": 3, "discarded": 5}}),
        (0.0, {"a": {"executing": 1, "completed": 1_010}}),
        (0.0, {"a": {"completed": 10}}),
    )
    assert await counter.count() == "none"
    source.now = 10.0
    assert await counter.count() == "available 1,500 · completed 5 · discarded 5 · 1/s"
    source.now = 12.0
    assert await counter.count() == "executing 1 · completed 1,010 · 500/s"
    source.now = 13.0
    assert await counter.count() == "completed 10 · idle"


async def test_rate_of_a_busy_node() -> None:
    counter = Source().counter((0.0, {"a": {"executing": 1}}))
    assert await counter.count() == "executing 1 · 0/s"


async def test_duplicate_signal_is_ignored(capsys: pytest.CaptureFixture[str]) -> None:
    now = 5.0
    ended: list[str] = []
    signals = StopSignals("stopping", lambda: ended.append(capsys.readouterr().out), lambda: now)
    signals.enabled = True
    signals.received()
    assert ended == [""]
    now += DUPLICATE_WINDOW - 0.125
    signals.received()
    assert (signals.stopping.is_set(), signals.stop_now.is_set()) == (True, False)
    now += 0.125
    for _ in range(2):
        signals.received()
    assert signals.stop_now.is_set()
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith(" stopping")
    assert second.endswith(" second signal: returning running jobs to their queues")


@pytest.mark.parametrize(
    ("unwritten", "released", "text"),
    [
        (0, 0, "all jobs finished"),
        (0, 1, "1 job returned, all other jobs finished"),
        (0, 1_200, "1,200 jobs returned, all other jobs finished"),
        (1, 5, "the outcome of 1 attempt could not be written; other nodes will rescue its job"),
        (
            2,
            0,
            "the outcomes of 2 attempts could not be written; other nodes will rescue their jobs",
        ),
    ],
)
def test_last_status_line(unwritten: int, released: int, text: str) -> None:
    assert ending(unwritten, released) == text


async def test_unavailable_database_is_tolerated() -> None:
    counter = Source().counter((0.0, DatabaseUnavailable("away")), (0.0, {"a": {"available": 1}}))
    assert await counter.count() == ""
    assert await counter.count() == "available 1 · idle"


async def test_slow_count_is_followed_by_a_long_pause() -> None:
    counter = Source().counter((0.03125, {}), (2.0, {}))
    await counter.count()
    assert (counter.pause(TERMINAL_INTERVAL), counter.pause(LINE_INTERVAL)) == (
        TERMINAL_INTERVAL,
        LINE_INTERVAL,
    )
    await counter.count()
    assert counter.pause(TERMINAL_INTERVAL) == counter.pause(LINE_INTERVAL) == 40.0


def test_uvloop_is_used_if_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    uvloop = pytest.importorskip("uvloop")
    assert loop_factory() is uvloop.new_event_loop
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop_factory() is None
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        assert "uvloop" not in type(runner.get_loop()).__module__
