"""The options of a task."""

from datetime import timedelta
from types import MappingProxyType
from typing import Any

import pytest

from elihu.errors import ConfigError, ElihuError, InvalidOption, InvalidTask
from elihu.options import Unique
from elihu.task.options import TaskOptions
from tests.unit.task_builders import make, refused


class TestOptions:
    def test_defaults(self) -> None:
        assert make().options == TaskOptions()
        options = make().options
        assert (options.queue, options.priority, options.max_attempts, options.backoff) == (
            "default",
            0,
            20,
            None,
        )
        assert (options.unique, options.tags, dict(options.meta), options.record) == (
            None,
            (),
            {},
            False,
        )
        assert (options.retry_on, options.discard_on, options.max_orphans) == (None, (), 3)

    def test_given(self) -> None:
        unique = Unique(keys=("a",))
        options = make(
            queue="mail",
            priority=9,
            max_attempts=1,
            backoff="1m30s",
            unique=unique,
            tags=[" VIP ", "vip", "New"],
            meta={"a": [1, {"b": None}]},
            retry_on=OSError,
            discard_on=(ValueError, KeyError),
            max_orphans=100,
            record=True,
        ).options
        assert options == TaskOptions(
            queue="mail",
            priority=9,
            max_attempts=1,
            backoff=90.0,
            unique=unique,
            tags=("vip", "new"),
            meta=MappingProxyType({"a": [1, {"b": None}]}),
            retry_on=(OSError,),
            discard_on=(ValueError, KeyError),
            max_orphans=100,
            record=True,
        )

    def test_they_are_frozen_and_copied(self) -> None:
        meta = {"a": [1]}
        options = make(meta=meta).options
        meta["a"].append(2)
        assert options.meta == {"a": [1]}
        with pytest.raises(AttributeError):
            options.queue = "x"  # type: ignore[misc]
        with pytest.raises(TypeError):
            options.meta["b"] = 1  # type: ignore[index]

    @pytest.mark.parametrize(
        "name", ["name", "run_in", "backoff", "unique", "retry_on", "discard_on"]
    )
    def test_none_is_the_default_where_there_is_none(self, name: str) -> None:
        assert make(**{name: None} if name != "name" else {}).options == TaskOptions()

    def test_backoff_of_one_s_own(self) -> None:
        def wait(job: Any, error: BaseException) -> float:
            return 1.0

        assert make(backoff=wait).options.backoff is wait
        assert make(backoff=timedelta(minutes=1)).options.backoff == 60.0

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("queue", ""),
            ("queue", "a\tb"),
            ("queue", "x" * 201),
            ("queue", None),
            ("queue", 3),
            ("priority", -1),
            ("priority", 10),
            ("priority", 1.0),
            ("priority", True),
            ("priority", "1"),
            ("priority", None),
            ("max_attempts", 0),
            ("max_attempts", 1_000_001),
            ("max_attempts", None),
            ("backoff", -1),
            ("backoff", "soon"),
            ("backoff", float("nan")),
            ("unique", True),
            ("unique", {"by": ["task"]}),
            ("tags", "vip"),
            ("tags", [""]),
            ("tags", ["  "]),
            ("tags", [1]),
            ("tags", ["x" * 201]),
            ("tags", ["a\0"]),
            ("tags", [str(n) for n in range(101)]),
            ("tags", None),
            ("meta", [1]),
            ("meta", None),
            ("meta", {1: 2}),
            ("meta", {"a": float("inf")}),
            ("meta", {"a": "\0"}),
            ("meta", {"a": "\ud800"}),
            ("meta", {"a": timedelta(1)}),
            ("meta", {"a": 10**5000}),
            ("meta", {"a": "x" * 65_536}),
            ("retry_on", "OSError"),
            ("retry_on", (OSError, 3)),
            ("retry_on", ()),
            ("retry_on", OSError()),
            ("discard_on", int),
            ("max_orphans", 0),
            ("max_orphans", 101),
            ("record", 1),
            ("record", None),
            ("aliases", "old"),
            ("aliases", None),
            ("run_in", "loop"),
            ("run_in", "cloud"),
            ("run_in", 3),
        ],
    )
    def test_out_of_range_or_of_the_wrong_type(self, name: str, value: Any) -> None:
        message = refused(**{name: value})
        assert f"task plain: {name}" in message
        assert "expected" in message
        assert "got" in message
        assert len(message) < 400

    def test_an_async_backoff(self) -> None:
        async def wait(job: Any, error: BaseException) -> float:
            return 1.0

        assert "async" in refused(backoff=wait)

    def test_an_async_function_never_runs_in_a_thread(self) -> None:
        async def fn() -> None: ...

        with pytest.raises(
            InvalidOption, match='run_in: expected "loop" or "process" for an async def'
        ):
            make(fn, run_in="thread")

    def test_the_template_is_a_code(self) -> None:
        assert make(None, template="kind").options.template == "kind"
        assert make(None, template=None).options.template is None
        assert "task plain: template: expected a text" in refused(template=30)

    @pytest.mark.parametrize("name", ["timeout", "expires"])
    def test_limits(self, name: str) -> None:
        assert getattr(make(None, **{name: "1m30s"}).options, name) == 90.0
        assert getattr(make(None, **{name: None}).options, name) is None
        for value in (-1, "soon", True, float("nan"), float("inf"), 1e12):
            assert f"task plain: {name}: expected a duration" in refused(**{name: value})
        for value in (0, 1e-9):
            assert refused(**{name: value}) == (
                f"task plain: {name}: expected at least a millisecond, or None for "
                f"no limit, got {value!r}"
            )

    def test_a_timeout_of_years_is_refused(self) -> None:
        assert "timeout: expected at most 366 days" in refused(timeout="367d")
        assert make(expires="367d").options.expires == 367 * 86_400

    def test_either_kind_of_function_may_run_in_a_process(self) -> None:
        async def fn() -> None: ...

        assert [make(each, run_in="process").run_in for each in (None, fn)] == [
            "process",
            "process",
        ]

    def test_a_process_needs_a_module_that_can_be_imported(self) -> None:
        names: dict[str, Any] = {"__name__": "made_by_hand"}
        exec("def fn(): ...", names)
        with pytest.raises(
            InvalidTask, match="fresh interpreter can import, got one of 'made_by_hand'"
        ):
            make(names["fn"], run_in="process")

    def test_unknown_options_are_named_with_the_nearest(self) -> None:
        assert "got prority (did you mean priority?)" in refused(prority=3)
        assert "got bind" in refused(bind=True)
        assert "max_attempts" in refused(bind=True)

    def test_unique_by_arguments_that_there_are_not(self) -> None:
        assert "(a, b), got 'c'" in refused(unique=Unique(keys=("a", "c")))

    def test_every_refusal_is_of_the_tree(self) -> None:
        assert issubclass(InvalidOption, ElihuError)
        assert not issubclass(InvalidOption, ConfigError)
