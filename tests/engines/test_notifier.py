"""The notifier: what one process does reaches the others, as a hint, in the loop's
thread.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable

import pytest

from elihu.engines.protocol import Engine
from elihu.engines.protocol.signals import Notifier, Signal, SignalKind
from tests.engines.builders import node, put


class SignalRecorder:
    """The signals that arrived, and a way to wait for one."""

    def __init__(self) -> None:
        self.signals: list[Signal] = []
        self.threads: set[int] = set()
        self._changed = asyncio.Event()

    def __call__(self, signal: Signal) -> None:
        self.signals.append(signal)
        self.threads.add(threading.get_ident())
        self._changed.set()

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not done():
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
async def notifier(engine: Engine) -> AsyncIterator[Notifier]:
    notifier = engine.notifier()
    yield notifier
    await notifier.stop()


async def test_jobs_of_another_process_are_announced(notifier: Notifier, other: Engine) -> None:
    recorder = SignalRecorder()
    await notifier.start(recorder)
    await put(other)
    await other.notify([Signal(SignalKind.JOBS, "default")])
    await recorder.until(lambda: Signal(SignalKind.JOBS, "default") in recorder.signals)
    assert recorder.threads == {threading.get_ident()}


async def test_what_happened_before_the_start_is_no_news(notifier: Notifier, other: Engine) -> None:
    await put(other)
    await other.notify([Signal(SignalKind.JOBS, "before")])
    recorder = SignalRecorder()
    await notifier.start(recorder)
    await put(other)
    await other.notify([Signal(SignalKind.JOBS, "after")])
    await recorder.until(lambda: bool(recorder.signals))
    assert Signal(SignalKind.JOBS, "before") not in recorder.signals


async def test_every_kind_arrives(notifier: Notifier, other: Engine) -> None:
    recorder, here = SignalRecorder(), await node(other)
    await notifier.start(recorder)
    sent = [
        Signal(SignalKind.JOBS, 'ümlaut, "quoted"\''),
        Signal(SignalKind.INTENT, here),
        Signal(SignalKind.LEADER),
    ]
    await other.notify(sent)
    await recorder.until(lambda: set(sent) <= set(recorder.signals))


@pytest.mark.parametrize(
    "queue",
    ["plain", "ümlaut \U0001f600", 'it\'s "quoted"', "\\", "\\' ; SELECT 1", "/* payload */$1"],
)
async def test_any_name_arrives_alone_as_it_was_sent(
    notifier: Notifier, other: Engine, queue: str
) -> None:
    recorder = SignalRecorder()
    await notifier.start(recorder)
    await put(other)
    await other.notify([Signal(SignalKind.JOBS, queue)])
    await recorder.until(lambda: Signal(SignalKind.JOBS, queue) in recorder.signals)


async def test_the_probe_finds_that_it_works(notifier: Notifier) -> None:
    await notifier.start(SignalRecorder())
    assert await notifier.probe()


async def test_a_stopped_notifier_is_silent(engine: Engine, other: Engine) -> None:
    stopped, running = engine.notifier(), other.notifier()
    silent, recorder = SignalRecorder(), SignalRecorder()
    await stopped.start(silent)
    await running.start(recorder)
    await stopped.stop()
    await put(engine)
    await engine.notify([Signal(SignalKind.JOBS, "default")])
    await recorder.until(lambda: bool(recorder.signals))
    await running.stop()
    assert silent.signals == []


async def test_stop_is_safe_twice_and_before_start(engine: Engine) -> None:
    notifier = engine.notifier()
    await notifier.stop()
    await notifier.start(SignalRecorder())
    await notifier.stop()
    await notifier.stop()


async def test_a_notifier_can_start_again(notifier: Notifier, other: Engine) -> None:
    await notifier.start(SignalRecorder())
    await notifier.stop()
    recorder = SignalRecorder()
    await notifier.start(recorder)
    await put(other)
    await other.notify([Signal(SignalKind.JOBS, "default")])
    await recorder.until(lambda: bool(recorder.signals))
