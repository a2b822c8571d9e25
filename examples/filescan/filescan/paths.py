"""Paths as text that JSON and both databases can hold: percent-encoded, since the name
of a file is bytes of any encoding.
"""

import os
from urllib.parse import quote, unquote_to_bytes


def write_path(path: str) -> str:
    """The text of a path as the operating system gives it."""
    return quote(os.fsencode(path))


def read_path(text: str) -> str:
    """The path of such a text."""
    return os.fsdecode(unquote_to_bytes(text))
