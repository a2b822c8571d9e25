"""Texts of errors: of bounded size, and of characters that every database holds."""

import traceback as tracebacks
from typing import Final

from elihu.storable_text import clean

ERROR_LIMIT: Final = 8_192
TRACEBACK_LIMIT: Final = 32_768

_REMOTE: Final = "_elihu_traceback"


MOST_LEAVES: Final = 10
"""The most exceptions of a group that its text names."""


def describe(error: BaseException) -> str:
    """The error in one text: its type's name and its message. A group names its
    exceptions.
    """
    text = message_of(error)
    if isinstance(error, BaseExceptionGroup):
        text = f"{text}: {'; '.join(map(describe, error.exceptions[:MOST_LEAVES]))}"
    name = type(error).__qualname__
    return f"{name}: {text}" if text else name


def message_of(error: BaseException) -> str:
    """The error's message, also where ``str`` of it fails."""
    try:
        return str(error)
    except Exception:
        return "its text cannot be read"


def traceback_of(error: BaseException) -> str | None:
    """The error's traceback, that of the process where it was raised."""
    if (remote := getattr(error, _REMOTE, None)) is not None:
        return str(remote)
    if error.__traceback__ is None:
        return None
    try:
        return clean("".join(tracebacks.format_exception(error)), TRACEBACK_LIMIT, keep_end=True)
    except Exception:
        return None


def set_traceback(error: BaseException, text: str | None) -> None:
    """Let ``traceback_of`` return ``text``."""
    if text is not None:
        setattr(error, _REMOTE, text)
