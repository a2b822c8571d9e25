"""Walks through nested values: their parts, the path of a wrong part, and the part
that a round trip through JSON changed.
"""

import reprlib
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any, Final
from uuid import UUID

from pydantic import BaseModel, Secret, SecretBytes, SecretStr

Path = tuple[object, ...]

DEPTH = 200
"""Levels of nesting that are searched. Pydantic's JSON parser goes no deeper."""


_SIMPLE: Final = (NoneType, bool, int, float, str, bytes, date, time, timedelta, Decimal, UUID)
_SECRETS: Final = (Secret, SecretStr, SecretBytes)
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

    A list in place of a tuple is no change, nor is the plain value that equals a member
    of an enumeration. Objects that Python compares by identity are compared by type.
    """
    if value is rebuilt or len(path) > DEPTH:
        return None
    if _is_simple(value) or _is_simple(rebuilt):
        return None if _is_same(value, rebuilt) else (path, value, rebuilt)
    if isinstance(value, dict) and isinstance(rebuilt, dict):
        return _find_changed_entry(value, rebuilt, path)
    if isinstance(value, list | tuple) and isinstance(rebuilt, list | tuple):
        if len(value) != len(rebuilt):
            return path, value, rebuilt
    elif type(value) is not type(rebuilt):
        return path, value, rebuilt
    elif not _has_fields(value):
        return None if _is_equal(value, rebuilt) else (path, value, rebuilt)
    after = dict(_compared(rebuilt))
    for key, part in _compared(value):
        if key not in after:
            return path, value, rebuilt
        if changed := find_changed(part, after[key], (*path, key)):
            return changed
    return None


def _find_changed_entry(
    value: dict[Any, Any], rebuilt: dict[Any, Any], path: Path
) -> tuple[Path, Any, Any] | None:
    keys = {key: key for key in rebuilt}
    for key, part in value.items():
        if key not in keys:
            return path, value, rebuilt
        if not _is_same(key, keys[key]) and _is_simple(key):
            return path, value, rebuilt
        if changed := find_changed(part, rebuilt[key], (*path, key)):
            return changed
    return (path, value, rebuilt) if len(value) != len(rebuilt) else None


def _is_simple(value: Any) -> bool:
    return isinstance(value, (*_SIMPLE, *_SECRETS))


def _is_same(value: Any, rebuilt: Any) -> bool:
    if isinstance(value, _SECRETS):
        return bool(value == rebuilt)
    if isinstance(value, time | datetime) and isinstance(rebuilt, time | datetime):
        # Python calls times equal whose fold or zone differs, and unequal some that are one moment.
        return (
            value.replace(tzinfo=None, fold=0) == rebuilt.replace(tzinfo=None, fold=0)
            and value.utcoffset() == rebuilt.utcoffset()
            and (value.tzinfo is None) == (rebuilt.tzinfo is None)
            and (value.tzinfo is not None or value.fold == rebuilt.fold)
        )
    if not isinstance(value, type(rebuilt)) and not (type(value) is int and type(rebuilt) is float):
        return False
    return _is_equal(value, rebuilt)


def _is_equal(value: Any, rebuilt: Any) -> bool:
    if "__eq__" not in {name for kind in type(value).__mro__[:-1] for name in vars(kind)}:
        return True  # Python compares such objects by identity
    try:
        return bool(value == rebuilt)
    except Exception:  # the type's own comparison cannot tell
        return True


def _has_fields(value: Any) -> bool:
    return isinstance(value, BaseModel | list | tuple) or is_dataclass(value)


def _compared(value: Any) -> Iterator[tuple[object, Any]]:
    """The parts that decide whether two values are equal."""
    if isinstance(value, BaseModel):
        yield from vars(value).items()
        yield from (value.__pydantic_extra__ or {}).items()
        yield from (value.__pydantic_private__ or {}).items()
    elif is_dataclass(value) and not isinstance(value, type):
        yield from (
            (field.name, getattr(value, field.name))
            for field in fields(value)
            if field.compare and hasattr(value, field.name)
        )
    else:
        yield from enumerate(value)
