"""The type of parameters without annotation: plain JSON, stored unchanged."""

import math
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationInfo

from elihu.task.json_paths import Path

DEPTH = 100
"""The most levels of nesting."""


class NotPlainJson(ValueError):
    """A value without a JSON form; ``path`` leads to it."""

    def __init__(self, expected: str, value: Any, path: Path) -> None:
        super().__init__(expected, value, path)
        self.expected = expected
        self.value = value
        self.path = path


def check_plain(value: Any, path: Path = ()) -> Any:
    """Return ``value`` if it consists of texts, finite numbers, booleans, None, lists,
    tuples and dictionaries with text keys.

    A tuple is stored as a list. Raises ``NotPlainJson``.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        if not (value.isascii() or _is_unicode(value)):
            raise NotPlainJson("text without lone surrogates", value, path)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise NotPlainJson("a finite number", value, path)
    elif len(path) > DEPTH:
        raise NotPlainJson(f"at most {DEPTH} levels of nesting", value, ())
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            check_plain(part, (*path, index))
    elif isinstance(value, dict):
        for key, part in value.items():
            if not isinstance(key, str):
                raise NotPlainJson("texts for keys", key, path)
            check_plain(key, (*path, key))
            check_plain(part, (*path, key))
    else:
        raise NotPlainJson(
            f"plain JSON (for a {type(value).__qualname__}, annotate the parameter with its type)",
            value,
            path,
        )
    return value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _validate(value: Any, info: ValidationInfo) -> Any:
    return value if info.mode == "json" else check_plain(value)


Plain = Annotated[Any, AfterValidator(_validate)]
