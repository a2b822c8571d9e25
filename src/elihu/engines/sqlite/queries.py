"""The statements in ``sql/``: a file for each verb, VERB_part.sql for a part of it."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

from elihu.engines.sqlite.rows import ROWS, TEXT_ROWS

T = TypeVar("T")

_FOLDER: Final = Path(__file__).with_name("sql")

LARGEST: Final = 512
"""Rows of values in one statement. A row has at most 18 values; SQLite's limit is 32,766
parameters.
"""


def statement(name: str) -> str:
    """The statement of ``sql/<name>.sql``, without its comment lines and with the columns
    of a job at their mark.
    """
    lines = (_FOLDER / f"{name}.sql").read_text("utf-8").splitlines()
    text = "\n".join(line for line in lines if not line.startswith("--"))
    return TEXT_ROWS.select(ROWS.select(text))


@cache
def with_rows(text: str, rows: int, width: int) -> str:
    """The statement with ``{rows}`` made into ``rows`` rows of ``width`` parameters."""
    row = f"({', '.join('?' * width)})"
    return text.replace("{rows}", ", ".join([row] * rows))


def portions(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """``items`` in order, in portions whose sizes are powers of two, so that few
    statements are prepared.
    """
    start = 0
    while left := len(items) - start:
        size = min(LARGEST, 1 << (left.bit_length() - 1))
        yield items[start : start + size]
        start += size


def flat(rows: Sequence[Sequence[Any]]) -> list[Any]:
    """The values of all rows in one list."""
    return [value for row in rows for value in row]
