"""What can be a task, under which name, and what a call of it does."""

import asyncio
import functools
import inspect
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from elihu.context import Context
from elihu.errors import InvalidOption, InvalidTask
from elihu.task.declare import declare
from elihu.task.options import TaskOptions
from elihu.triggers import Tasks
from tests.unit.task_builders import make, refused

tasks = Tasks()


@tasks.task
async def welcome(user_id: int, *, ctx: Context = Context()) -> str:
    """Say hello."""
    return f"{user_id} {ctx.attempt} {ctx.is_last_attempt}"


@tasks.task(queue="files")
def count_lines(text: str, skip: int = 0) -> int:
    return text.count("\n") - skip


class TestIdentity:
    def test_name_is_module_and_qualified_name(self) -> None:
        assert welcome.name == f"{__name__}.welcome"
        assert welcome.aliases == ()

    def test_it_looks_like_its_function(self) -> None:
        assert getattr(welcome, "__name__", None) == "welcome"
        assert welcome.__doc__ == "Say hello."
        assert welcome.__module__ == __name__
        assert list(inspect.signature(welcome).parameters) == ["user_id", "ctx"]
        assert "welcome" in repr(welcome)

    def test_attributes_of_the_function_do_not_hide_the_tasks(self) -> None:
        def fn() -> None: ...

        fn.enqueue = fn.options = "mine"  # type: ignore[attr-defined]
        assert isinstance(make(fn).options, TaskOptions)
        assert callable(make(fn).enqueue)

    def test_where_it_runs(self) -> None:
        assert (welcome.run_in, count_lines.run_in) == ("loop", "thread")
        assert make(run_in="thread").run_in == "thread"
        assert (welcome.context_parameter, count_lines.context_parameter) == ("ctx", None)

    def test_names_given(self) -> None:
        task = make(
            name="reports.monthly", aliases=["reports.month", "reports.monthly", "reports.month"]
        )
        assert (task.name, task.aliases) == ("reports.monthly", ("reports.month",))

    @pytest.mark.parametrize("name", ["", "a\n", "x" * 201, "\ud800", 7])
    def test_names_that_cannot_be(self, name: Any) -> None:
        with pytest.raises(InvalidOption, match="name: expected a text of 1 to 200 characters"):
            make(name=name)
        assert "aliases" in refused(aliases=[name])

    def test_prefix_and_name_together_are_bounded(self) -> None:
        with pytest.raises(InvalidOption, match="200"):
            declare(lambda: None, {"name": "x" * 150}, prefix="y" * 100)

    @pytest.mark.parametrize(
        ("spec", "file", "expected"),
        [
            ("shop.jobs", "/somewhere/shop/api/jobs.py", "shop.jobs"),
            (None, "/somewhere/api/jobs.py", "jobs"),
            (None, None, "__main__"),
        ],
    )
    def test_the_program_itself_goes_by_the_name_others_import_it_by(
        self, monkeypatch: pytest.MonkeyPatch, spec: str | None, file: str | None, expected: str
    ) -> None:
        main = ModuleType("__main__")
        if spec:
            main.__spec__ = type(sys.__spec__)(spec, None)
        if file:
            main.__file__ = file
        monkeypatch.setitem(sys.modules, "__main__", main)
        exec("def send(): ...", main.__dict__)
        assert declare(main.send, {}).name == f"{expected}.send"


class TestWhatCannotBeATask:
    def test_local_functions_and_lambdas_need_a_name(self) -> None:
        def local() -> None: ...

        for fn in (local, lambda: None):
            with pytest.raises(InvalidTask, match="expected name="):
                declare(fn, {})
            assert declare(fn, {"name": "x"}).name == "x"

    def test_other_callables(self) -> None:
        class Sender:
            def __call__(self) -> None: ...

            def send(self) -> None: ...

            @staticmethod
            def static() -> None: ...

        for fn in (
            functools.partial(print, 1),
            Sender,
            Sender(),
            Sender().send,
            len,
            Sender.__dict__["static"],
            None,
            3,
        ):
            with pytest.raises(
                InvalidTask, match="expected a function written with def or async def"
            ):
                declare(fn, {"name": "x"})  # type: ignore[arg-type]

    def test_a_name_in_the_place_of_the_function(self) -> None:
        with pytest.raises(InvalidTask, match="name='mail'"):
            Tasks().task("mail")  # type: ignore[call-overload]

    def test_generators(self) -> None:
        def gives() -> Iterator[int]:
            yield 1

        async def agives() -> AsyncIterator[int]:
            yield 1

        for fn in (gives, agives):
            with pytest.raises(InvalidTask, match="generator"):
                declare(fn, {"name": "x"})

    def test_a_task(self) -> None:
        with pytest.raises(InvalidTask, match="aliases"):
            declare(welcome, {})

    def test_an_async_function_hidden_in_a_plain_wrapper(self) -> None:
        async def inner() -> None: ...

        @functools.wraps(inner)
        def outer() -> Any:
            return inner()

        @functools.wraps(inner)
        async def good() -> None: ...

        with pytest.raises(InvalidTask, match="async def too"):
            declare(outer, {"name": "x"})
        assert declare(good, {"name": "x"}).run_in == "loop"

    def test_the_task_is_named_in_the_error(self) -> None:
        def fn(session: Socket) -> None: ...

        with pytest.raises(InvalidTask, match="task mail: parameter session"):
            declare(fn, {"name": "mail"})

    def test_recording_what_has_no_json_form(self) -> None:
        def fn() -> Socket:
            return Socket()

        assert declare(fn, {"name": "x"}).options.record is False
        with pytest.raises(InvalidTask, match="return annotation"):
            declare(fn, {"name": "x", "record": True})


class Socket:
    """A type without JSON form."""


class TestCalling:
    async def test_async(self) -> None:
        assert await welcome(7) == "7 1 True"

    def test_sync(self) -> None:
        assert count_lines("a\nb\n", skip=1) == 1

    async def test_a_context_given_is_the_one_taken(self) -> None:
        mine = Context(state="mine")

        @Tasks().task(name="x")
        async def fn(a: int, *, ctx: Context) -> Any:
            return ctx.state

        assert await fn(1, ctx=mine) == "mine"
        assert await fn(1) is None  # type: ignore[call-arg]

    def test_each_call_has_a_context_of_its_own(self) -> None:
        @Tasks().task(name="x")
        def fn(*, ctx: Context = Context()) -> Context:
            return ctx

        assert fn() is not fn()

    def test_a_context_in_any_place(self) -> None:
        @Tasks().task(name="x")
        def first(ctx: Context, a: int, b: int = 2) -> tuple[bool, int, int]:
            return isinstance(ctx, Context), a, b

        @Tasks().task(name="x")
        def middle(a: int, ctx: Context | None = None, b: int = 2) -> tuple[bool, int, int]:
            return isinstance(ctx, Context), a, b

        for fn in (first, middle):
            call: Callable[..., tuple[bool, int, int]] = fn
            assert call(1) == (True, 1, 2)
            assert call(1, 3) == (True, 1, 3)
            assert call(1, b=4) == (True, 1, 4)
            assert call(a=1, b=4) == (True, 1, 4)
        assert first(Context(), 1, 5) == (True, 1, 5)
        assert middle(1, Context(), 5) == (True, 1, 5)

    def test_arguments_are_not_converted(self) -> None:
        @Tasks().task(name="x")
        def fn(a: int) -> Any:
            return a

        assert fn("5") == "5"  # type: ignore[arg-type]

    def test_wrong_arguments_are_python_s_own_error(self) -> None:
        with pytest.raises(TypeError):
            count_lines()  # type: ignore[call-arg]

    def test_it_is_no_coroutine_until_awaited(self) -> None:
        call = welcome(7)
        assert asyncio.run(call) == "7 1 True"
