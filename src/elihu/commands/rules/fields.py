"""Checks the values that people give: all of them, then one error that names each field."""

import unicodedata
from collections.abc import Sequence
from enum import Enum
from typing import Any, Final
from uuid import UUID

from elihu import InvalidFields

LONGEST_NAME: Final = 200
_SHOWN: Final = 80


class Unset(Enum):
    """What a field that is not to be changed has in place of a value."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


class Fields:
    """Collects the values that are right, and what is wrong with the others.

    A value of ``UNSET`` is left out.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._errors: list[tuple[str, str]] = []

    def fail(self, field: str, detail: str) -> None:
        """Note what is wrong with a field."""
        self._errors.append((field, detail))

    def done(self) -> None:
        """Raise ``InvalidFields`` where something is wrong."""
        if self._errors:
            raise InvalidFields(*self._errors)

    def name(self, field: str, value: Any) -> None:
        """A name of 1 to 200 printable characters; its key is ``name_key``."""
        if value is UNSET:
            return
        text = _normal(value) if isinstance(value, str) else ""
        if not 1 <= len(text) <= LONGEST_NAME or not text.isprintable():
            self._refuse(field, f"a text of 1 to {LONGEST_NAME} printable characters", value)
            return
        self.values |= {field: text, f"{field}_key": name_key(text)}

    def text(
        self,
        field: str,
        value: Any,
        *,
        low: int = 0,
        high: int,
        none: bool = False,
        lines: bool = True,
    ) -> None:
        """A text of ``low`` to ``high`` bytes of UTF-8 without NUL."""
        if value is UNSET or (none and value is None):
            self._keep(field, value)
            return
        if not isinstance(value, str):
            self._refuse(field, f"a text of at most {high:,} bytes", value)
        elif "\0" in value or (not lines and not value.isprintable()):
            self._refuse(field, "a text without control characters", value)
        elif not low <= _size(value) <= high:
            self._refuse(field, f"a text of {low:,} to {high:,} bytes of UTF-8", value)
        else:
            self._keep(field, value)

    def flag(self, field: str, value: Any) -> None:
        """True or false."""
        if value is UNSET or isinstance(value, bool):
            self._keep(field, value)
        else:
            self._refuse(field, "true or false", value)

    def whole(self, field: str, value: Any, low: int, high: int, *, none: bool = False) -> None:
        """A whole number."""
        if value is UNSET or (none and value is None):
            self._keep(field, value)
        elif isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self._refuse(field, f"a whole number from {low:,} to {high:,}", value)
        else:
            self._keep(field, value)

    def seconds(self, field: str, value: Any, low: float, high: float) -> None:
        """A number of seconds, above ``low``."""
        if value is UNSET:
            return
        if isinstance(value, bool) or not isinstance(value, int | float) or not low < value <= high:
            self._refuse(field, f"seconds above {low:g} and up to {high:,.0f}", value)
        else:
            self._keep(field, float(value))

    def one_of(self, field: str, value: Any, known: Sequence[str]) -> None:
        """One of these words."""
        if value is UNSET or value in known:
            self._keep(field, value)
        else:
            self._refuse(field, f"one of {', '.join(known)}", value)

    def words(self, field: str, value: Any, known: Sequence[str]) -> None:
        """Some of these words, each once."""
        if value is UNSET:
            return
        if (
            isinstance(value, str)
            or not isinstance(value, Sequence)
            or not value
            or len(set(map(str, value))) != len(value)
            or not set(value) <= set(known)
        ):
            self._refuse(field, f"some of {', '.join(known)}, each once", value)
        else:
            self._keep(field, tuple(word for word in known if word in value))

    def ids(self, field: str, value: Any) -> None:
        """Ids, each once, in order."""
        if value is UNSET:
            return
        if not isinstance(value, list | tuple):
            self._refuse(field, "a list of ids", value)
        elif wrong := [each for each in value if not isinstance(each, UUID)]:
            self._refuse(field, "ids", wrong[0])
        elif len(set(value)) != len(value):
            self._refuse(field, "each id once", "one twice")
        else:
            self._keep(field, list(value))

    def _keep(self, field: str, value: Any) -> None:
        if value is not UNSET:
            self.values[field] = value

    def _refuse(self, field: str, expected: str, value: Any) -> None:
        got = value if value == "one twice" else repr(value)
        self.fail(field, f"expected {expected}, got {got:.{_SHOWN}}")


def name_key(name: str) -> str:
    """What is equal for two names that differ in case, or in how a character is
    written.
    """
    return _normal(name).casefold()


def _normal(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()


def _size(text: str) -> int:
    """Bytes of UTF-8; a lone surrogate makes it too large for any limit."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return 2**31
