"""Durations, whole numbers, sizes and truth values, in every form."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from elihu.config import (
    Config,
)
from tests.unit.configs import DAY, nested, read, refused, refused_variable, variable

DURATIONS = {
    "call_timeout": (0.05, 3_600),
    "poll": (0.01, 3_600),
    "poll_fallback": (0.01, 3_600),
    "heartbeat": (0.01, 3_600),
    "dead_after": (0.1, DAY),
    "lease": (0.1, 3_600),
    "grace": (0, DAY),
    "stager.interval": (0.01, 3_600),
    "lifeline.interval": (0.01, 3_600),
    "pruner.interval": (0.01, DAY),
}


WHOLES = {
    "connections": (1, 1_000),
    "stager.limit": (1, 100_000),
    "lifeline.limit": (1, 100_000),
    "pruner.limit": (1, 100_000),
}


SIZES = ("max_args", "max_result")


OUTSIDE_OF_EACH_OTHER = {"dead_after": {"heartbeat": 0.01, "call_timeout": 0.05}}
"""What must be given along with a key, so that its lowest value fits."""


AT_THE_TOP = {
    "heartbeat": {"dead_after": DAY},
    "call_timeout": {"dead_after": DAY},
}


@pytest.mark.parametrize("key", DURATIONS)
@pytest.mark.parametrize(
    ("value", "seconds"),
    [(7, 7.0), (6.5, 6.5), (timedelta(seconds=8), 8.0), ("9s", 9.0), ("9.5s", 9.5)],
)
def test_a_duration_in_every_form(
    load: Callable[..., Config], key: str, value: object, seconds: float
) -> None:
    config = load(
        **nested(key, value), **({"heartbeat": 1, "call_timeout": 1} if key == "dead_after" else {})
    )
    assert read(config, key) == seconds
    assert isinstance(read(config, key), float)


@pytest.mark.parametrize("key", DURATIONS)
def test_a_duration_at_its_bounds(load: Callable[..., Config], key: str) -> None:
    low, high = DURATIONS[key]
    assert read(load(**nested(key, low), **OUTSIDE_OF_EACH_OTHER.get(key, {})), key) == low
    assert read(load(**nested(key, high), **AT_THE_TOP.get(key, {})), key) == high


@pytest.mark.parametrize("key", DURATIONS)
@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "7",
        "1m1h",
        -1,
        True,
        [],
        float("nan"),
        float("inf"),
        timedelta(seconds=-1),
        10**9,
        b"1s",
    ],
)
def test_a_duration_refused(load: Callable[..., Config], key: str, value: object) -> None:
    message = refused(load, key, value)
    low, high = DURATIONS[key]
    assert f"expected a duration from {low:g} to {high:,.0f} seconds" in message


@pytest.mark.parametrize("key", [key for key, (low, _) in DURATIONS.items() if low])
def test_a_duration_must_not_be_too_short(load: Callable[..., Config], key: str) -> None:
    refused(load, key, DURATIONS[key][0] / 2)
    refused(load, key, 0)


@pytest.mark.parametrize("key", WHOLES)
def test_a_whole_number(load: Callable[..., Config], key: str) -> None:
    low, high = WHOLES[key]
    for number in (low, high):
        assert read(load(**nested(key, number)), key) == number
        assert read(load({variable(key): str(number)}), key) == number
    for value in (low - 1, high + 1, -1, 1.0, "1", "1 ", "", None.__class__, True, [1]):
        assert f"expected a whole number from {low:,} to {high:,}" in refused(load, key, value)
    for text in ("0x10", "1.0", " 1", "-1", "", "ten", "9" * 5_000, "٣"):
        assert f"expected a whole number from {low:,} to {high:,}" in refused_variable(
            load, key, text
        )


@pytest.mark.parametrize("key", SIZES)
@pytest.mark.parametrize(
    ("value", "size"),
    [
        (64, 64),
        (2**28, 2**28),
        ("1MiB", 2**20),
        ("1.5 KiB", 1_536),
        ("64kib", 65_536),
        ("2MB", 2_000_000),
        ("100B", 100),
        ("0.25GiB", 2**28),
    ],
)
def test_a_size_in_every_form(
    load: Callable[..., Config], key: str, value: object, size: int
) -> None:
    assert read(load(**nested(key, value)), key) == size


@pytest.mark.parametrize("key", SIZES)
@pytest.mark.parametrize(
    "value",
    [63, 2**28 + 1, "1", "1M", "MiB", "1TiB", "1 000 B", "-1KiB", "", True, 1e6, None.__class__],
)
def test_a_size_refused(load: Callable[..., Config], key: str, value: object) -> None:
    assert "expected a size from 64 to 268,435,456 bytes" in refused(load, key, value)


@pytest.mark.parametrize("text", ["true", "True", "yes", "on", "1"])
def test_truth_in_text(load: Callable[..., Config], text: str) -> None:
    assert load({"ELIHU_REQUIRE_QUEUES": text}).require_queues is True


@pytest.mark.parametrize("text", ["false", "FALSE", "no", "off", "0"])
def test_falsehood_in_text(load: Callable[..., Config], text: str) -> None:
    assert load({"ELIHU_REQUIRE_QUEUES": text}).require_queues is False


@pytest.mark.parametrize("value", [0, 1, "true", "maybe", [], ""])
def test_a_truth_value_refused(load: Callable[..., Config], value: object) -> None:
    assert "expected true or false" in refused(load, "require_queues", value)


def test_a_truth_value_refused_in_text(load: Callable[..., Config]) -> None:
    assert "expected true or false" in refused_variable(load, "require_queues", "maybe")
