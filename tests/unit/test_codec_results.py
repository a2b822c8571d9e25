"""Results as JSON."""

import math
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from elihu.errors import InvalidArguments, InvalidTask
from elihu.outcome import Cancel, Snooze
from elihu.task.codec import ResultNotStored
from tests.unit.codecs import LIMIT, Blob, Item, Opaque, Point, codec


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
