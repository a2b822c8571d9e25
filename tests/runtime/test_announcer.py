"""Announcements: here at once, elsewhere soon, and never at anybody's cost."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from elihu import DatabaseUnavailable, SchemaOutdated
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.runtime.announcer import Hub
from tests.runtime.harness import NodeHarness

MAIL, PRINT = Signal(SignalKind.JOBS, "mail"), Signal(SignalKind.JOBS, "print")


class Line:
    """Stands for the database's notifications."""

    def __init__(self, harness: NodeHarness, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[list[Signal]] = []
        self.failure: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()
        monkeypatch.setattr(harness.engine, "notify", self.notify)

    async def notify(self, signals: Sequence[Signal]) -> None:
        self.sent.append(list(signals))
        await self.open.wait()
        if self.failure:
            raise self.failure


@pytest.fixture
def line(harness: NodeHarness, monkeypatch: pytest.MonkeyPatch) -> Line:
    return Line(harness, monkeypatch)


async def test_this_process_is_announced_to_at_once(harness: NodeHarness, line: Line):
    harness.scope.announcer.queues(["mail", "print"])
    assert harness.signals == [MAIL, PRINT]
    assert line.sent == []
    await harness.scope.announcer.close()
    assert line.sent == [[MAIL, PRINT]]


async def test_announcements_of_a_moment_are_joined(harness: NodeHarness, line: Line):
    line.open.clear()
    announcer = harness.scope.announcer
    announcer.queues(["mail"])
    await asyncio.sleep(0)
    assert line.sent == [[MAIL]]
    for _ in range(100):
        announcer.queues(["mail", "print"])
    line.open.set()
    await announcer.close()
    assert line.sent == [[MAIL], [MAIL, PRINT]]


@pytest.mark.parametrize(
    "failure",
    [DatabaseUnavailable("gone"), SchemaOutdated("no tables"), RuntimeError("a surprise")],
)
async def test_a_failing_notification_harms_nobody_and_is_logged_once(
    harness: NodeHarness, line: Line, caplog: pytest.LogCaptureFixture, failure: Exception
):
    announcer = harness.scope.announcer
    line.failure = failure
    for number in range(1, 4):
        announcer.queues(["mail"])
        assert announcer._sender is not None
        await announcer._sender
        assert len(line.sent) == number
    assert len(caplog.records) == 1
    line.failure = None
    announcer.queues(["print"])
    await announcer.close()
    assert line.sent[-1] == [PRINT]


async def test_close_sends_what_is_left(harness: NodeHarness, line: Line):
    announcer = harness.scope.announcer
    await announcer.close()
    assert line.sent == []
    announcer.queues(["mail"])
    await announcer.close()
    assert line.sent == [[MAIL]]


async def test_the_hub_reaches_receivers_in_their_own_loops_until_they_leave():
    hub = Hub()
    here: list[tuple[Signal, str]] = []
    there: list[tuple[Signal, str]] = []
    arrived, leaving, joined = threading.Event(), threading.Event(), threading.Event()

    def in_another_loop() -> None:
        async def listen() -> None:
            def receive(signal: Signal) -> None:
                there.append((signal, threading.current_thread().name))
                arrived.set()

            leave = hub.join(receive)
            joined.set()
            await asyncio.to_thread(leaving.wait)
            leave()

        asyncio.run(listen())

    leave = hub.join(lambda signal: here.append((signal, threading.current_thread().name)))
    other = threading.Thread(target=in_another_loop, name="other")
    other.start()
    await asyncio.to_thread(joined.wait)
    hub.deliver([MAIL])
    assert here == [(MAIL, "MainThread")]
    await asyncio.to_thread(arrived.wait)
    assert there == [(MAIL, "other")]
    leaving.set()
    await asyncio.to_thread(other.join)
    leave()
    hub.deliver([PRINT])
    assert (len(here), len(there)) == (1, 1)


async def test_a_receiver_gets_the_kinds_that_it_asked_for():
    hub = Hub()
    every: list[Signal] = []
    some: list[Signal] = []
    hub.join(every.append)
    hub.join(some.append, [SignalKind.CRON, SignalKind.LEADER])
    signals = [MAIL, Signal(SignalKind.LEADER), PRINT, Signal(SignalKind.CRON)]
    hub.deliver(signals)
    assert every == signals
    assert some == [signals[1], signals[3]]


async def test_the_hub_forgives_a_receiver_whose_loop_has_ended():
    hub = Hub()
    loop = asyncio.new_event_loop()

    async def join() -> None:
        hub.join(lambda signal: None)

    await asyncio.to_thread(loop.run_until_complete, join())
    loop.close()
    hub.deliver([MAIL])
