"""The contract of every service: start, stop, tick."""

import asyncio
from collections.abc import Callable

import pytest

from elihu.clock import SystemClock
from elihu.config import load_config
from elihu.engines.select import engine_for
from elihu.runtime.announcer import Announcer, Hub
from elihu.runtime.failure_log import FailureLog
from elihu.runtime.service import (
    FIRST_BACKOFF,
    LONGEST_BACKOFF,
    Identity,
    Scope,
    Service,
    Tick,
    backoff_after,
)
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import Event, ServiceStarted, ServiceStopped, Ticked, TickFailed


@pytest.fixture
def scope(sqlite_url: str) -> Scope:
    bus = Bus()
    config = load_config(keywords={"database_url": sqlite_url}, environ={}, read_files=False)
    engine = engine_for(config, bus)
    failure_log = FailureLog()
    return Scope(
        config,
        engine,
        bus,
        SystemClock(),
        Identity("n1"),
        Announcer(engine, Hub(), failure_log),
        failure_log,
    )


class Counting(Service):
    name = "counting"

    def __init__(self, scope: Scope, work: Callable[[int], Tick]) -> None:
        super().__init__(scope)
        self.count = 0
        self.ticked = asyncio.Condition()
        self._work = work

    async def tick(self) -> Tick:
        async with self.ticked:
            self.count += 1
            self.ticked.notify_all()
        return self._work(self.count)

    async def reached(self, count: int) -> None:
        async with asyncio.timeout(10), self.ticked:
            await self.ticked.wait_for(lambda: self.count >= count)


async def test_ticks_until_stopped(scope: Scope):
    service = Counting(scope, lambda count: Tick(0))
    await service.start()
    await service.reached(3)
    await service.stop()
    count = service.count
    await asyncio.sleep(0)
    assert service.count == count


async def test_start_and_stop_are_safe_twice_and_stop_before_start(scope: Scope):
    seen: list[Event] = []
    scope.bus.on(ServiceStarted, seen.append)
    scope.bus.on(ServiceStopped, seen.append)
    service = Counting(scope, lambda count: Tick(3_600))
    await service.stop()
    await service.start()
    await service.start()
    await service.reached(1)
    await service.stop()
    await service.stop()
    assert service.count == 1
    assert [type(event) for event in seen] == [ServiceStarted, ServiceStopped]


async def test_waking_brings_the_next_tick_at_once(scope: Scope):
    service = Counting(scope, lambda count: Tick(3_600))
    await service.start()
    await service.reached(1)
    service.wake()
    await service.reached(2)
    await service.stop()


async def test_a_wake_during_a_tick_is_not_lost(scope: Scope):
    def wake_in_the_first(count: int) -> Tick:
        if count == 1:
            service.wake()
        return Tick(3_600)

    service = Counting(scope, wake_in_the_first)
    await service.start()
    await service.reached(2)
    await service.stop()


async def test_a_failing_tick_is_logged_once_tried_again_and_recovers(
    scope: Scope, caplog: pytest.LogCaptureFixture
):
    failed: list[TickFailed] = []
    ticked: list[Ticked] = []
    scope.bus.on(TickFailed, failed.append)
    scope.bus.on(Ticked, ticked.append)

    def fail_thrice(count: int) -> Tick:
        if count <= 3:
            raise RuntimeError(f"no {count}")
        return Tick(3_600, {"n": count})

    service = Counting(scope, fail_thrice)
    with caplog.at_level("INFO", "elihu"):
        await service.start()
        await service.reached(4)
        await service.stop()
    assert [event.failures for event in failed] == [1, 2, 3]
    assert [event.retry_in for event in failed] == [0.1, 0.2, 0.4]
    assert [event.data for event in ticked] == [{"n": 4}]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
    assert "no 1" in caplog.text


async def test_a_tick_can_be_called_alone(scope: Scope):
    assert await Counting(scope, lambda count: Tick(5, {"count": count})).tick() == Tick(
        5, {"count": 1}
    )


def test_backoff_doubles_up_to_its_cap():
    waits = [backoff_after(failures) for failures in range(1, 100)]
    assert waits[0] == FIRST_BACKOFF
    assert waits == sorted(waits)
    assert max(waits) == LONGEST_BACKOFF
