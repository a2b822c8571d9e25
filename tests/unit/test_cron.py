"""``elihu.Cron``: its grammar, which is Debian's, its times, and its words."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from elihu import Cron, ElihuError, InvalidCron, InvalidOption
from elihu.schedule import MOST_MISSED, due_occurrences


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


REFUSED = [
    (
        "* * * * * *",
        None,
        "expected five fields (minute, hour, day of the month, month, day of the week), got 6",
    ),
    (
        "* * * *",
        None,
        "expected five fields (minute, hour, day of the month, month, day of the week), got 4",
    ),
    ("", None, "got 0"),
    (
        "@fortnightly",
        None,
        (
            "expected one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, "
            "@reboot"
        ),
    ),
    ("@", None, "expected one of @hourly"),
    ("61 * * * *", "minute", "expected a whole number from 0 to 59, got 61"),
    ("0 24 * * *", "hour", "expected a whole number from 0 to 23, got 24"),
    ("0 0 0 * *", "day of the month", "expected a whole number from 1 to 31, got 0"),
    ("0 0 * 13 *", "month", "expected a whole number from 1 to 12 or a name such as FEB, got 13"),
    (
        "0 0 * * 8",
        "day of the week",
        "expected a whole number from 0 to 7 or a name such as MON, got 8",
    ),
    ("0 0 * FOO *", "month", "got 'FOO'"),
    ("0 0 * * MONDAY", "day of the week", "got 'MONDAY'"),
    ("MON * * * *", "minute", "got 'MON'"),
    ("5/15 * * * *", "minute", "expected * or a range before a step, such as 5-59/15, got '5/15'"),
    ("*/0 * * * *", "minute", "expected a whole number from 1 on as a step, got '0'"),
    ("*/x * * * *", "minute", "expected a whole number from 1 on as a step, got 'X'"),
    ("*/2/2 * * * *", "minute", "as a step, got '2/2'"),
    ("0 0 L * *", "day of the month", "(Debian's cron has no L, W, # and ?), got 'L'"),
    ("0 0 LW * *", "day of the month", "Debian's cron has no"),
    ("0 0 15W * *", "day of the month", "Debian's cron has no"),
    ("0 0 * * 5#2", "day of the week", "Debian's cron has no"),
    ("0 0 * * 5L", "day of the week", "Debian's cron has no"),
    ("0 0 ? * *", "day of the month", "Debian's cron has no"),
    ("9-5 * * * *", "minute", "expected a range that goes up, got '9-5'"),
    (
        "0 0 * * FRI-SUN",
        "day of the week",
        "expected a range that goes up, got 'FRI-SUN' (at the end of a range Sunday is 7)",
    ),
    ("1,,2 * * * *", "minute", "got ''"),
    ("1- * * * *", "minute", "got '1-'"),
    ("-1 * * * *", "minute", "got '-1'"),
    ("*5 * * * *", "minute", "got '*5'"),
    ("1.5 * * * *", "minute", "got '1.5'"),
    ("٣ * * * *", "minute", "got '٣'"),
    (
        "0 0 30 2 *",
        "day of the month",
        "expected a day that February can have, got 30, so that it would never fire",
    ),
    (
        "0 0 31 4,6 *",
        "day of the month",
        "expected a day that April or June can have, got 31, so that it would never fire",
    ),
    ("0 0 31 2 */2", "day of the month", "would never fire"),
    ("0 " * 1_000, None, "expected a text of at most 1,000 characters"),
    (5, None, "expected a text of at most 1,000 characters, got 5"),
    (None, None, "got None"),
]


@pytest.mark.parametrize(("text", "field", "expected"), REFUSED)
def test_refused_by_field_and_reason(text: Any, field: str | None, expected: str) -> None:
    with pytest.raises(InvalidCron) as caught:
        Cron(text)
    assert caught.value.field == field
    assert expected in str(caught.value)
    assert isinstance(caught.value, ElihuError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "tz", ["Europe/Nowhere", "", "Europe", "../../etc/passwd", "a\0b", None, 5]
)
def test_unknown_zones_are_refused(tz: Any) -> None:
    with pytest.raises(
        InvalidCron, match="tz: expected the name of a time zone such as Europe/Oslo, got"
    ) as caught:
        Cron("* * * * *", tz)
    assert caught.value.field == "tz"


@pytest.mark.parametrize(
    "moment", [datetime.fromisoformat("2026-01-01"), date(2026, 1, 1), None, "2026-01-01", 0]
)
def test_times_without_a_zone_are_refused(moment: Any) -> None:
    cron = Cron("* * * * *")
    with pytest.raises(InvalidOption, match="after: expected a datetime with a time zone, got"):
        cron.next(moment)
    with pytest.raises(InvalidOption, match="before: expected a datetime with a time zone, got"):
        cron.previous(moment)


@pytest.mark.parametrize("number", [-1, 10_001, 1.5, True, "3"])
def test_how_many_are_upcoming(number: Any) -> None:
    with pytest.raises(InvalidOption, match="n: expected a whole number from 0 to 10,000"):
        Cron("* * * * *").upcoming(number)


NEXT = [
    ("*/15 * * * *", "2026-01-01T00:00", "2026-01-01T00:15"),
    ("*/15 * * * *", "2026-01-01T00:14:59.999999", "2026-01-01T00:15"),
    ("0 9 * * mon-fri", "2026-01-02T10:00", "2026-01-05T09:00"),
    ("0 9 * JAN,mar sUn", "2026-01-26T00:00", "2026-03-01T09:00"),
    ("0 0 * * 7", "2026-01-01T00:00", "2026-01-04T00:00"),
    ("0 0 * * 6-7", "2026-01-03T12:00", "2026-01-04T00:00"),
    (
        "0 0 13 * 5",
        "2026-01-01T00:00",
        "2026-01-02T00:00",
    ),  # neither day field starts with *: one is enough
    ("0 0 */2 * 1", "2026-01-01T00:00", "2026-01-05T00:00"),  # one starts with *: both must fit
    ("0 0 13 * */7", "2026-01-01T00:00", "2026-09-13T00:00"),
    ("0 5-5/15 * * *", "2026-01-01T06:00", "2026-01-02T05:00"),
    ("1-10/4,30 * * * *", "2026-01-01T00:05", "2026-01-01T00:09"),
    ("*/90 * * * *", "2026-01-01T00:00", "2026-01-01T01:00"),
    ("*,5 3 * * *", "2026-01-01T03:05", "2026-01-01T03:06"),
    ("0 0 29 2 *", "2026-01-01T00:00", "2028-02-29T00:00"),
    ("0 0 */31 2 1", "2026-01-01T00:00", "2027-02-01T00:00"),
    ("@hourly", "2026-01-01T00:00", "2026-01-01T01:00"),
    ("@daily", "2026-01-01T00:00", "2026-01-02T00:00"),
    ("@Midnight", "2026-01-01T00:00", "2026-01-02T00:00"),
    ("@weekly", "2026-01-01T00:00", "2026-01-04T00:00"),
    ("@monthly", "2026-01-01T00:00", "2026-02-01T00:00"),
    ("@yearly", "2026-01-01T00:00", "2027-01-01T00:00"),
    ("@annually", "2026-01-01T00:00", "2027-01-01T00:00"),
]


@pytest.mark.parametrize(("text", "after", "expected"), NEXT)
def test_next(text: str, after: str, expected: str) -> None:
    cron = Cron(text)
    assert cron.next(at(after)) == at(expected)
    assert cron.previous(at(expected) + timedelta(seconds=1)) == at(expected)


OSLO = [
    (
        "30 2 * * *",
        "2026-03-28T12:00",
        ["2026-03-29T01:00", "2026-03-30T00:30"],
    ),  # skipped: right after the gap
    (
        "0,20,40 2 * * *",
        "2026-03-28T12:00",
        ["2026-03-29T01:00", "2026-03-30T00:00"],
    ),  # all of them: once
    (
        "*/30 2 * * *",
        "2026-03-28T12:00",
        ["2026-03-30T00:00", "2026-03-30T00:30"],
    ),  # a star: by the clock as it is
    (
        "30 2 * * *",
        "2026-10-24T12:00",
        ["2026-10-25T00:30", "2026-10-26T01:30"],
    ),  # repeated: the first time
    (
        "*/30 2 * * *",
        "2026-10-24T12:00",
        ["2026-10-25T00:00", "2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30"],
    ),
    ("45 2 * * *", "2026-10-25T01:30", ["2026-10-26T01:45"]),  # from inside the repeated hour
]


@pytest.mark.parametrize(("text", "after", "expected"), OSLO)
def test_changes_of_the_clock(text: str, after: str, expected: list[str]) -> None:
    assert [
        moment.astimezone(UTC)
        for moment in Cron(text, "Europe/Oslo").upcoming(len(expected), at(after))
    ] == list(map(at, expected))


@pytest.mark.parametrize(
    ("text", "before", "expected"),
    [
        (
            "45 2 * * *",
            "2026-10-25T01:30",
            "2026-10-25T00:45",
        ),  # from inside the repeated hour: the first time, later by the clock
        ("45 2 * * *", "2026-10-25T00:45", "2026-10-24T00:45"),
        ("30 2 * * *", "2026-03-29T01:00:01", "2026-03-29T01:00"),
        ("30 2 * * *", "2026-03-29T01:00", "2026-03-28T01:30"),
        ("*/30 2 * * *", "2026-10-25T01:00", "2026-10-25T00:30"),
        ("*/30 2 * * *", "2026-03-29T03:00", "2026-03-28T01:30"),
    ],
)
def test_changes_of_the_clock_looking_back(text: str, before: str, expected: str) -> None:
    found = Cron(text, "Europe/Oslo").previous(at(before))
    assert found is not None
    assert found.astimezone(UTC) == at(expected)


def test_a_day_that_a_date_line_skips_is_skipped() -> None:
    cron = Cron("0 12 * * *", "Pacific/Apia")
    assert [moment.day for moment in cron.upcoming(3, at("2011-12-28T23:00"))] == [29, 31, 1]


def test_times_are_in_the_zone_and_a_zone_object_will_do() -> None:
    cron = Cron("0 9 * * *", ZoneInfo("Europe/Oslo"))
    found = cron.next(at("2026-07-01T00:00"))
    assert found is not None
    assert found.isoformat() == "2026-07-01T09:00:00+02:00"
    assert (cron.tz, cron.text) == ("Europe/Oslo", "0 9 * * *")
    assert cron == Cron("0 9 * * *", "Europe/Oslo") != Cron("0 9 * * *")
    assert len({cron, Cron(" 0  9 * * * ", "Europe/Oslo")}) == 1


def test_at_the_ends_of_the_calendar_there_is_none() -> None:
    assert Cron("0 0 29 2 *").next(at("9998-01-01")) is None
    assert Cron("0 0 29 2 *").previous(at("0003-01-01")) is None
    assert len(Cron("0 0 1 1 *").upcoming(5, at("9996-06-01"))) == 2


def test_reboot_has_no_times() -> None:
    cron = Cron("@Reboot")
    assert cron.at_reboot
    assert cron.next(at("2026-01-01")) is cron.previous(at("2026-01-01")) is None
    assert cron.upcoming(3) == []
    assert cron.describe() == "When a node starts while no other node is alive"


def test_upcoming_is_after_now_by_default() -> None:
    before = datetime.now(UTC)
    first, second = Cron("* * * * *").upcoming(2)
    assert before < first <= datetime.now(UTC) + timedelta(minutes=1)
    assert second - first == timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("*/5 * * * *", "Every 5 minutes"),
        ("*/90 * * * *", "Every hour"),
        ("*,5 * * * *", "Every minute"),
        ("30 14 * * *", "At 14:30"),
        ("0 5-5/15 * * *", "At 05:00"),
        ("0 9 * * mon-fri", "At 09:00, Monday through Friday"),
        ("0 0 * * 0,7", "At 00:00, only on Sunday"),
        ("0 0 13 * 5", "At 00:00, on day 13 of the month, or on Friday"),
        ("0 0 */2 * 1,7", "At 00:00, every 2 days, if that is a Sunday or Monday"),
        ("0 0 * * 1,2,3,5,7", "At 00:00, only on Sunday through Wednesday and Friday"),
        ("*/1 1,2 * * *", "Every minute, at 01:00 and 02:00"),
        ("@weekly", "At 00:00, only on Sunday"),
    ],
)
def test_words(text: str, words: str) -> None:
    assert Cron(text).describe() == words


class TestDue:
    EVERY_MINUTE = Cron("* * * * *")
    LAST = at("2026-01-01T00:00")

    @pytest.mark.parametrize("catch_up", ["none", "last", "all"])
    def test_nothing_before_its_time(self, catch_up: Any) -> None:
        assert (
            due_occurrences(
                self.EVERY_MINUTE, catch_up, self.LAST, at("2026-01-01T00:00:59.999"), None
            )
            is None
        )

    @pytest.mark.parametrize("catch_up", ["none", "last", "all"])
    def test_the_tick_of_this_minute(self, catch_up: Any) -> None:
        due = due_occurrences(
            self.EVERY_MINUTE, catch_up, self.LAST, at("2026-01-01T00:01:30"), None
        )
        assert due == ((at("2026-01-01T00:01"),), at("2026-01-01T00:01"), False)

    def test_missed_ones(self) -> None:
        now = at("2026-01-01T00:03:00")
        occurrences = tuple(at(f"2026-01-01T00:0{minute}") for minute in (1, 2, 3))
        assert due_occurrences(self.EVERY_MINUTE, "all", self.LAST, now, None) == (
            occurrences,
            occurrences[-1],
            False,
        )
        assert due_occurrences(self.EVERY_MINUTE, "last", self.LAST, now, None) == (
            occurrences[-1:],
            occurrences[-1],
            True,
        )
        assert due_occurrences(self.EVERY_MINUTE, "none", self.LAST, now, None) == (
            occurrences[-1:],
            occurrences[-1],
            True,
        )

    def test_none_leaves_out_what_is_a_minute_late(self) -> None:
        hourly = Cron("@hourly")
        due = due_occurrences(hourly, "none", self.LAST, at("2026-01-01T01:01:00"), None)
        assert due == ((), at("2026-01-01T01:00"), True)

    def test_all_are_a_hundred_at_most_and_years_cost_nothing(self) -> None:
        due = due_occurrences(
            self.EVERY_MINUTE, "all", at("2016-01-01"), at("2026-01-01T00:00:30"), None
        )
        assert due is not None
        assert len(due.occurrences) == MOST_MISSED == 100
        assert due.occurrences[-1] == due.until == at("2026-01-01T00:00")
        assert due.skipped

    def test_a_clock_that_went_back_fires_nothing_twice(self) -> None:
        assert (
            due_occurrences(
                self.EVERY_MINUTE, "all", at("2026-01-01T00:05"), at("2026-01-01T00:03"), None
            )
            is None
        )

    def test_reboot(self) -> None:
        reboot, now = Cron("@reboot"), at("2026-01-02")
        assert due_occurrences(reboot, "none", self.LAST, now, None) is None
        booted = at("2026-01-01T00:00:01")
        assert due_occurrences(reboot, "none", self.LAST, now, booted) == ((booted,), booted, False)
        assert due_occurrences(reboot, "all", booted, now, booted) is None
