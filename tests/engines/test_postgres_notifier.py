"""Announcements over LISTEN and NOTIFY: what arrives, what a payload may be, and what
happens when the connection goes.
"""

import asyncio
import math
from collections.abc import AsyncIterator

import pytest

from elihu.config import Config
from elihu.engines.postgres.channel import payload_of
from elihu.engines.postgres.engine import PostgresEngine
from elihu.engines.postgres.notifier import PostgresNotifier
from elihu.engines.protocol.signals import Signal, SignalKind, signal_of
from elihu.telemetry.bus import Bus
from elihu.testing.postgres import PostgresServer, free_port
from tests.engines.postgres_support import Network, Watcher, engine_on, psql, until


class SignalRecorder:
    """The signals delivered so far."""

    def __init__(self) -> None:
        self.signals: list[Signal] = []
        self._changed = asyncio.Event()

    def __call__(self, signal: Signal) -> None:
        self.signals.append(signal)
        self._changed.set()

    async def until(self, *expected: Signal) -> None:
        """Return when exactly these have come, in any order."""
        async with asyncio.timeout(10):
            while sorted(self.signals) != sorted(expected):
                self._changed.clear()
                await self._changed.wait()


@pytest.fixture
async def engine(postgres_url: str) -> AsyncIterator[PostgresEngine]:
    async with engine_on(postgres_url) as engine:
        yield engine


@pytest.fixture
async def watcher(postgres_url: str) -> AsyncIterator[Watcher]:
    async with psql(postgres_url) as connection:
        yield Watcher(connection)


@pytest.mark.parametrize(
    ("signal", "payload"),
    [
        (Signal(SignalKind.JOBS, "mail"), "jobs:mail"),
        (Signal(SignalKind.JOBS, "a:b"), "jobs:a:b"),
        (Signal(SignalKind.JOBS, "ø" * 3_900), "jobs:" + "ø" * 3_900),
        (Signal(SignalKind.JOBS, "ø" * 4_000), "jobs:"),
        (Signal(SignalKind.LEADER), "leader:"),
    ],
)
def test_payloads(signal: Signal, payload: str) -> None:
    assert payload_of(signal) == payload
    if len(payload) > len("jobs:"):
        assert signal_of(payload) == signal


@pytest.mark.parametrize("payload", ["", "jobs", "other:x", ":x"])
def test_what_is_no_signal_of_this_code_is_left_alone(payload: str) -> None:
    found = signal_of(payload)
    assert found is None or found == Signal(SignalKind.JOBS)


async def test_signals_reach_every_listener_of_the_schema_and_no_other(
    engine: PostgresEngine, postgres_url: str
) -> None:
    here, there, elsewhere = SignalRecorder(), SignalRecorder(), SignalRecorder()
    async with engine_on(postgres_url, schema="other") as other, engine_on(postgres_url) as second:
        notifiers = [engine.notifier(), second.notifier(), other.notifier()]
        for notifier, recorder in zip(notifiers, (here, there, elsewhere), strict=True):
            await notifier.start(recorder)
        sent = [
            Signal(SignalKind.JOBS, "mail"),
            Signal(SignalKind.INTENT, "node"),
            Signal(SignalKind.LEADER),
        ]
        await second.notify(sent)
        await here.until(*sent)
        await there.until(*sent)
        await other.notify([Signal(SignalKind.JOBS, "x")])
        await elsewhere.until(Signal(SignalKind.JOBS, "x"))
        assert here.signals == sent
        for notifier in notifiers:
            await notifier.stop()


async def test_a_payload_that_is_too_long_means_all(engine: PostgresEngine) -> None:
    recorder = SignalRecorder()
    notifier = engine.notifier()
    await notifier.start(recorder)
    await engine.notify([Signal(SignalKind.JOBS, "q" * 8_000)])
    await recorder.until(Signal(SignalKind.JOBS))
    await notifier.stop()


async def test_a_probe_comes_back_and_is_delivered_to_nobody(engine: PostgresEngine) -> None:
    recorder = SignalRecorder()
    notifier = engine.notifier()
    await notifier.start(recorder)
    assert all(await asyncio.gather(*(notifier.probe() for _ in range(5))))
    await engine.notify([Signal(SignalKind.PROBE, "of somebody else"), Signal(SignalKind.LEADER)])
    await recorder.until(Signal(SignalKind.LEADER))
    await notifier.stop()


async def test_a_probe_of_its_own_breaks_no_silence(engine: PostgresEngine) -> None:
    recorder = SignalRecorder()
    notifier = engine.notifier()
    assert notifier.silence() == math.inf
    await notifier.start(recorder)
    assert await notifier.probe()
    assert notifier.silence() == math.inf
    await engine.notify([Signal(SignalKind.PROBE, "of another node"), Signal(SignalKind.LEADER)])
    await recorder.until(Signal(SignalKind.LEADER))
    assert notifier.silence() < 60
    await notifier.stop()
    assert notifier.silence() == math.inf


async def test_a_probe_that_nobody_listens_for_fails(engine: PostgresEngine) -> None:
    assert await engine.notifier().probe() is False


async def test_after_a_broken_connection_it_listens_again_and_says_that_all_may_have_changed(
    engine: PostgresEngine, watcher: Watcher
) -> None:
    recorder = SignalRecorder()
    notifier = engine.notifier()
    await notifier.start(recorder)
    await watcher.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'"
    )
    await recorder.until(Signal(SignalKind.CHANGED))
    await engine.notify([Signal(SignalKind.JOBS, "mail")])
    await recorder.until(Signal(SignalKind.CHANGED), Signal(SignalKind.JOBS, "mail"))
    await notifier.stop()


async def test_starting_without_a_server_does_not_fail_and_tries_again(
    postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = SignalRecorder()
    nowhere = f"postgresql://postgres@127.0.0.1:{free_port()}/postgres"
    engine = PostgresEngine(Config(database_url=postgres_url, listen_url=nowhere), Bus())
    notifier = engine.notifier()
    await notifier.start(recorder)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    await notifier.stop()
    await engine.close()


async def test_a_listener_that_went_silent_is_found_by_a_probe_and_replaced(
    postgres_url: str, engine: PostgresEngine
) -> None:
    recorder = SignalRecorder()
    async with (
        Network(postgres_url) as network,
        engine_on(postgres_url, migrate=False, listen_url=network.url) as listening,
    ):
        notifier = listening.notifier()
        await notifier.start(recorder)
        assert network.connected == 1
        network.stall()
        assert await notifier.probe() is False

        async def gave_up() -> bool:
            await asyncio.sleep(0)
            return network.connected > 1

        await until(gave_up)
        network.resume()
        await recorder.until(Signal(SignalKind.CHANGED))
        assert await notifier.probe() is True
        await notifier.stop()


async def test_stopping_is_safe_before_the_start_and_twice_and_leaves_no_connection(
    engine: PostgresEngine, watcher: Watcher
) -> None:
    notifier = engine.notifier()
    await notifier.stop()
    before = await watcher.others()
    await notifier.start(SignalRecorder())
    await notifier.start(SignalRecorder())
    await watcher.until_others(before + 1)
    await notifier.stop()
    await notifier.stop()
    await watcher.until_others(before)


async def test_a_receiver_that_raises_does_not_end_the_delivery(
    engine: PostgresEngine, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = SignalRecorder()

    def deliver(signal: Signal) -> None:
        if signal.payload == "bad":
            raise ValueError("no")
        recorder(signal)

    notifier = engine.notifier()
    await notifier.start(deliver)
    await engine.notify([Signal(SignalKind.JOBS, "bad"), Signal(SignalKind.JOBS, "good")])
    await recorder.until(Signal(SignalKind.JOBS, "good"))
    assert "raised" in caplog.text
    await notifier.stop()


async def test_a_foreign_notification_on_the_channel_is_ignored(
    engine: PostgresEngine, watcher: Watcher
) -> None:
    recorder = SignalRecorder()
    notifier = engine.notifier()
    await notifier.start(recorder)
    await watcher.execute("SELECT pg_notify('elihu_elihu_signal', 'nonsense')")
    await engine.notify([Signal(SignalKind.LEADER)])
    await recorder.until(Signal(SignalKind.LEADER))
    await notifier.stop()


async def test_listening_waits_out_a_restart_of_the_server() -> None:
    with PostgresServer() as server:
        async with engine_on(server.url) as engine:
            recorder = SignalRecorder()
            notifier = engine.notifier()
            await notifier.start(recorder)
            await asyncio.to_thread(server.restart)
            await recorder.until(Signal(SignalKind.CHANGED))

            async def works() -> bool:
                return await notifier.probe()

            await until(works)
            await notifier.stop()


async def test_a_listener_that_stayed_at_another_server_moves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Open connections stay where they are, as behind a proxy after a failover."""
    monkeypatch.setattr("elihu.engines.postgres.notifier._PROBE_TIMEOUT", 0.3)
    with PostgresServer() as old, PostgresServer() as new:
        async with Network(old.url) as network, engine_on(new.url) as engine:
            received: list[Signal] = []
            notifier = PostgresNotifier(engine, network.url, "elihu")
            await notifier.start(received.append)
            network.lead_to(new.url)
            async with asyncio.timeout(20):
                while not await notifier.probe():
                    pass
            assert Signal(SignalKind.CHANGED) in received
            await notifier.stop()


async def test_notifiers_of_a_loop_share_one_connection(postgres_url: str) -> None:
    async with engine_on(postgres_url) as engine, psql(postgres_url) as connection:
        watcher = Watcher(connection)
        await engine.nodes()
        before = await watcher.others()
        first, second = engine.notifier(), engine.notifier(eager=True)
        received: list[list[Signal]] = [[], []]
        await first.start(received[0].append)
        await second.start(received[1].append)
        assert await watcher.others() == before + 1
        await engine.notify([Signal(SignalKind.JOBS, "q")])
        assert await second.probe()
        assert received == [[Signal(SignalKind.JOBS, "q")]] * 2
        await first.stop()
        assert await second.probe()
        await second.stop()
        await watcher.until_others(before)
