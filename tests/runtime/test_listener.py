"""Whether announcements arrive, and what happens when they do not."""

import asyncio
import math
from collections.abc import Callable

import pytest

from elihu import DatabaseUnavailable, Elihu
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.runtime.listener import NEXT_TEST, Listener
from elihu.telemetry.events import JobStopped, NotifierSwitched, TickFailed
from tests.engines.raw import Raw
from tests.runtime.conftest import HarnessFactory
from tests.runtime.harness import NodeHarness
from tests.support import EventRecorder


class Deaf:
    """A notifier that hears what a test tells it to."""

    def __init__(self) -> None:
        self.works: bool | Exception = True
        self.quiet = math.inf
        self.probes = 0
        self.deliver: Callable[[Signal], None] | None = None

    async def start(self, deliver: Callable[[Signal], None]) -> None:
        self.deliver = deliver

    async def stop(self) -> None:
        self.deliver = None

    async def probe(self) -> bool:
        self.probes += 1
        if isinstance(self.works, Exception):
            raise self.works
        return self.works

    def silence(self) -> float:
        return self.quiet


async def test_the_mode_switches_with_an_event_and_a_line_of_log_each_way(
    harness: NodeHarness, caplog: pytest.LogCaptureFixture
):
    notifier = Deaf()
    listener = Listener(harness.scope, notifier, harness.hub)
    modes = []
    with caplog.at_level("INFO", "elihu"):
        for works in (True, False, False, True, True):
            notifier.works = works
            modes.append((await listener.tick()).data["mode"])
    assert modes == ["listening", "polling", "polling", "listening", "listening"]
    assert [event.mode for event in harness.of(NotifierSwitched)] == ["polling", "listening"]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert harness.signals == [Signal(SignalKind.CHANGED)] * 2


async def test_a_probe_that_fails_means_polling(harness: NodeHarness):
    notifier = Deaf()
    listener = Listener(harness.scope, notifier, harness.hub)
    notifier.works = DatabaseUnavailable("gone")
    with pytest.raises(DatabaseUnavailable):
        await listener.tick()
    assert not listener.works


async def test_tests_one_heartbeat_after_the_last_announcement(harness: NodeHarness):
    heartbeat = harness.config.heartbeat
    notifier = Deaf()
    listener = Listener(harness.scope, notifier, harness.hub)
    assert (await listener.tick()).delay == pytest.approx(NEXT_TEST * heartbeat)
    notifier.quiet = 0.25 * heartbeat
    assert (await listener.tick()).delay == pytest.approx(0.75 * heartbeat)
    assert notifier.probes == 1
    notifier.quiet = heartbeat
    await listener.tick()
    assert notifier.probes == 2
    notifier.works = False
    await listener.tick()
    notifier.quiet = 0.0
    await listener.tick()
    assert notifier.probes == 4, "a test that failed is repeated whatever arrives"


async def test_its_signals_reach_the_hub(harness: NodeHarness):
    notifier = Deaf()
    listener = Listener(harness.scope, notifier, harness.hub)
    await listener.start()
    assert notifier.deliver is not None
    notifier.deliver(Signal(SignalKind.JOBS, "mail"))
    assert harness.announced() == ["mail"]
    await listener.stop()
    assert notifier.deliver is None


async def test_the_real_notifier_works(harness: NodeHarness):
    listener = Listener(harness.scope, harness.engine.notifier(), harness.hub)
    await listener.start()
    assert (await listener.tick()).data == {"mode": "listening"}
    await listener.stop()
    assert not harness.of(TickFailed)


async def test_signals_of_another_process_arrive(harness: NodeHarness, harnesses: HarnessFactory):
    other = await harnesses()
    listener = Listener(harness.scope, harness.engine.notifier(), harness.hub)
    await listener.start()
    await listener.tick()
    heard: asyncio.Queue[Signal] = asyncio.Queue()
    harness.hub.join(heard.put_nowait)
    await other.put(queue="mail")
    await other.engine.notify([Signal(SignalKind.JOBS, "mail")])
    async with asyncio.timeout(20):
        signal = await heard.get()
    assert signal == Signal(SignalKind.JOBS, "mail")
    await listener.stop()


async def test_a_node_polls_quicker_while_it_is_deaf(
    app: Elihu, events: EventRecorder, raw: Raw, monkeypatch: pytest.MonkeyPatch
):
    app.override(poll="1h", poll_fallback=0.1, stager={"interval": "1h"})

    @app.task(name="t")
    async def t() -> None:
        pass

    deaf = Deaf()
    deaf.works = False
    monkeypatch.setattr("elihu.engines.postgres.engine.PostgresEngine.notifier", lambda self: deaf)
    monkeypatch.setattr("elihu.engines.sqlite.engine.SqliteEngine.notifier", lambda self: deaf)
    async with app.running() as node:
        await events.count(NotifierSwitched, 1)
        assert not node.listener.works
        await raw.execute("INSERT INTO job (task) VALUES ('t')")
        await events.count(JobStopped, 1)


async def test_the_poll_covers_a_lost_announcement(
    app: Elihu, events: EventRecorder, raw: Raw, monkeypatch: pytest.MonkeyPatch
):
    app.override(poll=0.1, stager={"interval": "1h"})

    @app.task(name="t")
    async def t() -> None:
        pass

    monkeypatch.setattr(
        "elihu.engines.postgres.engine.PostgresEngine.notifier", lambda self: Deaf()
    )
    monkeypatch.setattr("elihu.engines.sqlite.engine.SqliteEngine.notifier", lambda self: Deaf())
    async with app.running():
        await raw.execute("INSERT INTO job (task) VALUES ('t')")
        await events.count(JobStopped, 1)
