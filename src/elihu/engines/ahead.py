"""The parts of statements that claim jobs which wait in their node for a slot.

Such a part is a comment, ``/*ahead … ahead*/``: the statement of queues without
``prefetch`` lacks it.
"""

import re
from typing import Final

_PART: Final = re.compile(r"/\*ahead (.*?) ahead\*/", re.DOTALL)


def with_ahead(sql: str) -> str:
    """The statement with these parts."""
    return _PART.sub(r"\1", sql)


def without_ahead(sql: str) -> str:
    """The statement without these parts."""
    return _PART.sub("", sql)
