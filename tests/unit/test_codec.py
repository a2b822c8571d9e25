"""Arguments and results ↔ JSON: how they are bound, stored and rebuilt, and what is
refused with which words.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from functools import wraps
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
import typing_extensions
from pydantic import BaseModel, ConfigDict, Field, Json, SecretStr, computed_field

from elihu.context import Context
from elihu.errors import ArgumentsTooLarge, InvalidArguments, InvalidTask
from elihu.outcome import Cancel, Snooze
from elihu.task.codec import Codec, ResultNotStored
from elihu.task.signature import read_signature

LIMIT = 1_048_576
SOME_ID = UUID("7d444840-9dc0-11d1-b245-5ffdce74fad2")


class Colour(Enum):
    RED = "red"
    BLUE = (0, 0, 255)


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


@dataclass
class Point:
    x: float
    y: float = 0.0


@dataclass
class Blob:
    content: bytes


class Item(BaseModel):
    sku: str
    price: Decimal
    weight: float | None = None


class GiftItem(Item):
    note: str = ""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")

    user_id: int = Field(alias="userId")
    blob: Json[list[int]] = Field(default_factory=list)

    @computed_field
    def double(self) -> int:
        return self.user_id * 2


class Named(typing_extensions.TypedDict):
    name: str
    at: date


class Opaque:
    pass


def codec(fn: Callable[..., Any]) -> Codec:
    return Codec(read_signature(fn, "shop.order"))


def round_trip(
    fn: Callable[..., Any], *args: Any, **kwargs: Any
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    made = codec(fn)
    return made.decode(made.encode(args, kwargs, LIMIT))


def refused(fn: Callable[..., Any], *args: Any, **kwargs: Any) -> InvalidArguments:
    with pytest.raises(InvalidArguments) as caught:
        codec(fn).encode(args, kwargs, LIMIT)
    assert str(caught.value).startswith("shop.order: ")
    return caught.value


def refused_declaration(fn: Callable[..., Any]) -> str:
    with pytest.raises(InvalidTask) as caught:
        codec(fn)
    assert "shop.order" in str(caught.value)
    return str(caught.value)


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
            text
            == f'{{"a":1,"b":2,"c":3,"rest":["2026-01-02"],"d":4,"more":{{"x":"{SOME_ID}","a":"{SOME_ID}"}}}}'
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

    def test_several_problems_are_told_and_counted(self) -> None:
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
            assert "can be given by keyword" in refused_declaration(fn)
        assert "Context | None" in refused_declaration(mixed)


class TestTypes:
    @pytest.mark.parametrize(
        ("annotation", "value"),
        [
            (date, date(2026, 11, 20)),
            (datetime, datetime(2026, 11, 20, 1, 2, 3, 4, tzinfo=UTC)),
            (datetime, datetime(2026, 11, 20, 1, 2, 3, 4)),  # noqa: DTZ001
            (time, time(1, 2, 3, 4)),
            (timedelta, timedelta(days=-3, microseconds=1)),
            (UUID, SOME_ID),
            (Decimal, Decimal("10.00")),
            (bytes, b"\xff\x00\x01"),
            (Size, Size.LARGE),
            (Colour, Colour.RED),
            (Literal["a", 1], 1),
            (Point, Point(1.5, 2.5)),
            (Blob, Blob(b"\xff")),
            (Item, Item(sku="a", price=Decimal("1.20"))),
            (Named, {"name": "x", "at": date(2026, 1, 1)}),
            (list[Item], [Item(sku="a", price=Decimal(1), weight=2.0)]),
            (dict[str, list[Point]], {"a": [Point(1)]}),
            (dict[int, date], {3: date(2026, 1, 1)}),
            (dict[Size, UUID], {Size.SMALL: SOME_ID}),
            (set[int], {1, 2, 3}),
            (frozenset[date], frozenset({date(2026, 1, 1)})),
            (tuple[int, date], (1, date(2026, 1, 1))),
            (tuple[UUID, ...], (SOME_ID, SOME_ID)),
            (date | None, None),
            (date | None, date(2026, 1, 1)),
            (int | Point, Point(1)),
            (int | str, "5"),
            (int | str, 5),
            (date | datetime, datetime(2026, 1, 1)),  # noqa: DTZ001
            (date | datetime, date(2026, 1, 1)),
            (date | str, date(2026, 1, 1)),
            (bytes | str, b"hi"),
            (Item | Point, Point(1, 2)),
            (Annotated[int, Field(gt=3)], 4),
            (dict[str, Any], {"a": [1, 2.5, None, True, {"b": "c"}]}),
            (Any, {"a": [1, 2.5, None, True, {"b": "c"}]}),
            (list, [1, "a"]),
            (int, 10**30),
            (str, "𝄞 \\u0000 \\ud800 NaN \x01\x7f\u2028"),
            (float, -0.0),
            (float, 5e-324),
        ],
    )
    def test_come_back_as_they_went(self, annotation: Any, value: Any) -> None:
        def task(it: Any) -> None: ...

        task.__annotations__["it"] = annotation
        _, kwargs = round_trip(task, value)
        assert kwargs == {"it": value}
        assert type(kwargs["it"]) is type(value)

    def test_lax_as_in_a_web_framework(self) -> None:
        def task(n: int, at: date, tags: set[str], item: Item) -> None: ...

        _, kwargs = round_trip(task, "5", "2026-01-02", ["a", "a"], {"sku": "x", "price": "1"})
        assert kwargs == {
            "n": 5,
            "at": date(2026, 1, 2),
            "tags": {"a"},
            "item": Item(sku="x", price=Decimal(1)),
        }

    def test_models_go_by_name_and_are_read_by_name_or_alias(self) -> None:
        def task(it: Strict) -> None: ...

        made = codec(task)
        text = made.encode((Strict.model_validate({"userId": 3, "blob": "[1, 2]"}),), {}, LIMIT)
        assert text == '{"it":{"user_id":3,"blob":"[1,2]"}}'
        for stored in (text, '{"it": {"userId": 3, "blob": "[1, 2]"}}'):
            rebuilt = made.decode(stored)[1]["it"]
            assert (rebuilt.user_id, rebuilt.blob) == (3, [1, 2])

    def test_annotated_constraint_names_the_field(self) -> None:
        def task(n: Annotated[int, Field(gt=3)]) -> None: ...

        error = refused(task, 3)
        assert error.field == "n"
        assert "expected greater than 3, got 3" in str(error)

    def test_path_inside(self) -> None:
        def task(items: list[Item]) -> None: ...

        assert (
            refused(task, [{"sku": "a", "price": 1}, {"sku": "b", "price": "much"}]).field
            == "items.1.price"
        )

    def test_fields_that_a_model_does_not_have(self) -> None:
        def task(it: Strict) -> None: ...

        error = refused(task, {"userId": 1, "other": 2})
        assert error.field == "it.other"
        assert "expected no field of this name" in str(error)

    def test_types_that_cannot_be_compared(self) -> None:
        class Odd(BaseModel):
            x: int

            def __eq__(self, other: object) -> bool:
                raise TypeError("not comparable")

            __hash__ = None  # type: ignore[assignment]

        def task(it: Any) -> None: ...

        task.__annotations__["it"] = Odd
        assert codec(task).encode((Odd(x=1),), {}, LIMIT) == '{"it":{"x":1}}'

    def test_wrapped_function_is_read_through(self) -> None:
        def inner(a: date) -> None: ...

        @wraps(inner)
        def outer(*args: Any, **kwargs: Any) -> None: ...

        assert round_trip(outer, "2026-01-02") == ((), {"a": date(2026, 1, 2)})

    def test_texts_as_annotations(self) -> None:
        namespace: dict[str, Any] = {"Item": Item}
        exec(
            "from __future__ import annotations\nfrom datetime import date\n"
            "def task(a: date, b: list[Item], *c: date, **d: date) -> date | None: ...",
            namespace,
        )
        made = codec(namespace["task"])
        day = date(2026, 1, 2)
        text = made.encode((day, [Item(sku="a", price=Decimal(1))], day), {"z": day}, LIMIT)
        assert made.decode(text) == ((day, [Item(sku="a", price=Decimal(1))], day), {"z": day})
        assert made.decode_result('"2026-01-02"') == day

    def test_unpacked_keywords(self) -> None:
        def task(**more: typing_extensions.Unpack[Named]) -> None: ...

        assert round_trip(task, name="a", at="2026-01-02") == (
            (),
            {"name": "a", "at": date(2026, 1, 2)},
        )
        assert refused(task, name="a").field == "more.at"


class TestPlainJson:
    def test_without_annotation_values_stay(self) -> None:
        def task(a, b=None, *c, **d) -> None: ...

        value = {"x": [1, 2.5, "a", None, True]}
        assert round_trip(task, value, 2, [3], k="4") == ((value, 2, [3]), {"k": "4"})

    def test_a_tuple_arrives_as_a_list(self) -> None:
        def task(a) -> None: ...

        assert round_trip(task, (1, (2,))) == ((), {"a": [1, [2]]})

    @pytest.mark.parametrize(
        ("value", "field", "words"),
        [
            (date(2026, 1, 1), "a", "annotate the parameter"),
            ({"x": [1, SOME_ID]}, "a.x.1", "for a UUID"),
            ({1: 2}, "a", "expected texts for keys, got 1"),
            ([1, math.nan], "a.1", "a finite number, got nan"),
            (-math.inf, "a", "a finite number, got -inf"),
            ({"k": "\ud800"}, "a.k", "lone surrogates"),
            ({"\ud800": 1}, "a.\\ud800", "lone surrogates"),
            ({"k": "\0"}, "a.k", "NUL"),
            ({"k\0": 1}, "a.k\\x00", "NUL"),
            ({1, 2}, "a", "for a set"),
            (b"x", "a", "for a bytes"),
            (Opaque, "a", "annotate"),
        ],
    )
    def test_anything_else_is_refused(self, value: Any, field: str, words: str) -> None:
        def task(a) -> None: ...

        error = refused(task, value)
        assert error.field == field
        assert words in str(error)

    def test_depth_is_bounded(self) -> None:
        def task(a) -> None: ...

        circular: list[Any] = []
        circular.append(circular)
        assert "levels of nesting" in str(refused(task, circular))
        assert "levels of nesting" in str(refused(task, nested(102)))
        assert round_trip(task, nested(99)) == ((), {"a": nested(99)})


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


class TestWhatNoDatabaseHolds:
    @pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize(
        "annotation", [float, list[float], dict[str, Any], Point, Item, float | None, Decimal]
    )
    def test_not_a_number_and_infinity(self, annotation: Any, number: float) -> None:
        def task(it: Any) -> None: ...

        task.__annotations__["it"] = annotation
        value: Any = {
            float: number,
            list[float]: [0.0, number],
            Point: Point(number),
            Item: Item(sku="a", price=Decimal(1), weight=number),
            float | None: number,
            Decimal: Decimal(number),
        }.get(annotation, {"it": [number]})
        error = refused(task, value)
        assert error.field is not None
        assert error.field.startswith("it")
        assert "finite number" in str(error)

    @pytest.mark.parametrize(
        ("annotation", "value", "field"),
        [
            (str, "a\0", "it"),
            (list[str], ["", "\0"], "it.1"),
            (dict[str, str], {"a\0b": "x"}, "it.a\\x00b"),
            (Item, Item(sku="a\0", price=Decimal(1)), "it.sku"),
            (dict[str, Any], {"a": {"b": ["\0"]}}, "it.a.b.0"),
        ],
    )
    def test_nul(self, annotation: Any, value: Any, field: str) -> None:
        def task(it: Any) -> None: ...

        task.__annotations__["it"] = annotation
        error = refused(task, value)
        assert error.field == field
        assert "NUL" in str(error)

    @pytest.mark.parametrize(
        "text", ["\\u0000", "\\\\u0000", "a\\u0000b", "NaN", "-Infinity", "\\ud800"]
    )
    def test_texts_that_only_look_so_pass(self, text: str) -> None:
        def task(a: str, b: dict[str, Any], c) -> None: ...

        assert round_trip(task, text, {text: text}, [text]) == (
            (),
            {"a": text, "b": {text: text}, "c": [text]},
        )

    @pytest.mark.parametrize(
        ("annotation", "value", "field"),
        [
            (str, "\ud800", "it"),
            (list[str], ["", "\udfff"], "it.1"),
            (dict[str, Any], {"a": "\ud800"}, "it.a"),
            (dict[str, Any], {"\ud800": 1}, "it.\\ud800"),
            (Item, Item.model_construct(sku="\ud800", price=Decimal(1)), "it.sku"),
        ],
    )
    def test_lone_surrogates(self, annotation: Any, value: Any, field: str) -> None:
        def task(it: Any) -> None: ...

        task.__annotations__["it"] = annotation
        error = refused(task, value)
        assert error.field == field
        str(error).encode()

    def test_a_model_that_writes_constants_of_its_own(self) -> None:
        class Loose(BaseModel):
            model_config = ConfigDict(ser_json_inf_nan="constants")

            x: float

        def task(it: Any, text: str = "") -> None: ...

        task.__annotations__["it"] = Loose
        assert refused(task, Loose(x=math.inf)).field == "it.x"
        assert round_trip(task, Loose(x=1.0), "NaN \ufffd") == (
            (),
            {"it": Loose(x=1.0), "text": "NaN \ufffd"},
        )

    def test_numbers_too_long_to_be_read(self) -> None:
        def task(a: int) -> None: ...
        def typed(a: dict[int, int]) -> None: ...

        assert round_trip(task, 10**4298) == ((), {"a": 10**4298})
        refused(task, 10**4400)
        refused(typed, {1: 10**4400})


class TestSize:
    def test_the_limit_counts_bytes_of_json(self) -> None:
        def task(a: str) -> None: ...

        made = codec(task)
        overhead = len('{"a":""}')
        assert len(made.encode(("é" * 10,), {}, overhead + 20).encode()) == overhead + 20
        with pytest.raises(ArgumentsTooLarge, match=r"at most 27 bytes of JSON, got 28"):
            made.encode(("é" * 10,), {}, overhead + 19)

    def test_twenty_megabytes(self) -> None:
        def task(a: str) -> None: ...

        with pytest.raises(
            ArgumentsTooLarge,
            match=r"shop\.order: expected arguments of at most 1,048,576 bytes of JSON, got 20,000,008",
        ):
            codec(task).encode(("x" * 20_000_000,), {}, LIMIT)


class TestWhatWouldComeBackDifferent:
    @pytest.mark.parametrize(
        ("annotation", "value", "field"),
        [
            (date | str, "2026-01-01", "it"),
            (bytes | str, "abcd", "it"),
            (UUID | str, str(SOME_ID), "it"),
            (Decimal | str, "1.5", "it"),
            (dict[str, Any], {"when": date(2026, 1, 1)}, "it.when"),
            (dict[str, Any], {"ids": [SOME_ID]}, "it.ids.0"),
            (SecretStr, SecretStr("password"), "it"),
            (list[Item], [GiftItem(sku="a", price=Decimal(1), note="x")], "it.0"),
            (dict[tuple[int, int], str], {(1, 2): "x"}, "it.1,2.[key]"),
            (Callable[[], int], int, "it"),
            (type, int, "it"),
            (Any, object(), "it"),
        ],
    )
    def test_is_refused(self, annotation: Any, value: Any, field: str) -> None:
        def task(it: Any) -> None: ...

        task.__annotations__["it"] = annotation
        assert refused(task, value).field == field

    def test_other_containers_of_the_same_are_fine(self) -> None:
        def task(a: Sequence[int], b: Mapping[str, int], c: dict[str, Any]) -> None: ...

        assert round_trip(task, (1, 2), {"x": 1}, {"y": (3, [4])}) == (
            (),
            {"a": [1, 2], "b": {"x": 1}, "c": {"y": [3, [4]]}},
        )

    def test_circular_and_deep(self) -> None:
        def task(a: dict[str, Any]) -> None: ...

        circular: dict[str, Any] = {}
        circular["a"] = [circular, circular]
        assert refused(task, circular).field == "a"
        refused(task, {"a": nested(210)})
        refused(task, {"a": nested(400)})
        refused(task, {"a": nested(100_000)})


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
        made = (
            None if typing_extensions.TypedDict is typing.TypedDict else refused_declaration(task)
        )
        assert made is None or ("parameter old" in made and "typing_extensions.TypedDict" in made)

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


class TestResults:
    @pytest.mark.parametrize(
        ("annotation", "value", "text"),
        [
            (int, 3, "3"),
            (date, date(2026, 1, 2), '"2026-01-02"'),
            (Item, Item(sku="a", price=Decimal(1)), '{"sku":"a","price":"1","weight":null}'),
            (Blob, Blob(b"\xff"), '{"content":"_w=="}'),
            (list[Point], [Point(1)], '[{"x":1.0,"y":0.0}]'),
            (str | Snooze, "x", '"x"'),
            (Snooze | Cancel | date, date(2026, 1, 2), '"2026-01-02"'),
            (Any, {"a": [1]}, '{"a":[1]}'),
        ],
    )
    def test_come_back_in_the_declared_type(self, annotation: Any, value: Any, text: str) -> None:
        def task() -> Any: ...

        task.__annotations__["return"] = annotation
        made = codec(task)
        assert made.encode_result(value, LIMIT) == text
        assert made.decode_result(text) == value

    def test_none_is_nothing(self) -> None:
        def task() -> None: ...
        def typed() -> int: ...  # type: ignore[empty-body]

        for fn in (task, typed):
            assert codec(fn).encode_result(None, LIMIT) == "null"
            assert codec(fn).decode_result("null") is None

    def test_without_annotation_it_is_plain_json(self) -> None:
        def task(): ...

        made = codec(task)
        assert made.encode_result({"a": [1]}, LIMIT) == '{"a":[1]}'
        with pytest.raises(ResultNotStored, match="annotate"):
            made.encode_result(date(2026, 1, 1), LIMIT)

    @pytest.mark.parametrize("value", ["x", math.nan, "\0", "\ud800"])
    def test_what_does_not_fit_says_why(self, value: Any) -> None:
        def number() -> float: ...  # type: ignore[empty-body]

        with pytest.raises(ResultNotStored) as caught:
            codec(number).encode_result(value, LIMIT)
        assert caught.value.reason.startswith("shop.order: result: expected")
        assert not caught.value.too_large

    def test_too_large(self) -> None:
        def task() -> str: ...  # type: ignore[empty-body]

        made = codec(task)
        assert made.encode_result("é" * 4, 10) == '"éééé"'
        with pytest.raises(ResultNotStored, match=r"at most 9 bytes of JSON, got 10") as caught:
            made.encode_result("é" * 4, 9)
        assert caught.value.too_large

    def test_a_return_type_without_json_form_is_no_obstacle_until_it_is_wanted(self) -> None:
        def opaque() -> Opaque: ...  # type: ignore[empty-body]
        def missing() -> "Missing": ...  # type: ignore[name-defined]  # noqa: F821

        for fn in (opaque, missing):
            made = codec(fn)
            with pytest.raises(ResultNotStored, match="return annotation"):
                made.encode_result(Opaque(), LIMIT)
            assert made.decode_result('{"a": 1}') == {"a": 1}
            with pytest.raises(InvalidTask, match="return annotation"):
                made.check_result()

    def test_a_stored_result_that_no_longer_fits(self) -> None:
        def task() -> int: ...  # type: ignore[empty-body]

        with pytest.raises(InvalidArguments):
            codec(task).decode_result('"x"')
