"""How arguments are bound, what a task can declare, and how stored arguments are read."""

import math
import sys
from datetime import date
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import BaseModel

from elihu.context import Context
from elihu.errors import InvalidArguments
from elihu.task.codec import Codec
from elihu.task.signature import read_signature
from tests.unit.codecs import (
    LIMIT,
    SOME_ID,
    Opaque,
    codec,
    refused,
    refused_declaration,
    round_trip,
)


class TestBinding:
    def test_positions_names_and_defaults_become_one_object(self) -> None:
        def task(user_id: int, locale: str = "en", *, loud: bool = False) -> None: ...

        assert (
            codec(task).encode((7,), {"loud": True}, LIMIT)
            == '{"user_id":7,"locale":"en","loud":true}'
        )

    def test_order_of_keywords_does_not_matter(self) -> None:
        def task(a: int, b: int) -> None: ...

        assert codec(task).encode((), {"b": 2, "a": 1}, LIMIT) == '{"a":1,"b":2}'

    def test_no_parameters(self) -> None:
        def task() -> None: ...

        assert codec(task).encode((), {}, LIMIT) == "{}"
        assert codec(task).decode("{}") == ((), {})
        assert "no arguments" in str(refused(task, x=1))

    def test_every_kind_of_parameter(self) -> None:
        def task(
            a: int, b: int = 2, /, c: int = 3, *rest: date, d: int = 4, **more: UUID
        ) -> None: ...

        text = codec(task).encode((1, 2, 3, date(2026, 1, 2)), {"x": SOME_ID, "a": SOME_ID}, LIMIT)
        assert (
            text == '{"a":1,"b":2,"c":3,"rest":["2026-01-02"],"d":4,'
            f'"more":{{"x":"{SOME_ID}","a":"{SOME_ID}"}}}}'
        )
        assert codec(task).decode(text) == (
            (1, 2, 3, date(2026, 1, 2)),
            {"d": 4, "x": SOME_ID, "a": SOME_ID},
        )

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ('{"a": 1}', ((1, 2), {})),
            ('{"a": 1, "c": 9}', ((1, 2), {"c": 9})),
            ('{"a": 1, "rest": [5]}', ((1, 2, 3, 5), {})),
            (
                '{"a": 1, "c": 9, "rest": [5], "d": 6, "more": {"z": 7}}',
                ((1, 2, 9, 5), {"d": 6, "z": 7}),
            ),
            ('{"d": 6, "b": "8", "a": 1}', ((1, 8), {"d": 6})),
        ],
    )
    def test_json_of_other_languages_may_leave_out_defaults(
        self, text: str, expected: object
    ) -> None:
        def task(
            a: int, b: int = 2, /, c: int = 3, *rest: int, d: int = 4, **more: int
        ) -> None: ...

        assert codec(task).decode(text) == expected

    def test_absent_arguments_are_left_to_the_functions_own_defaults(self) -> None:
        def task(a: int, b: int = 2) -> None: ...

        assert codec(task).decode('{"a": 1}') == ((), {"a": 1})

    @pytest.mark.parametrize(
        ("args", "kwargs", "field", "words"),
        [
            ((), {}, "a", "expected a value, got none"),
            ((1, 2, 3), {}, None, "expected at most 2 arguments by position, got 3"),
            ((1,), {"a": 2}, "a", "got one by position and one by name"),
            ((1,), {"z": 2}, "z", "expected one of a, b, got an argument of another name"),
            (("x",), {}, "a", "expected a valid integer"),
            (("x",), {}, "a", "got 'x'"),
        ],
    )
    def test_what_does_not_bind(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], field: str | None, words: str
    ) -> None:
        def task(a: int, b: int = 2) -> None: ...

        error = refused(task, *args, **kwargs)
        assert error.field == field
        assert words in str(error)

    def test_positional_only_by_name(self) -> None:
        def task(a: int, /) -> None: ...

        assert "by position, got one by name" in str(refused(task, a=1))

    def test_star_args_by_name(self) -> None:
        def task(*rest: int) -> None: ...

        assert refused(task, rest=[1]).field == "rest"

    def test_several_problems_are_named_and_counted(self) -> None:
        def task(a: int, b: int, c: int, d: int, e: int) -> None: ...

        error = refused(task, "x")
        assert error.field == "a"
        assert "b: expected a value, got none" in str(error)
        assert "and 2 more" in str(error)

    def test_long_values_are_cut_in_messages(self) -> None:
        def task(a: int) -> None: ...

        assert len(str(refused(task, "x" * 1_000_000))) < 300

    @pytest.mark.parametrize(
        "name",
        [
            "json",
            "copy",
            "schema",
            "dict",
            "validate",
            "model_config",
            "_private",
            "self_",
            "args",
            "limit",
        ],
    )
    def test_any_name_will_do(self, name: str) -> None:
        namespace: dict[str, Any] = {}
        exec(f"def task({name}: int, other: int = 1): ...", namespace)
        assert round_trip(namespace["task"], **{name: "5"}) == ((), {name: 5, "other": 1})


class TestContext:
    @pytest.mark.parametrize(
        "annotation",
        [Context, Context | None, "Context", "Context | None", Annotated[Context, "x"]],
    )
    def test_is_left_out_and_its_name_kept(self, annotation: Any) -> None:
        def task(a: int, *, ctx: Any = None) -> None: ...

        task.__annotations__["ctx"] = annotation
        signature = read_signature(task, "t")
        assert signature.context is not None
        assert signature.context.name == "ctx"
        assert Codec(signature).names == {"a"}
        assert Codec(signature).encode((1,), {}, LIMIT) == '{"a":1}'

    def test_known_by_its_name_where_only_type_checkers_import_it(self) -> None:
        namespace: dict[str, Any] = {}
        exec("from __future__ import annotations\ndef task(a: int, *, c: Context): ...", namespace)
        signature = read_signature(namespace["task"], "t")
        assert signature.context is not None
        assert signature.context.name == "c"

    def test_in_the_first_place_it_takes_no_position(self) -> None:
        def task(ctx: Context, a: int) -> None: ...

        assert codec(task).encode((7,), {}, LIMIT) == '{"a":7}'

    def test_none_asked_for(self) -> None:
        def task(ctx: int) -> None: ...

        assert read_signature(task, "t").context is None

    def test_cannot_be_enqueued(self) -> None:
        def task(a: int, *, ctx: Context) -> None: ...
        def open_task(*, ctx: Context, **more: Any) -> None: ...

        assert refused(task, 1, ctx=Context()).field == "ctx"
        assert refused(open_task, ctx=Context()).field == "ctx"

    def test_declarations_that_make_no_sense(self) -> None:
        def two(a: Context, b: Context) -> None: ...
        def star(*ctx: Context) -> None: ...
        def before_star(ctx: Context, *rest: int) -> None: ...
        def by_position(ctx: Context, /) -> None: ...
        def mixed(ctx: Context | int) -> None: ...

        assert "got a, b" in refused_declaration(two)
        for fn in (star, before_star, by_position):
            assert "can be passed by keyword" in refused_declaration(fn)
        assert "Context | None" in refused_declaration(mixed)


class TestDeclaration:
    def test_what_pydantic_does_not_know(self) -> None:
        def task(a: int, session: Opaque) -> None: ...

        message = refused_declaration(task)
        assert "parameter session" in message
        assert "take its id" in message

    def test_typed_dict_of_typing(self) -> None:
        import typing

        class Old(typing.TypedDict):
            a: int

        def task(a: int, old: Old) -> None: ...

        task.__annotations__["old"] = Old
        if sys.version_info >= (3, 12):
            assert codec(task)
            return
        message = refused_declaration(task)
        assert "parameter old" in message
        assert "typing_extensions.TypedDict" in message

    def test_names_that_are_not_there(self) -> None:
        def task(a: int, b: "Missing") -> None: ...  # type: ignore[name-defined]  # noqa: F821

        message = refused_declaration(task)
        assert "parameter b" in message
        assert "'Missing'" in message
        assert "TYPE_CHECKING" in message

    def test_models_that_are_not_complete(self) -> None:
        class Later(BaseModel):
            x: "NotYet"  # type: ignore[name-defined]  # noqa: F821

        def task(a: int, b: Any) -> None: ...

        task.__annotations__["b"] = Later
        message = refused_declaration(task)
        assert "parameter b" in message
        assert "forward reference" in message

    @pytest.mark.parametrize("default", [None, "x", math.nan, Opaque()])
    def test_defaults_that_do_not_fit(self, default: Any) -> None:
        def task(a: int, b: int = default) -> None: ...

        message = refused_declaration(task)
        assert "b:" in message
        assert "default" in message

    def test_a_default_without_annotation_must_be_plain(self) -> None:
        def task(a=Opaque()) -> None: ...  # noqa: B008

        assert "a:" in refused_declaration(task)

    def test_methods(self) -> None:
        class Mailer:
            def send(self, to: str) -> None: ...

        assert "ctx: Context" in refused_declaration(Mailer.send)


class TestDecoding:
    @pytest.mark.parametrize(
        ("text", "field"),
        [
            ("[]", None),
            ("null", None),
            ("{", None),
            ('{"a": "x"}', "a"),
            ("{}", "a"),
            ('{"a": 1, "b": 2}', "b"),
            ('{"a": "\\ud800"}', None),
        ],
    )
    def test_what_no_longer_fits(self, text: str, field: str | None) -> None:
        def task(a: int) -> None: ...

        with pytest.raises(InvalidArguments) as caught:
            codec(task).decode(text)
        assert caught.value.field == field
