"""Due occurrences, as tables, and minute by minute across changes of the clock."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from elihu import Cron
from elihu.commands.due import MOST_RUN, MOST_SKIPPED, Due, due, window_start
from elihu.commands.models import CatchUp

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOURLY = Cron("0 * * * *")

CLOCKS_CHANGE = {
    "America/New_York": [(2026, 3, 7), (2026, 10, 31)],
    "Europe/Oslo": [(2026, 3, 28), (2026, 10, 24)],
    "Australia/Sydney": [(2026, 4, 4), (2026, 10, 3)],
}
"""The day before each change of the clock. In other zones these are days as others."""


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 5, 4, hour, minute, tzinfo=UTC)


def runs(found: Due) -> list[datetime]:
    return list(found.run)


def skips(found: Due) -> list[datetime]:
    return [each.at for each in found.skipped]


@pytest.mark.parametrize(
    ("catch_up", "tick", "run", "skipped"),
    [
        ("none", at(12), [at(12)], [at(9), at(10), at(11)]),
        ("last", at(12), [at(12)], [at(9), at(10), at(11)]),
        ("all", at(12), [at(9), at(10), at(11), at(12)], []),
        ("none", at(12, 30), [], [at(9), at(10), at(11), at(12)]),
        ("last", at(12, 30), [at(12)], [at(9), at(10), at(11)]),
        ("all", at(12, 30), [at(9), at(10), at(11), at(12)], []),
    ],
)
def test_after_a_stop_since_half_past_eight(
    catch_up: CatchUp, tick: datetime, run: list[datetime], skipped: list[datetime]
) -> None:
    found = due(HOURLY, catch_up, after=at(8, 30), tick=tick)
    assert (runs(found), skips(found)) == (run, skipped)
    assert {each.reason for each in found.skipped} <= {f"missed, and catch_up is {catch_up}"}


def test_the_edges_of_the_window() -> None:
    assert due(HOURLY, "all", after=at(12), tick=at(12, 59)) == Due((), ())
    assert runs(due(HOURLY, "all", after=at(12) - MINUTE, tick=at(12))) == [at(12)]
    assert due(Cron("@reboot"), "all", after=at(1), tick=at(12)) == Due((), ())


def test_a_minute_with_a_dispatch_of_its_own_is_not_missed() -> None:
    found = due(HOURLY, "all", after=at(8, 30), tick=at(12), others=[at(10), at(11, 30)])
    assert runs(found) == [at(9), at(11), at(12)]
    found = due(HOURLY, "last", after=at(8, 30), tick=at(12), others=[at(9), at(10)])
    assert (runs(found), skips(found)) == ([at(12)], [at(11)])


def test_much_that_was_missed_is_bounded() -> None:
    each = Cron("* * * * *")
    found = due(each, "all", after=NOON - timedelta(days=30), tick=NOON)
    assert runs(found) == [NOON - number * MINUTE for number in range(MOST_RUN)][::-1]
    assert len(found.skipped) == MOST_SKIPPED
    assert found.skipped[0].reason == "missed, and catch_up is all; so were earlier ones"
    found = due(each, "last", after=NOON - timedelta(days=30), tick=NOON)
    assert (runs(found), len(found.skipped)) == ([NOON], MOST_SKIPPED)
    assert found.skipped[-1].at == NOON - MINUTE


def test_from_when_a_dispatch_looks() -> None:
    start = at(3)
    assert window_start(NOON, None, [start]) == NOON - MINUTE
    assert window_start(NOON, at(9), [start]) == at(9)
    assert window_start(NOON, at(9), [start, at(10)]) == at(10)
    assert window_start(NOON, NOON, [start]) == NOON - MINUTE
    assert window_start(NOON, NOON + MINUTE, [start]) == NOON - MINUTE
    later = NOON + timedelta(seconds=10)
    assert window_start(NOON, at(9), [later]) == later


@pytest.mark.parametrize(
    ("zone", "year_day"),
    [
        pytest.param(zone, day, marks=() if zone == changed else pytest.mark.more)
        for zone in CLOCKS_CHANGE
        for changed, days in CLOCKS_CHANGE.items()
        for day in days
    ],
)
@pytest.mark.parametrize(
    "expression", ["30 2 * * *", "*/20 * * * *", "0 * * * *", "15 1-3 * * *", "5 3 * * sun"]
)
def test_each_minute_has_its_occurrences_once(
    zone: str, expression: str, year_day: tuple[int, int, int]
) -> None:
    start = datetime(*year_day, tzinfo=UTC)
    end = start + timedelta(days=2)
    cron = Cron(expression, zone)
    seen: list[datetime] = []
    tick, up_to = start, None
    while tick < end:
        tick += MINUTE
        if tick.minute % 7 == 5:
            continue  # no dispatch in this minute
        found = due(cron, "all", after=window_start(tick, up_to, [start]), tick=tick)
        seen += found.run
        assert found.skipped == ()
        up_to = tick
    simulated = CronSim(expression, start.astimezone(ZoneInfo(zone)))
    expected = []
    for found_at in simulated:
        moment = found_at.astimezone(UTC)
        if moment > end:
            break
        expected.append(moment)
    assert seen == expected
