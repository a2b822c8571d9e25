"""Exceptions of other processes: how their types are stored, and how a waiting process
rebuilds them.
"""

import ast
import contextlib
import sys
from typing import Any, TypeVar

E = TypeVar("E", bound=BaseException)


def type_name(kind: type[BaseException]) -> str:
    """An exception's type in its stored form, ``module:qualname``."""
    return f"{kind.__module__}:{kind.__qualname__}"


def rebuild(name: str, error: str, traceback: str | None) -> Exception | None:
    """The exception of the type ``name`` with the stored text ``error``, and the remote
    traceback as a note.

    The type must be imported already, and no constructor runs: the stored row selects a
    type and executes nothing. None if there is no such ``Exception``, or if an instance
    without a constructor call does not have the same text.
    """
    kind = imported_type(name)
    if kind is None or not issubclass(kind, Exception):
        return None
    text = message_of(name, error)
    try:
        found = build_without_init(kind, (_argument(kind, text),))
        if str(found) != text:
            return None
    except Exception:
        return None
    return with_traceback(found, traceback)


def build_without_init(kind: type[E], args: tuple[Any, ...]) -> E:
    """An exception of this type with these arguments, made without the type's own
    constructor. May raise any error.
    """
    native: Any = next(base for base in kind.__mro__ if base.__module__ == "builtins")
    error: E = native.__new__(kind, *args)
    error.args = args
    return error


def imported_type(name: str) -> type[BaseException] | None:
    """The exception type of this name if this process has imported it. Uses no attribute
    access, which could import or run something.
    """
    module, _, qualname = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in qualname.split("."):
        try:
            found = vars(found).get(part)
        except TypeError:
            return None
    return found if isinstance(found, type) and issubclass(found, BaseException) else None


def message_of(name: str, error: str) -> str:
    """The text of the exception without its type's name."""
    kind = name.partition(":")[2]
    return "" if error == kind else error.removeprefix(f"{kind}: ")


def with_traceback(error: Exception, traceback: str | None) -> Exception:
    """``error`` with the remote traceback in a note."""
    if traceback:
        error.add_note(f"raised in another process:\n{traceback.rstrip()}")
    return error


def _argument(kind: type[Exception], text: str) -> Any:
    """The exception's argument: its text. The text of a ``KeyError`` is a literal."""
    if issubclass(kind, KeyError):
        with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            return ast.literal_eval(text)
    return text
