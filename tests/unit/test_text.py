"""Text that every database can hold."""

import pytest

from elihu.storable_text import clean


@pytest.mark.parametrize(
    ("text", "limit", "expected"),
    [
        ("plain é", 20, "plain é"),
        ("a\0b", 20, "a␀b"),
        ("a\ud800b", 20, "a?b"),
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abcde…"),
    ],
)
def test_clean(text: str, limit: int, expected: str):
    assert clean(text, limit) == expected


def test_the_end_can_be_kept():
    assert clean("abcdefg", 6, keep_end=True) == "…cdefg"
