"""Outcomes are values and exceptions at once."""

import pickle
from datetime import timedelta
from typing import Any

import pytest

from elihu.errors import ElihuError, InvalidOption
from elihu.outcome import (
    Cancel,
    Cancelled,
    Complete,
    Discard,
    Failed,
    Outcome,
    Retry,
    Returned,
    Snooze,
)


@pytest.mark.parametrize(
    ("delay", "seconds"), [(0, 0.0), (1.5, 1.5), ("10m", 600.0), (timedelta(hours=1), 3600.0)]
)
def test_delays_are_in_seconds(delay: Any, seconds: float) -> None:
    assert Snooze(delay).delay == seconds
    assert Retry(delay=delay).delay == seconds


def test_what_is_left_out() -> None:
    assert Retry().delay is None
    assert Retry().reason is None
    assert Cancel().reason is None
    assert Discard().reason is None


def test_reasons() -> None:
    assert Cancel("gone").reason == "gone"
    assert Discard("broken").reason == "broken"
    assert Retry("later", delay=3).reason == "later"


@pytest.mark.parametrize("delay", [-1, "soon", None, float("nan"), True])
def test_a_snooze_needs_a_duration(delay: Any) -> None:
    with pytest.raises(InvalidOption, match=r"^Snooze: expected a duration"):
        Snooze(delay)


@pytest.mark.parametrize("delay", [-1, "soon", float("nan"), True])
def test_a_retry_needs_a_duration(delay: Any) -> None:
    with pytest.raises(InvalidOption, match=r"^Retry\(delay=\): expected a duration"):
        Retry(delay=delay)


@pytest.mark.parametrize("outcome", [Snooze(1), Cancel("x"), Discard("x"), Retry("x", delay=1)])
def test_they_can_be_raised_and_are_no_errors_of_elihu(outcome: Outcome) -> None:
    with pytest.raises(type(outcome)) as caught:
        raise outcome
    assert caught.value is outcome
    assert not isinstance(outcome, ElihuError)


@pytest.mark.parametrize("outcome", [Snooze("10m"), Cancel("x"), Discard("x"), Retry("x")])
def test_they_survive_pickling(outcome: Outcome) -> None:
    copy = pickle.loads(pickle.dumps(outcome))
    assert type(copy) is type(outcome)
    assert vars(copy) == vars(outcome)


def test_the_other_endings_are_plain_values() -> None:
    error = ValueError("x")
    assert Complete() == Complete(value=None, problem=None)
    assert Failed(error) == Failed(error, retry=True)
    assert Returned("stopped") == Returned("stopped")
    assert Cancelled() == Cancelled()
    with pytest.raises(AttributeError):
        Complete().value = "x"  # type: ignore[misc]
