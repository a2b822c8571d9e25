"""Durations as people write them."""

from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elihu.duration import parse_duration, show_duration
from elihu.errors import InvalidOption


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (0, 0.0),
        (90, 90.0),
        (1.5, 1.5),
        (timedelta(minutes=1, milliseconds=1), 60.001),
        ("90s", 90.0),
        ("0s", 0.0),
        ("0.25s", 0.25),
        ("10m", 600.0),
        ("1h30m", 5400.0),
        ("2d", 172_800.0),
        ("1d2h3m4.5s", 93_784.5),
        ("100d", 8_640_000.0),
        ("5 minutes", 300.0),
        ("10 m", 600.0),
        ("1 day 2 hours", 93_600.0),
        ("1 hour 30 min", 5_400.0),
        ("0.5 seconds", 0.5),
        (100 * 366 * 86_400, 3_162_240_000.0),
    ],
)
def test_in_seconds(value: Any, seconds: float) -> None:
    parsed = parse_duration(value, "delay")
    assert parsed == seconds
    assert isinstance(parsed, float)


@pytest.mark.parametrize(
    "value",
    [
        10**400,
        -(10**400),
        "",
        " ",
        "10",
        "5 fortnights",
        "5  minutes",
        " 10m",
        "10m ",
        "10m\n",
        "10M",
        "-10m",
        "1.5h",
        "30m1h",
        "1m1m",
        "ten minutes",
        "1w",
        "s",
        "36601d",
        "9" * 400 + "s",
        -1,
        -0.001,
        float("nan"),
        float("inf"),
        100 * 366 * 86_400 + 1,
        timedelta(seconds=-1),
        timedelta.max,
        True,
        False,
        None,
        b"10m",
        [10],
        10j,
    ],
)
def test_anything_else_is_refused(value: Any) -> None:
    with pytest.raises(InvalidOption, match=r"^delay: expected a duration .*, got "):
        parse_duration(value, "delay")


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_units_add_up(days: int, hours: int, minutes: int, seconds: int) -> None:
    expected = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    assert (
        parse_duration(f"{days}d{hours}h{minutes}m{seconds}s", "x")
        == parse_duration(expected, "x")
        == expected.total_seconds()
    )


@given(st.text())
def test_a_text_is_read_or_refused(text: str) -> None:
    with suppress(InvalidOption):
        assert parse_duration(text, "x") >= 0


def test_a_text_is_refused_with_forms_that_can_be_typed() -> None:
    with pytest.raises(InvalidOption) as refused:
        parse_duration("soon", "--delay")
    assert "timedelta" not in str(refused.value)
    assert '"10m"' in str(refused.value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.5, "0.5 s"),
        (0.0004, "0.0004 s"),
        (17.34, "17.3 s"),
        (60, "1 min"),
        (125.9, "2 min 5 s"),
        (3_601, "1 h"),
        (3_660, "1 h 1 min"),
        (97_200, "1 d 3 h"),
    ],
)
def test_shown(seconds: float, text: str) -> None:
    assert show_duration(seconds) == text
