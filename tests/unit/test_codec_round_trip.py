"""Whatever fits a signature is either refused when it is encoded or comes back equal,
in the same types.
"""

import json
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from elihu.errors import InvalidArguments
from elihu.task.codec import Codec
from elihu.task.signature import read_signature

LIMIT = 1_048_576


class Mood(StrEnum):
    GOOD = "good"
    BAD = "bad"


@dataclass(frozen=True)
class Line:
    sku: str
    price: Decimal
    due: date | None


class Order(BaseModel):
    id: UUID
    lines: list[Line]
    moods: dict[str, Mood]
    weight: float | None
    extra: dict[str, int | str | None]


def plain(value) -> None: ...
def loose(value: dict[str, Any]) -> None: ...
def ordered(order: Order) -> None: ...
def containers(
    a: list[int],
    b: set[date],
    c: tuple[UUID, ...],
    d: dict[int, bytes],
    e: frozenset[str],
    f: list[float | None],
) -> None: ...
def scalars(
    a: date,
    b: datetime,
    c: time,
    d: timedelta,
    e: UUID,
    f: Decimal,
    g: bytes,
    h: str,
    i: int,
    j: float,
    k: bool,
    l: Mood,  # noqa: E741
) -> None: ...


PLAIN = Codec(read_signature(plain, "plain"))
LOOSE = Codec(read_signature(loose, "loose"))
ORDERED = Codec(read_signature(ordered, "ordered"))
CONTAINERS = Codec(read_signature(containers, "containers"))
SCALARS = Codec(read_signature(scalars, "scalars"))

texts = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
any_texts = st.text(
    alphabet=st.characters(exclude_categories=[]) | st.sampled_from("\0\ud800\udfff\\u0N")
)
floats = st.floats(allow_nan=False, allow_infinity=False)
offsets = st.timedeltas(min_value=timedelta(hours=-23), max_value=timedelta(hours=23)).map(
    lambda d: timezone(timedelta(minutes=d // timedelta(minutes=1)))
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | floats | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
any_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | any_texts
    | st.dates()
    | st.uuids()
    | st.binary()
    | st.sampled_from(Mood),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(any_texts, inner, max_size=4)
        | st.tuples(inner, inner)
    ),
    max_leaves=20,
)


def storable(text: str) -> bool:
    """What both databases take: strict JSON in UTF-8, without NUL."""

    def no_constant(name: str) -> None:
        raise AssertionError(name)

    def no_nul(value: Any) -> bool:
        match value:
            case str():
                return "\0" not in value
            case list():
                return all(map(no_nul, value))
            case dict():
                return all(no_nul(key) and no_nul(part) for key, part in value.items())
        return True

    text.encode()
    return isinstance(tree := json.loads(text, parse_constant=no_constant), dict) and no_nul(tree)


@given(json_values)
def test_plain_json_comes_back_equal(value: Any) -> None:
    text = PLAIN.encode((value,), {}, LIMIT)
    assert storable(text)
    assert PLAIN.decode(text) == ((), {"value": value})


@given(any_values)
def test_anything_without_annotation_is_stored_whole_or_refused(value: Any) -> None:
    try:
        text = PLAIN.encode((value,), {}, LIMIT)
    except InvalidArguments as error:
        str(error).encode()
        return
    assert storable(text)
    assert PLAIN.decode(text)[1]["value"] == as_json(value)


@given(st.dictionaries(any_texts, any_values, max_size=4))
def test_anything_in_a_dictionary_is_stored_whole_or_refused(value: dict[str, Any]) -> None:
    try:
        text = LOOSE.encode((value,), {}, LIMIT)
    except InvalidArguments as error:
        str(error).encode()
        return
    assert storable(text)
    assert LOOSE.decode(text)[1]["value"] == as_json(value)


def as_json(value: Any) -> Any:
    match value:
        case tuple() | list():
            return [as_json(part) for part in value]
        case dict():
            return {key: as_json(part) for key, part in value.items()}
    return value


@given(
    st.tuples(
        st.dates(),
        st.datetimes(timezones=st.none() | st.just(UTC) | offsets).map(
            lambda moment: moment.replace(fold=0)
        ),
        st.times().map(lambda moment: moment.replace(fold=0)),
        st.timedeltas(),
        st.uuids(),
        st.decimals(allow_nan=False, allow_infinity=False),
        st.binary(),
        texts,
        st.integers(),
        floats,
        st.booleans(),
        st.sampled_from(Mood),
    )
)
def test_scalars_come_back_equal(values: tuple[Any, ...]) -> None:
    text = SCALARS.encode(values, {}, LIMIT)
    assert storable(text)
    _, rebuilt = SCALARS.decode(text)
    assert tuple(rebuilt.values()) == values
    assert [type(value) for value in rebuilt.values()] == [type(value) for value in values]
    assert str(rebuilt["f"]) == str(values[5])
    assert math.copysign(1, rebuilt["j"]) == math.copysign(1, values[9])


@given(
    st.tuples(
        st.lists(st.integers()),
        st.sets(st.dates()),
        st.lists(st.uuids()).map(tuple),
        st.dictionaries(st.integers(), st.binary()),
        st.frozensets(texts),
        st.lists(floats | st.none()),
    )
)
def test_containers_come_back_equal(values: tuple[Any, ...]) -> None:
    text = CONTAINERS.encode(values, {}, LIMIT)
    assert storable(text)
    assert tuple(CONTAINERS.decode(text)[1].values()) == values


@given(
    st.builds(
        Order,
        id=st.uuids(),
        lines=st.lists(
            st.builds(
                Line,
                sku=texts,
                price=st.decimals(allow_nan=False, allow_infinity=False),
                due=st.none() | st.dates(),
            ),
            max_size=3,
        ),
        moods=st.dictionaries(texts, st.sampled_from(Mood), max_size=3),
        weight=st.none() | floats,
        extra=st.dictionaries(texts, st.none() | st.integers() | texts, max_size=3),
    )
)
def test_models_come_back_equal(order: Order) -> None:
    text = ORDERED.encode((order,), {}, LIMIT)
    assert storable(text)
    assert ORDERED.decode(text) == ((), {"order": order})
