"""Exceptions on their way from a child to its node."""

import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from elihu.remote_errors import build_without_init, imported_type, type_name
from elihu.runtime.attempts.error_text import ERROR_LIMIT, message_of, set_traceback, traceback_of
from elihu.storable_text import clean
from elihu.task import check_meta, importable_name

_HERE: Final = f"{Path(__file__).parents[1]}/"

MOST_GROUPED: Final = 20
"""The most exceptions of a group that cross."""

LARGEST_FIELDS: Final = 65_536
"""Bytes of JSON of an error's arguments, and of its attributes, that cross; larger ones
stay behind.
"""


def pack(error: BaseException) -> dict[str, Any]:
    """The error as plain JSON: its types, what it says, where it was raised, and what
    of its contents is plain JSON itself.
    """
    error.__traceback__ = _of_the_task(error.__traceback__)
    return {
        "types": [
            type_name(each) for each in type(error).__mro__ if issubclass(each, BaseException)
        ],
        "text": clean(message_of(error), 2 * ERROR_LIMIT),
        "group": [pack(each) for each in error.exceptions[:MOST_GROUPED]]
        if isinstance(error, BaseExceptionGroup)
        else None,
        "traceback": traceback_of(error),
        "args": _plain({"args": list(error.args)}).get("args"),
        "fields": {
            name: value
            for field in vars(error).items()
            for name, value in _plain(dict([field])).items()
        },
    }


def unpack(packed: Mapping[str, Any]) -> BaseException:
    """The error rebuilt without a call of its ``__init__``: of its own type where this
    process has imported that, else of a stand-in of the same name that belongs to the
    nearest type imported here.
    """
    if packed["group"]:
        message = packed["text"].rpartition(" (")[0]  # without the number of its exceptions
        group = BaseExceptionGroup(message, [unpack(each) for each in packed["group"]])
        set_traceback(group, packed["traceback"])
        return group
    own, base = next(
        (index == 0, found) for index, found in enumerate(map(_imported, packed["types"])) if found
    )
    error = _made(base, packed) if own else None
    if error is None or message_of(error) != packed["text"]:
        error = _stand_in(base, packed)
    set_traceback(error, packed["traceback"])
    return error


def _of_the_task(traceback: TracebackType | None) -> TracebackType | None:
    """The traceback without the frames of this package that lead to the task; whole
    where there are no others.
    """
    own = traceback
    while own and own.tb_frame.f_code.co_filename.startswith(_HERE):
        own = own.tb_next
    return own or traceback


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return check_meta("", fields, LARGEST_FIELDS)[0]
    except Exception:
        return {}


def _imported(name: str) -> type[BaseException] | None:
    """The exception type of this name, if it is here without an import; the child knows
    the program itself by another name.
    """
    module, _, qualname = name.partition(":")
    if module not in sys.modules and module == importable_name("__main__"):
        return imported_type(f"__main__:{qualname}")
    return imported_type(name)


def _made(kind: type[BaseException], packed: Mapping[str, Any]) -> BaseException | None:
    try:
        error = build_without_init(
            kind, tuple(packed["args"] if packed["args"] is not None else [packed["text"]])
        )
        vars(error).update(packed["fields"])
    except Exception:
        return None
    return error


def _stand_in(base: type[BaseException], packed: Mapping[str, Any]) -> BaseException:
    module, _, name = packed["types"][0].partition(":")
    text = packed["text"]
    body = {"__module__": module, "__qualname__": name, "__str__": lambda self: text}
    for each in base.__mro__:
        try:
            kind = type(name.rpartition(".")[2], (each,), body)
        except TypeError:  # not meant to have subclasses
            continue
        if (error := _made(kind, packed)) is not None:
            return error
    return RuntimeError(text)
