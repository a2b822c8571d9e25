"""Which retention wins: a task's own over its queue's, that over the state's."""

import pytest

from elihu.config import RetentionConfig
from elihu.engines.retention import FinishedJob, Retention

CONFIG = RetentionConfig(
    states={"completed": 10.0, "discarded": 20.0},
    queues={"mail": {"completed": 5.0, "cancelled": 7.0}},
    tasks={"welcome": {"completed": 100.0}},
)


def due_in(**fields: object) -> float:
    values = {
        "id": 1, "state": "completed", "queue": "default", "task": "t", "age": 0.0, "kept": None,
        "awaited": False,
    }  # fmt: skip
    return Retention(CONFIG).due_in(FinishedJob(**values | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("state", "queue", "task", "age"),
    [
        ("completed", "default", "t", 10.0),
        ("completed", "mail", "t", 5.0),
        ("completed", "mail", "welcome", 100.0),
        ("discarded", "mail", "welcome", 20.0),
        ("cancelled", "mail", "t", 7.0),
        ("cancelled", "default", "t", None),
    ],
)
def test_the_most_exact_age_wins(state: str, queue: str, task: str, age: float | None) -> None:
    assert Retention(CONFIG).age(state, queue, task) == age


def test_the_shortest_age_of_each_state() -> None:
    assert Retention(CONFIG).shortest == {"completed": 5.0, "cancelled": 7.0, "discarded": 20.0}


def test_a_job_is_due_at_its_age() -> None:
    assert due_in(age=4.0) == 6.0
    assert due_in(age=10.0) == 0.0


def test_neither_a_key_nor_a_wait_is_cut_short() -> None:
    assert due_in(age=60.0, kept=30.0) == 30.0
    assert due_in(age=60.0, kept=-30.0) == -30.0
    assert due_in(age=60.0, awaited=True) == 3_540.0
    assert due_in(age=4_000.0, awaited=True) == -400.0


def test_a_state_without_an_age_is_kept() -> None:
    assert due_in(state="cancelled", age=1e9) == pytest.approx(86_400.0)


def test_the_default_has_no_special_ages() -> None:
    assert Retention(RetentionConfig()).special is None
    assert Retention(RetentionConfig()).rules == Retention(RetentionConfig()).rules
    assert Retention(CONFIG).rules != Retention(RetentionConfig()).rules
