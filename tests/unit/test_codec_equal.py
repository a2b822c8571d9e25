"""A value that JSON would give back unequal is refused: arguments and results."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer, PrivateAttr

from elihu import InvalidArguments
from elihu.task import Codec, ResultNotStored
from elihu.task.signature import read_signature

OSLO = ZoneInfo("Europe/Oslo")
Cents = Annotated[int, AfterValidator(lambda euros: euros * 100)]
Halved = Annotated[int, PlainSerializer(lambda number: number // 2)]
Trimmed = Annotated[str, AfterValidator(str.strip)]


class Swapped(BaseModel):
    a: int = Field(alias="b")
    b: int = Field(alias="a")


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    x: int


class Excluded(BaseModel):
    shown: int = 1
    hidden: str = Field(default="default", exclude=True)


class Private(BaseModel):
    x: int
    _counted: int = PrivateAttr(default=0)

    def count(self) -> "Private":
        self._counted += 1
        return self


@dataclass
class Counter:
    x: int

    def __post_init__(self) -> None:
        self.x += 1


@dataclass
class Noted:
    x: int
    note: str = field(default="", compare=False)


class Prices(BaseModel):
    prices: dict[Any, Any]


REFUSED = [
    (dict, {1: "int", "1": "text"}),
    (dict, {1: "a"}),
    (dict, {None: "a"}),
    (dict, {True: "a"}),
    (dict, {1.5: "a"}),
    (dict, {"deep": {2: "b"}}),
    (dict, {"deep": [{"deeper": {2: "b"}}]}),
    (dict[Any, str], {1: "a"}),
    (Mapping, {1: "a"}),
    (list[dict[Any, Any]], [{}, {1: "a"}]),
    (Prices, Prices(prices={1: "a"})),
    (dict, {"set": {1, 2}}),
    (dict, {"number": Decimal(1)}),
    (Decimal | str, "1.1"),
    (Cents, 5),
    (list[Cents], [0, 5]),
    (dict[str, Cents], {"a": 5}),
    (Halved, 8),
    (Swapped, Swapped(a=1, b=2)),
    (Swapped, Swapped.model_validate({"a": 1, "b": 2})),
    (Open, Open.model_validate({"x": 1, "y": {1: "a"}})),
    (Excluded, Excluded(hidden="given")),
    (Private, Private(x=1).count()),
    (Counter, Counter(1)),
    (datetime, datetime(2026, 10, 25, 2, 30, fold=1)),  # noqa: DTZ001
    (time, time(2, 30, fold=1)),
    (time, time(2, 30, tzinfo=OSLO)),
    (list[datetime], [datetime(2026, 10, 25, 2, 30, fold=1)]),  # noqa: DTZ001
]

TAKEN = [
    (dict, {"a": {"b": [1, 2.5, None, True]}}),
    (dict[int, str], {1: "a", 2: "b"}),
    (dict[datetime, int], {datetime(2026, 1, 1, tzinfo=UTC): 1}),
    (Cents, 0),
    (Trimmed, "a"),
    (Swapped, Swapped.model_validate({"a": 1, "b": 1})),
    (Open, Open.model_validate({"x": 1, "y": "z"})),
    (Excluded, Excluded()),
    (Private, Private(x=1)),
    (Noted, Noted(1)),
    (datetime, datetime(2026, 10, 25, 2, 30)),  # noqa: DTZ001
    (datetime, datetime(2026, 1, 1, 12, tzinfo=OSLO)),
    (time, time(2, 30, tzinfo=UTC)),
]


def codec_of(annotation: Any) -> Codec:
    def task(it):
        return it

    task.__annotations__ = {"it": annotation, "return": annotation}
    return Codec(read_signature(task, "task"))


@pytest.mark.parametrize(("annotation", "value"), REFUSED)
def test_refused_as_an_argument(annotation: Any, value: Any):
    with pytest.raises(InvalidArguments, match="comes back equal") as raised:
        codec_of(annotation).encode((value,), {}, 10_000)
    assert (raised.value.field or "").startswith("it")


@pytest.mark.parametrize(("annotation", "value"), REFUSED)
def test_not_stored_as_a_result(annotation: Any, value: Any):
    with pytest.raises(ResultNotStored, match="comes back equal"):
        codec_of(annotation).encode_result(value, 10_000)


@pytest.mark.parametrize(("annotation", "value"), TAKEN)
def test_comes_back_equal(annotation: Any, value: Any):
    codec = codec_of(annotation)
    text = codec.encode((value,), {}, 10_000)

    assert codec.decode(text) == ((), {"it": value})
    assert codec.decode_result(codec.encode_result(value, 10_000)) == value


def test_an_aware_time_of_an_ambiguous_hour_keeps_its_moment():
    codec = codec_of(datetime)
    for fold in (0, 1):
        given = datetime(2026, 10, 25, 2, 30, tzinfo=OSLO, fold=fold)
        _, values = codec.decode(codec.encode((given,), {}, 1_000))
        assert values["it"].astimezone(UTC) == given.astimezone(UTC)


@pytest.mark.parametrize(
    ("annotation", "value", "words"),
    [
        (dict, {1: "a"}, "use texts for keys, or annotate their type"),
        (Cents, 5, "got 500, which comes back as 50000: what validators and serializers change"),
        (Decimal | str, "1.1", "use a type that only a str fits"),
    ],
)
def test_the_error_says_what_to_do(annotation: Any, value: Any, words: str):
    with pytest.raises(InvalidArguments) as raised:
        codec_of(annotation).encode((value,), {}, 10_000)
    assert words in str(raised.value)
