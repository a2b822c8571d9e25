"""Cron against a walk from minute to minute by the rules of Debian's cron, across both
changes of the clock.

The walk knows a virtual time. Each minute it compares it with the clock on the wall:
one minute on, everything that fits runs. More than that but less than three hours on
(the clock was put forward): wildcard entries that fit now run, and fixed ones of each
minute that was passed over. Back by less than three hours: only wildcard entries run,
until the virtual time is reached again.
"""

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from elihu import Cron

MINUTE = timedelta(minutes=1)
EPOCH = datetime.fromisoformat("1970-01-01")
ZONES = {
    "Europe/Oslo": [(2026, 3, 29), (2026, 10, 25)],
    "America/New_York": [(2026, 3, 8), (2026, 11, 1)],
    "Australia/Lord_Howe": [(2026, 4, 4), (2026, 10, 3)],  # by half an hour
    "America/Santiago": [(2026, 4, 5), (2026, 9, 6)],  # at midnight
    "Africa/Cairo": [(2026, 4, 23), (2026, 10, 29)],
    "Antarctica/Troll": [(2026, 3, 29), (2026, 10, 25)],  # by two hours
    "Asia/Kathmandu": [(2026, 3, 29), (2026, 10, 25)],  # never, at +05:45
    "UTC": [(2026, 3, 29), (2026, 2, 28)],
}
AROUND = timedelta(hours=26)


@cache
def minutes(zone: str, number: int) -> list[tuple[datetime, int]]:
    """The minutes around a change, each with the clock on the wall as minutes since
    1970.
    """
    middle = datetime(*ZONES[zone][number], 12, tzinfo=UTC)
    tz = ZoneInfo(zone)
    found = []
    moment = middle - AROUND
    while moment <= middle + AROUND:
        wall = moment.astimezone(tz).replace(tzinfo=None)
        found.append((moment, int((wall - EPOCH) / MINUTE)))
        moment += MINUTE
    return found


def values(field: str, low: int, high: int) -> set[int]:
    found: set[int] = set()
    for part in field.split(","):
        span, _, step = part.partition("/")
        start, _, end = (
            f"{low}-{high}" if span == "*" else span if "-" in span else f"{span}-{span}"
        ).partition("-")
        found.update(range(int(start), int(end) + 1, int(step or 1)))
    return found


def walk(text: str, zone: str, number: int) -> list[datetime]:
    fields = text.split()
    minute, hour, day, month, weekday = (
        values(field, *bounds)
        for field, bounds in zip(fields, [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)], strict=True)
    )
    weekday = {each % 7 for each in weekday}
    wild = fields[0].startswith("*") or fields[1].startswith("*")
    either = not fields[2].startswith("*") and not fields[4].startswith("*")

    @cache
    def day_fits(days: int) -> bool:
        date = EPOCH + timedelta(days=days)
        fit = (date.day in day, date.isoweekday() % 7 in weekday)
        return date.month in month and (any(fit) if either else all(fit))

    def fits(wall: int) -> bool:
        return wall % 60 in minute and wall // 60 % 24 in hour and day_fits(wall // 1440)

    fired = []
    virtual = minutes(zone, number)[0][1] - 1
    for moment, wall in minutes(zone, number):
        ahead = wall - virtual
        assert abs(ahead) < 180
        passed = range(virtual + 1, wall + 1)
        if fits(wall) if wild else any(map(fits, passed)):
            fired.append(moment)
        virtual = max(virtual, wall)
    return fired


def terms(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(lambda pair: f"{min(pair)}-{max(pair)}")
    step = st.tuples(span, st.integers(1, 20)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    star = st.just("*") | st.integers(1, 40).map(lambda n: f"*/{n}")
    return st.lists(number.map(str) | span | step, min_size=1, max_size=3).map(",".join) | star


EXPRESSIONS = st.tuples(
    terms(0, 59),
    terms(0, 5) | terms(0, 23),
    st.just("*") | terms(1, 28),
    st.just("*") | st.just("3-4,9-11"),
    st.just("*") | terms(0, 7),
).map(" ".join)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(text=EXPRESSIONS, zone=st.sampled_from(sorted(ZONES)), number=st.sampled_from([0, 1]))
def test_fires_as_the_walk_does(text: str, zone: str, number: int) -> None:
    expected = walk(text, zone, number)
    cron = Cron(text, zone)
    first, last = minutes(zone, number)[0][0], minutes(zone, number)[-1][0]

    forth: list[datetime] = []
    here = first - timedelta(seconds=1)
    while (found := cron.next(here)) is not None and found <= last and len(forth) <= len(expected):
        here = found.astimezone(UTC)
        forth.append(here)
    assert forth == expected

    back: list[datetime] = []
    here = last + timedelta(seconds=1)
    while (
        (found := cron.previous(here)) is not None and found >= first and len(back) <= len(expected)
    ):
        here = found.astimezone(UTC)
        back.append(here)
    assert back[::-1] == expected


@settings(max_examples=120, deadline=None, derandomize=True, database=None)
@given(
    text=EXPRESSIONS,
    zone=st.sampled_from(sorted(ZONES)),
    number=st.sampled_from([0, 1]),
    seconds=st.integers(0, int(AROUND.total_seconds() * 2)),
)
def test_from_any_moment(text: str, zone: str, number: int, seconds: int) -> None:
    """Whatever the start, inside a repeated hour or beside a gap: the nearest one of
    the walk, strictly.
    """
    expected = walk(text, zone, number)
    here = minutes(zone, number)[0][0] + timedelta(seconds=seconds)
    later = [moment for moment in expected if moment > here]
    earlier = [moment for moment in expected if moment < here]
    cron = Cron(text, zone)
    assert cron.describe()
    if later:
        found = cron.next(here)
        assert found is not None
        assert found.astimezone(UTC) == later[0]
    if earlier:
        found = cron.previous(here)
        assert found is not None
        assert found.astimezone(UTC) == earlier[-1]
