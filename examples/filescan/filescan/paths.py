"""Paths as percent-encoded text, since a file name may hold any bytes and JSON cannot."""

import os
from urllib.parse import quote, unquote_to_bytes


def write_path(path: str) -> str:
    """Encode a path."""
    return quote(os.fsencode(path))


def read_path(text: str) -> str:
    """Decode a path."""
    return os.fsdecode(unquote_to_bytes(text))
