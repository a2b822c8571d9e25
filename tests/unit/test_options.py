"""Uniqueness, backoff and ranges."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elihu.errors import InvalidOption
from elihu.job import Job, JobState
from elihu.options import SCOPES, Unique, backoff_seconds, check_range, exponential_backoff


def a_job() -> Job:
    now = datetime.now(UTC)
    return Job(
        id=7,
        state=JobState.EXECUTING,
        queue="default",
        task="x",
        args={},
        meta={},
        tags=(),
        priority=0,
        attempt=2,
        max_attempts=20,
        unique_key=None,
        inserted_at=now,
        scheduled_at=now,
    )


def not_asked() -> Job:
    raise AssertionError("nobody needs the job here")


class TestUnique:
    def test_defaults(self) -> None:
        unique = Unique()
        assert (unique.by, unique.keys, unique.period, unique.states, unique.on_conflict) == (
            ("task", "args"),
            None,
            None,
            "incomplete",
            "skip",
        )

    def test_normalised_frozen_and_comparable(self) -> None:
        unique = Unique(by=["task", "args"], keys=["a"], period="1h")  # type: ignore[arg-type]
        assert unique == Unique(keys=("a",), period=timedelta(hours=1))
        assert unique.period == 3600.0
        assert hash(unique) == hash(Unique(keys=("a",), period=3600))
        with pytest.raises(AttributeError):
            unique.by = ("task",)  # type: ignore[misc]

    @pytest.mark.parametrize(
        "by", [("task",), ("args",), ("queue",), ("meta",), ("task", "args", "queue", "meta")]
    )
    def test_by(self, by: Any) -> None:
        assert Unique(by=by).by == by

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"states": ["incomplete"]}, "states"),
            ({"by": ([],)}, "by"),
            ({"by": ()}, "Unique(by=): expected some of task, args, queue, meta, got ()"),
            ({"by": "task"}, "Unique(by=): expected some of"),
            ({"by": ("task", "worker")}, "Unique(by=): expected some of"),
            ({"by": None}, "Unique(by=): expected some of"),
            ({"by": ("task",), "keys": ("a",)}, 'Unique(keys=): expected "args" among by'),
            ({"keys": ()}, "Unique(keys=): expected names of arguments"),
            ({"keys": "a"}, "Unique(keys=): expected names of arguments"),
            ({"keys": (1,)}, "Unique(keys=): expected names of arguments"),
            (
                {"states": "finished"},
                "Unique(states=): expected one of incomplete, successful, all, got 'finished'",
            ),
            ({"states": None}, "Unique(states=): expected one of"),
            (
                {"on_conflict": "raise"},
                'Unique(on_conflict=): expected "skip" or {"replace": [fields]}, got',
            ),
            (
                {"on_conflict": {"replace": "args"}},
                'Unique(on_conflict=): expected "skip" or {"replace": [fields]}, got',
            ),
            (
                {"on_conflict": {"replace": ["args"], "skip": []}},
                'Unique(on_conflict=): expected "skip" or {"replace": [fields]}, got',
            ),
            (
                {"on_conflict": {"replace": []}},
                "Unique(on_conflict=): replace: expected some of args, priority, scheduled_at",
            ),
            (
                {"on_conflict": {"replace": ["args", "state"]}},
                "Unique(on_conflict=): replace: expected some of args, priority",
            ),
            ({"period": 0}, "Unique(period=): expected at least one second, got 0"),
            ({"period": 0.5}, "Unique(period=): expected at least one second"),
            ({"period": "soon"}, "Unique(period=): expected a duration"),
            ({"period": -1}, "Unique(period=): expected a duration"),
        ],
    )
    def test_refusals(self, options: dict[str, Any], words: str) -> None:
        with pytest.raises(InvalidOption) as caught:
            Unique(**options)
        assert words in str(caught.value)

    def test_scopes_are_nested_in_this_order(self) -> None:
        assert SCOPES == {"incomplete": 0, "successful": 1, "all": 2}


class TestBackoff:
    @pytest.mark.parametrize(
        ("failures", "seconds"), [(1, 17), (2, 19), (3, 23), (10, 1039), (19, 524_303)]
    )
    def test_grows_with_each_failure(self, failures: int, seconds: float) -> None:
        assert exponential_backoff(failures, 20, jitter=lambda: 0.0) == seconds
        assert exponential_backoff(failures, 20, jitter=lambda: 1.0) == pytest.approx(seconds * 1.1)

    @pytest.mark.parametrize(
        ("failures", "max_attempts", "n"),
        [(1, 40, 0), (2, 40, 1), (20, 40, 10), (50, 100, 10), (1, 1_000_000, 0)],
    )
    def test_is_scaled_down_beyond_twenty_attempts(
        self, failures: int, max_attempts: int, n: int
    ) -> None:
        assert exponential_backoff(failures, max_attempts, jitter=lambda: 0.0) == 15 + 2**n

    @given(st.integers(1, 1_000_000), st.data())
    def test_is_never_negative_and_never_beyond_the_twentieth(
        self, max_attempts: int, data: st.DataObject
    ) -> None:
        failures = data.draw(st.integers(1, max_attempts))
        base = exponential_backoff(failures, max_attempts, jitter=lambda: 0.0)
        assert 15 <= base <= 15 + 2**20
        assert base <= exponential_backoff(failures, max_attempts) <= base * 1.1

    def test_of_a_task(self) -> None:
        error = ValueError("no")
        assert 17 <= backoff_seconds(None, not_asked, 1, 20, error) <= 18.7
        assert backoff_seconds(60, not_asked, 1, 20, error) == 60.0
        assert backoff_seconds("1m", not_asked, 1, 20, error) == 60.0
        assert backoff_seconds(timedelta(minutes=1), not_asked, 1, 20, error) == 60.0

    def test_of_a_callable(self) -> None:
        seen: list[tuple[int, BaseException]] = []

        def wait(job: Job, error: BaseException) -> str:
            seen.append((job.attempt, error))
            return "2m"

        error = ValueError("no")
        assert backoff_seconds(wait, a_job, 1, 20, error) == 120.0
        assert seen == [(2, error)]

    @pytest.mark.parametrize("value", [-1, None, "soon", float("nan")])
    def test_of_a_callable_is_checked(self, value: Any) -> None:
        with pytest.raises(InvalidOption, match=r"^backoff\(\): expected a duration"):
            backoff_seconds(lambda job, error: value, a_job, 1, 20, ValueError())


class TestRange:
    @pytest.mark.parametrize("value", [0, 5, 9])
    def test_within(self, value: int) -> None:
        assert check_range("priority", value, 0, 9) == value

    @pytest.mark.parametrize("value", [-1, 10, 1.0, "1", None, True, False, [1]])
    def test_outside(self, value: Any) -> None:
        with pytest.raises(InvalidOption) as caught:
            check_range("priority", value, 0, 9)
        assert str(caught.value) == f"priority: expected a whole number from 0 to 9, got {value!r}"

    def test_large_bounds_are_readable(self) -> None:
        with pytest.raises(InvalidOption, match="from 1 to 1,000,000, got 0"):
            check_range("max_attempts", 0, 1, 1_000_000)
