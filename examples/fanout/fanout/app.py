"""The app: one task, of which each job counts the words of a part of a text on whatever
node takes it.
"""

import re
from collections import Counter
from collections.abc import Iterator

from elihu import Elihu

WORD = re.compile(r"[^\W\d_]+")

app = Elihu()


@app.task(name="fanout.count", queue="words", max_attempts=3, backoff=0)
def count(part: str) -> dict[str, int]:
    """How often each word stands in the part, in small letters."""
    return Counter(WORD.findall(part.lower()))


def split(text: str, parts: int) -> Iterator[str]:
    """At most so many parts of about the same number of lines."""
    lines = text.splitlines(keepends=True)
    size = max(1, -(-len(lines) // parts))
    for start in range(0, len(lines), size):
        yield "".join(lines[start : start + size])
