"""Every call of an engine: an event when somebody listens, an error of our own when it
is closed or meets a bad answer.
"""

import asyncio
import gc

import pytest

from elihu.config import Config
from elihu.engines.protocol import Engine
from elihu.engines.select import engine_for
from elihu.errors import DatabaseUnavailable, DataRefused
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import EngineCalled
from tests.engines.builders import ANY, new, put
from tests.engines.conftest import Opener


async def test_calls_are_emitted_as_events(engine: Engine, opened: Opener) -> None:
    bus, seen = Bus(), list[EngineCalled]()
    listened = await opened(bus)
    off = bus.on(EngineCalled, seen.append)
    await listened.insert([new()])
    with pytest.raises(DataRefused) as caught:
        await listened.insert([new(args="{")])
    await listened.count(ANY)
    off()
    await listened.count(ANY)
    assert [(event.engine, event.verb, event.error) for event in seen] == [
        (engine.name, "insert", None),
        (engine.name, "insert", caught.value),
        (engine.name, "count", None),
    ]
    assert all(0 < event.duration < 10 for event in seen)


async def test_a_closed_engine_says_so_and_can_be_opened_again(engine: Engine) -> None:
    await engine.close()
    await engine.close()
    with pytest.raises(DatabaseUnavailable):
        await engine.insert([new()])
    await engine.open()
    await put(engine)
    assert await engine.count(ANY) == 1


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_an_abandoned_engine_can_be_opened_in_another_loop(database_url: str, schema: str) -> None:
    engine = engine_for(Config(database_url=database_url, schema=schema), Bus())

    async def use() -> int:
        await engine.open()
        await engine.migrate()
        await put(engine)
        return await engine.count(ANY)

    assert asyncio.run(use()) == 1
    engine.abandon()
    engine.abandon()
    assert asyncio.run(use()) == 2
    engine.abandon()
    gc.collect()


async def test_open_and_close_are_safe_twice_and_close_before_open(
    database_url: str, schema: str
) -> None:
    engine = engine_for(Config(database_url=database_url, schema=schema), Bus())
    engine.abandon()
    await engine.close()
    await engine.open()
    await engine.open()
    await engine.migrate()
    await engine.close()
    await engine.close()


async def test_a_caller_that_gives_up_disturbs_nobody(engine: Engine) -> None:
    calls = [asyncio.create_task(engine.insert([new()])) for _ in range(50)]
    await asyncio.sleep(0)
    for call in calls[::2]:
        call.cancel()
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(outcome, asyncio.CancelledError) for outcome in outcomes[1::2]] == [
        False
    ] * 25
    stored = {found.id for found in (await engine.find(ANY, None, 100)).items}
    assert {
        outcome[0].id for outcome in outcomes if not isinstance(outcome, BaseException)
    } <= stored
    await put(engine)
