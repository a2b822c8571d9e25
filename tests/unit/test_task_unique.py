"""The key of a unique job."""

import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel, field_serializer, field_validator

from elihu.options import Unique
from elihu.task.declare import declare
from elihu.task.task import Task
from tests.unit.fake_enqueuer import made


@dataclass(frozen=True)
class Bag:
    items: frozenset[str]


def key(
    task: Task[..., Any], *args: Any, using: dict[str, Any] | None = None, **kwargs: Any
) -> bytes:
    new = task.using(**using or {}).build(*args, **kwargs)
    assert new.unique_key is not None
    assert len(new.unique_key) == 32
    return new.unique_key


class TestUnique:
    def test_not_unique_by_default(self) -> None:
        new = made().build(7)
        assert (new.unique_key, new.unique_scope, new.unique_period) == (None, None, None)

    @pytest.mark.parametrize(
        ("states", "scope"), [("incomplete", 0), ("successful", 1), ("all", 2)]
    )
    def test_scope_and_period(self, states: Any, scope: int) -> None:
        new = made(unique=Unique(states=states, period="1h")).build(7)
        assert (new.unique_scope, new.unique_period) == (scope, 3600.0)

    def test_switched_on_and_off(self) -> None:
        assert made().using(unique=Unique()).build(7).unique_key is not None
        assert made(unique=Unique()).using(unique=None).build(7).unique_key is None

    def test_the_same_call_however_it_is_written(self) -> None:
        task = made(unique=Unique())
        same = {
            key(task, 7),
            key(task, user_id=7),
            key(task, "7", None),
            key(task, at=None, user_id=7),
        }
        assert len(same) == 1
        assert key(task, 8) not in same
        assert key(task, 7, date(2026, 1, 1)) not in same
        assert key(task, 7, date(2026, 1, 1)) == key(task, 7, "2026-01-01")

    def test_another_task(self) -> None:
        def order(user_id: int, at: date | None = None) -> None: ...

        other = declare(order, {"name": "other", "unique": Unique()})
        assert key(other, 7) != key(made(unique=Unique()), 7)
        by_args = Unique(by=("args",))
        assert key(other, 7, using={"unique": by_args}) == key(made(unique=by_args), 7)

    def test_only_some_arguments(self) -> None:
        task = made(unique=Unique(keys=("user_id",)))
        assert key(task, 7) == key(task, 7, date(2026, 1, 1))
        assert key(task, 7) != key(task, 8)

    def test_queue_and_meta(self) -> None:
        task = made(unique=Unique(by=("queue",)))
        assert key(task, 7) == key(task, 8)
        assert key(task, 7) != key(task, 7, using={"queue": "x"})
        task = made(unique=Unique(by=("task", "meta")), meta={"a": 1})
        assert key(task, 7, using={"meta": {"b": 2}}) == key(
            task, 8, using={"meta": {"b": 2, "a": 1}}
        )
        assert key(task, 7) != key(task, 7, using={"meta": {"a": 2}})

    def test_what_is_not_compared_makes_no_difference(self) -> None:
        task = made(unique=Unique())
        assert key(task, 7) == key(
            task,
            7,
            using={"priority": 3, "queue": "x", "meta": {"a": 1}, "delay": 3, "tags": ["x"]},
        )

    def test_order_of_keys_and_of_sets_makes_no_difference(self) -> None:
        def fn(d: dict[str, int], s: set[str], bags: list[Bag]) -> None: ...

        task = declare(fn, {"name": "x", "unique": Unique()})
        words = [str(n) for n in range(50)]
        backwards = words[::-1]
        first = key(task, {"a": 1, "b": 2}, set(words), [Bag(frozenset(words))])
        assert first == key(task, {"b": 2, "a": 1}, set(backwards), [Bag(frozenset(backwards))])
        assert first != key(task, {"a": 1, "b": 2}, set(words[1:]), [Bag(frozenset(words))])

    def test_models_and_what_serialises_itself(self) -> None:
        class Range(BaseModel):
            low: int
            high: int

            @field_serializer("low")
            def as_list(self, low: int) -> list[int]:
                return [low]

            @field_validator("low", mode="before")
            @classmethod
            def from_list(cls, low: Any) -> Any:
                return low[0] if isinstance(low, list) else low

        def fn(r: Any) -> None: ...

        fn.__annotations__["r"] = Range
        task = declare(fn, {"name": "x", "unique": Unique()})
        assert key(task, Range(low=1, high=2)) == key(task, {"high": 2, "low": 1})
        assert key(task, Range(low=1, high=2)) != key(task, Range(low=2, high=2))

    def test_order_of_lists_does(self) -> None:
        task = declare(lambda a: None, {"name": "x", "unique": Unique()})
        assert key(task, [1, 2]) != key(task, [2, 1])

    def test_every_process_finds_the_same_key(self) -> None:
        program = (
            "from elihu.options import Unique\nfrom elihu.task.declare import declare\n"
            "def fn(s: set[str], d: dict[int, frozenset[str]]): ...\n"
            "task = declare(fn, {'name': 'x', 'unique': Unique()})\n"
            "print(task.build({'a', 'b', 'c', 'd', 'e'}, {1: "
            "frozenset('abcdefgh')}).unique_key.hex())"
        )
        found = {
            subprocess.run(
                [sys.executable, "-c", program],
                env={"PYTHONHASHSEED": seed},
                check=True,
                capture_output=True,
                text=True,
                timeout=30,
            ).stdout
            for seed in ("1", "2", "3")
        }
        assert len(found) == 1
