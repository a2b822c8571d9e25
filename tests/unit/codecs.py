"""Types for tests of the codec, and short ways to use it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any
from uuid import UUID

import pytest
import typing_extensions
from pydantic import BaseModel, ConfigDict, Field, Json, computed_field

from elihu.errors import InvalidArguments, InvalidTask
from elihu.task.codec import Codec
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


def nested(levels: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value
