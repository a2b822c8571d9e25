"""Arguments of each type: how they are stored as JSON and rebuilt."""

import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import wraps
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
import typing_extensions
from pydantic import BaseModel, Field

from elihu.errors import ArgumentsTooLarge
from tests.unit.codecs import (
    LIMIT,
    SOME_ID,
    Blob,
    Colour,
    Item,
    Named,
    Opaque,
    Point,
    Size,
    Strict,
    codec,
    nested,
    refused,
    round_trip,
)


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
            match=(
                r"shop\.order: expected arguments of at most 1,048,576 bytes of "
                r"JSON, got 20,000,008"
            ),
        ):
            codec(task).encode(("x" * 20_000_000,), {}, LIMIT)
