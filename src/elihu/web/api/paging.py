"""Pages, and the texts of ids in them."""

from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel

T = TypeVar("T")

LONGEST_PAGE = 1_000


class Page(BaseModel, Generic[T]):
    """``next`` is ``after`` for the next page; null at the end."""

    items: list[T]
    next: str | None = None


def as_number(value: object) -> object:
    """A text of digits as the number that it means; anything else as it is."""
    is_number = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20
    return int(value) if is_number else value  # type: ignore[call-overload]


Limit = Annotated[int, Query(ge=1, le=LONGEST_PAGE, description="Items on a page at most.")]
After = Annotated[str | None, Query(max_length=1_000, description="The next of the page before.")]
