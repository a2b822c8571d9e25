"""Walks through nested values: their parts, the path of a wrong part, and the part
that a round trip through JSON changed.
"""

import reprlib
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, Secret, SecretBytes, SecretStr

Path = tuple[object, ...]

DEPTH = 200
"""Levels of nesting that are searched. Pydantic's JSON parser goes no deeper."""


_SIMPLE: Final = (NoneType, bool, int, float, str, bytes, date, time, timedelta, Decimal, UUID)
_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 80


def show(value: Any) -> str:
    """``repr(value)``, cut to a length that suits an error message."""
    return _repr.repr(value)


def parts(value: Any) -> Iterator[tuple[object, Any]]:
    """The parts of a container, model or dataclass with their keys; nothing for any
    other value.
    """
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from enumerate(value)
    elif isinstance(value, BaseModel):
        yield from vars(value).items()
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            if hasattr(value, field.name):
                yield field.name, getattr(value, field.name)


def dotted(path: Path) -> str:
    """``path`` in readable form, ``order.lines.0.price``. Characters that do not print
    are escaped; long keys are cut.
    """
    return ".".join(
        "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(key)[:80]) for key in path
    )


def find(value: Any, wrong: Callable[[Any], bool]) -> Path | None:
    """The path of the first part or key for which ``wrong`` is true, else None."""
    pending: list[tuple[Path, Any]] = [((), value)]
    seen: set[int] = set()
    while pending:
        path, value = pending.pop()
        if wrong(value):
            return path
        inner = [((*path, key), part) for key, part in parts(value)]
        if not inner or id(value) in seen or len(path) > DEPTH:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            for key_path, _ in inner:
                if wrong(key_path[-1]):
                    return key_path
        pending.extend(reversed(inner))
    return None


def find_changed(value: Any, rebuilt: Any, path: Path = ()) -> tuple[Path, Any, Any] | None:
    """The first part of ``value`` that a round trip changed: its path, the part before
    and the part after.

    A change is another simple value or type, a model or dataclass of another class, or
    a masked secret. Another container of equal parts is no change, nor is the plain
    value that equals a member of an enumeration.
    """
    if value is rebuilt:
        return None
    if _is_other(value, rebuilt):
        return path, value, rebuilt
    if len(path) < DEPTH and not isinstance(value, set | frozenset):
        holders = dict(parts(rebuilt))
        for key, part in parts(value):
            if key in holders and (lost := find_changed(part, holders[key], (*path, key))):
                return lost
    return None


def _is_other(value: Any, rebuilt: Any) -> bool:
    if isinstance(value, Secret | SecretStr | SecretBytes):
        return bool(value != rebuilt)
    if type(value) is type(rebuilt):
        return False
    if isinstance(rebuilt, _SIMPLE):
        return not isinstance(value, type(rebuilt)) or bool(value != rebuilt)
    return isinstance(value, BaseModel) or is_dataclass(value)
