"""Crons: what is refused when saved, and previews across changes of the clock."""

from datetime import UTC, datetime

import pytest

from elihu import InvalidFields
from elihu.commands.host import Host
from elihu.commands.rules import crons

OSLO = "Europe/Oslo"


@pytest.mark.parametrize(
    ("expression", "timezone", "field", "said"),
    [
        ("61 * * * *", "UTC", "expression", "minute"),
        ("0 0 30 2 *", "UTC", "expression", "never"),
        ("* * * *", "UTC", "expression", "five"),
        ("0 0 * * * *", "UTC", "expression", "five"),
        ("* * * * *", "Europe/Olso", "timezone", "Europe/Olso"),
    ],
)
async def test_a_refusal_says_which_field_and_why(
    host: Host, expression: str, timezone: str, field: str, said: str
) -> None:
    with pytest.raises(InvalidFields) as caught:
        async with host.sessions.begin() as session:
            await crons.create(session, name="t", expression=expression, timezone=timezone)
    ((name, detail),) = caught.value.errors
    assert name == field
    assert said in detail


async def test_an_expression_is_kept_as_it_is_read(host: Host) -> None:
    async with host.sessions.begin() as session:
        made = await crons.create(session, name="t", expression="  */5   * * * MON ")
        assert (made.expression, made.timezone, made.enabled) == ("*/5 * * * MON", "UTC", True)


def test_a_preview_marks_a_time_that_the_clock_skips() -> None:
    ticks = crons.preview(
        "30 2 * * *", OSLO, count=3, after=datetime(2026, 3, 28, tzinfo=UTC)
    ).ticks
    assert [(tick.at.isoformat(), tick.shift) for tick in ticks] == [
        ("2026-03-28T02:30:00+01:00", None),
        ("2026-03-29T03:00:00+02:00", "skipped"),
        ("2026-03-30T02:30:00+02:00", None),
    ]


def test_a_preview_marks_a_time_that_the_clock_repeats() -> None:
    after = datetime(2026, 10, 24, 23, 0, tzinfo=UTC)
    fixed = crons.preview("30 2 * * *", OSLO, count=2, after=after).ticks
    assert [(tick.at.isoformat(), tick.shift) for tick in fixed] == [
        ("2026-10-25T02:30:00+02:00", "repeated"),
        ("2026-10-26T02:30:00+01:00", None),
    ]
    each = crons.preview("0 * * * *", OSLO, count=4, after=after).ticks
    assert [(tick.at.isoformat(), tick.shift) for tick in each] == [
        ("2026-10-25T02:00:00+02:00", "repeated"),
        ("2026-10-25T02:00:00+01:00", "repeated"),
        ("2026-10-25T03:00:00+01:00", None),
        ("2026-10-25T04:00:00+01:00", None),
    ]


def test_a_preview_says_what_the_expression_means() -> None:
    assert crons.preview("*/5 * * * *").description == "Every 5 minutes"
    with pytest.raises(InvalidFields, match="count"):
        crons.preview("* * * * *", count=0)
