"""The app: a task that counts the words of one part of a text."""

import re
from collections import Counter
from collections.abc import Iterator

from elihu import Elihu

WORD = re.compile(r"[^\W\d_]+")

app = Elihu()


@app.task(name="fanout.count", queue="words", max_attempts=3, backoff=0)
def count(part: str) -> dict[str, int]:
    """Count each word of the part, in lower case."""
    return Counter(WORD.findall(part.lower()))


def split(text: str, parts: int) -> Iterator[str]:
    """Split a text into at most ``parts`` parts with about the same number of lines."""
    lines = text.splitlines(keepends=True)
    size = max(1, -(-len(lines) // parts))
    for start in range(0, len(lines), size):
        yield "".join(lines[start : start + size])
