"""Cron with slow entries, clocks that were ahead, and nodes of two releases."""

from datetime import timedelta
from typing import Any

import pytest

from elihu.errors import DatabaseTimeout, DatabaseUnavailable
from elihu.runtime.leader.cron import FIRST_RETRY, LONGEST_RETRY, MOST_TIMEOUTS, Cron
from elihu.runtime.leader.election import Leader
from elihu.telemetry.events import CronFailed, CronFired
from tests.engines.raw import Raw
from tests.runtime.conftest import HarnessFactory
from tests.runtime.harness import NodeHarness
from tests.runtime.test_cron import HOUR, declared, row, service, settled_ago, timetable_of

pytestmark = pytest.mark.sqlite_first


def time_out(harness: NodeHarness, monkeypatch: pytest.MonkeyPatch, names: set[str]) -> list[str]:
    """Let ``fire_cron`` time out for these entries; returns the entries that it is called
    for.
    """
    fire = harness.engine.fire_cron
    called: list[str] = []

    async def fire_or_time_out(entry: Any, *arguments: Any) -> Any:
        called.append(entry.name)
        if entry.name in names:
            raise DatabaseTimeout("expected an answer, got none")
        return await fire(entry, *arguments)

    monkeypatch.setattr(harness.engine, "fire_cron", fire_or_time_out)
    return called


async def later(harness: NodeHarness, cron: Cron, seconds: float) -> None:
    """Let time pass, and lead again."""
    harness.clock.time += seconds
    await cron._leader.tick()


async def test_entry_that_times_out_does_not_delay_the_others(
    harness: NodeHarness,
    raw: Raw,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cron = await service(harness, declared(name="a"), declared(name="b"), declared(name="c"))
    for name in "abc":
        await settled_ago(harness, raw, HOUR, name)
    slow = {"a"}
    called = time_out(harness, monkeypatch, slow)
    tick = await cron.tick()
    assert tick.data == {"fired_count": 2}
    assert called == ["a", "b", "c"]
    assert tick.delay <= FIRST_RETRY
    assert [event.cron for event in harness.of(CronFailed)] == ["a"]
    await cron.tick()
    assert called == ["a", "b", "c"]
    for delay in (FIRST_RETRY, 2 * FIRST_RETRY):
        await later(harness, cron, delay)
        await cron.tick()
    assert called == ["a", "b", "c", "a", "a"]
    assert caplog.text.count("cron 'a' timed out") == 1
    slow.clear()
    await later(harness, cron, LONGEST_RETRY)
    assert (await cron.tick()).data == {"fired_count": 1}


async def test_round_ends_after_some_timeouts_and_starts_with_the_other_entries(
    harness: NodeHarness, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = "abcdef"
    cron = await service(harness, *(declared(name=name) for name in names))
    for name in names:
        await settled_ago(harness, raw, HOUR, name)
    called = time_out(harness, monkeypatch, set("abcde"))
    assert (await cron.tick()).data == {"fired_count": 0}
    assert called == list("abc")
    assert len(called) == MOST_TIMEOUTS
    await later(harness, cron, FIRST_RETRY)
    assert (await cron.tick()).data == {"fired_count": 1}
    assert called == list("abcdefa")


async def test_unavailable_database_ends_the_round(
    harness: NodeHarness, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    cron = await service(harness, declared())
    await settled_ago(harness, raw, HOUR)

    async def fail(*_: Any) -> Any:
        raise DatabaseUnavailable("no connection")

    monkeypatch.setattr(harness.engine, "fire_cron", fail)
    with pytest.raises(DatabaseUnavailable):
        await cron.tick()


async def test_entry_fired_under_a_clock_that_was_ahead_fires_again(
    harness: NodeHarness, raw: Raw, caplog: pytest.LogCaptureFixture
) -> None:
    cron = await service(harness, declared("* * * * *"))
    await settled_ago(harness, raw, timedelta(days=-30))
    assert (await cron.tick()).data == {"fired_count": 0}
    assert "the database's clock was ahead" in caplog.text
    now = (await harness.engine.crons()).now
    assert now - (await row(harness)).last_tick < timedelta(minutes=1)
    await settled_ago(harness, raw, timedelta(minutes=2))
    assert (await cron.tick()).data == {"fired_count": 1}


async def test_small_step_back_of_the_clock_fires_nothing_twice(
    harness: NodeHarness, raw: Raw
) -> None:
    cron = await service(harness, declared("* * * * *"))
    await settled_ago(harness, raw, timedelta(seconds=-30))
    before = (await row(harness)).last_tick
    assert (await cron.tick()).data == {"fired_count": 0}
    assert (await row(harness)).last_tick == before


async def test_reboot_after_a_clock_that_was_ahead(harness: NodeHarness, raw: Raw) -> None:
    cron = await service(harness, declared("@reboot"))
    await cron.tick()
    fired = len(harness.of(CronFired))
    await settled_ago(harness, raw, timedelta(days=-30))
    assert [(await cron.tick()).data["fired_count"] for _ in range(2)] == [1 - fired, 0]


async def test_follower_restores_its_declaration_when_the_newer_nodes_are_gone(
    harnesses: HarnessFactory,
) -> None:
    harness = await harnesses()
    new = declared("0 5 * * *", priority=3)
    await service(harness, declared("0 3 * * *"))
    await service(harness, new)
    await service(harness, declared("0 3 * * *"))
    follower = Cron(harness.scope, Leader(harness.scope), timetable_of(new))
    stored = (await row(harness)).declared
    assert stored
    assert "0 3 * * *" in stored
    await follower.tick()
    assert (await row(harness)).declared == stored
    harness.clock.time += max(harness.config.dead_after, harness.config.poll)
    await follower.tick()
    stored = (await row(harness)).declared
    assert stored
    assert "0 5 * * *" in stored


async def test_failed_declaration_does_not_stop_firing(
    harness: NodeHarness, raw: Raw, monkeypatch: pytest.MonkeyPatch
) -> None:
    cron = await service(harness, declared())
    await settled_ago(harness, raw, HOUR)

    async def fail(*_: Any) -> None:
        raise DatabaseTimeout("expected an answer, got none")

    monkeypatch.setattr(harness.engine, "declare_crons", fail)
    harness.clock.time += max(harness.config.dead_after, harness.config.poll)
    cron = Cron(harness.scope, cron._leader, timetable_of(declared()))
    cron._declared_at = 0.0
    await cron._leader.tick()
    assert (await cron.tick()).data == {"fired_count": 1}
