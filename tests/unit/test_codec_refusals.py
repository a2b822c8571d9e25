"""Arguments that no database holds or that would come back different are refused."""

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ConfigDict, SecretStr

from tests.unit.codecs import SOME_ID, GiftItem, Item, Point, nested, refused, round_trip


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
