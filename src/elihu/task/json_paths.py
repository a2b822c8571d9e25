"""Looks inside values: what their parts are, where something is wrong, and what a round
trip through JSON lost.
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
"""Levels of nesting that are looked into; pydantic's own parser of JSON goes no deeper."""


_SIMPLE: Final = (NoneType, bool, int, float, str, bytes, date, time, timedelta, Decimal, UUID)
_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = 80


def show(value: Any) -> str:
    """``repr(value)``, cut to what an error message has room for."""
    return _repr.repr(value)


def parts(value: Any) -> Iterator[tuple[object, Any]]:
    """The parts of a container, model or dataclass with their keys, and nothing for
    anything else.
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
    """``path`` as people read it, ``order.lines.0.price``: what does not print is
    escaped, and long keys are cut.
    """
    return ".".join(
        "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(key)[:80]) for key in path
    )


def find(value: Any, wrong: Callable[[Any], bool]) -> Path | None:
    """The path of the first part, or of the first key, of which ``wrong`` is true; None
    where there is none.
    """
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


def find_lost(value: Any, rebuilt: Any, path: Path = ()) -> tuple[Path, Any, Any] | None:
    """The first part of ``value`` that came back as something else: its path, what it
    was, what it became.

    Something else is a simple value of another type, a model or dataclass of another
    class, and a masked secret. Another container of the same parts is not, nor the
    plain value of an enumeration that equals it.
    """
    if value is rebuilt:
        return None
    if _is_other(value, rebuilt):
        return path, value, rebuilt
    if len(path) < DEPTH and not isinstance(value, set | frozenset):
        holders = dict(parts(rebuilt))
        for key, part in parts(value):
            if key in holders and (lost := find_lost(part, holders[key], (*path, key))):
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
