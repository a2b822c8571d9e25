"""The grammar of Debian's cron: five fields, each a list of values, ranges and steps."""

import calendar
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NamedTuple

from elihu.errors import InvalidCron

LONGEST: Final = 1_000
REBOOT: Final = "@reboot"
NICKNAMES: Final = MappingProxyType(
    {
        "@hourly": "0 * * * *",
        "@daily": "0 0 * * *",
        "@midnight": "0 0 * * *",
        "@weekly": "0 0 * * 0",
        "@monthly": "0 0 1 * *",
        "@yearly": "0 0 1 1 *",
        "@annually": "0 0 1 1 *",
    }
)
_FOREIGN: Final = "LW#?"
_LONGEST_MONTH: Final = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class Field(NamedTuple):
    """The allowed values of one field: ``low`` to ``high``, or ``names``, where the
    first name means ``low``.
    """

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    @property
    def every(self) -> range:
        return range(self.low, self.high + 1)


FIELDS: Final = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of the month", 1, 31),
    Field("month", 1, 12, tuple(name.upper() for name in calendar.month_abbr[1:])),
    Field("day of the week", 0, 7, ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")),
)


class Term(NamedTuple):
    """One part of a list: its text in numbers, and the values that it covers."""

    text: str
    values: range


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed cron expression: its fields as lists of terms."""

    fields: tuple[tuple[Term, ...], ...]
    stars: tuple[bool, ...]
    """Which fields start with ``*``."""

    def values(self, field: int) -> frozenset[int]:
        """The values that a field covers."""
        return frozenset(value for term in self.fields[field] for value in term.values)

    @property
    def wild(self) -> bool:
        """Whether the minute or the hour starts with ``*``, so that daylight saving
        does not shift it.
        """
        return self.stars[0] or self.stars[1]

    @property
    def both_days(self) -> bool:
        """Whether both day fields must match, instead of one of them."""
        return self.stars[2] or self.stars[4]

    @property
    def text(self) -> str:
        """The five fields in numbers."""
        return " ".join(",".join(term.text for term in terms) for terms in self.fields)


def read_expression(text: str) -> Expression:
    """Parse an expression other than ``@reboot``. Raises ``InvalidCron``, which names
    the field.
    """
    parts = NICKNAMES.get(text.lower(), text).split()
    if text.startswith("@") and text.lower() not in NICKNAMES:
        raise refusal(text, None, f"one of {', '.join((*NICKNAMES, REBOOT))}", repr(text))
    if len(parts) != len(FIELDS):
        names = ", ".join(field.name for field in FIELDS)
        raise refusal(text, None, f"five fields ({names})", f"{len(parts)}")
    expression = Expression(
        tuple(tuple(_terms(text, field, part)) for field, part in zip(FIELDS, parts, strict=True)),
        tuple(part.startswith("*") for part in parts),
    )
    _check_that_it_fires(text, expression)
    return expression


def refusal(text: str, field: str | None, expected: str, got: str) -> InvalidCron:
    """Build an ``InvalidCron`` from the expression, field, expectation and value."""
    shown = text if len(text) <= 80 else f"{text[:80]}…"
    where = f"cron {shown!r}: {field}: " if field else f"cron {shown!r}: "
    return InvalidCron(f"{where}expected {expected}, got {got}", field=field)


def _terms(text: str, field: Field, part: str) -> list[Term]:
    return [_term(text, field, term) for term in part.upper().split(",")]


def _term(text: str, field: Field, term: str) -> Term:
    wanted, slash, step_text = term.partition("/")
    if wanted == "*":
        values = field.every
    else:
        low_text, dash, high_text = wanted.partition("-")
        low = _number(text, field, low_text, term)
        high = _number(text, field, high_text, term) if dash else low
        if slash and not dash:
            raise refusal(
                text,
                field.name,
                f"* or a range before a step, such as {wanted}-{field.high}/{step_text}",
                repr(term),
            )
        if high < low:
            raise refusal(
                text, field.name, "a range that goes up", f"{term!r}{_sunday(field, high_text)}"
            )
        values = range(low, high + 1)
    if slash:
        if not _is_number(step_text) or int(step_text) == 0:
            raise refusal(text, field.name, "a whole number from 1 on as a step", repr(step_text))
        values = values[:: int(step_text)]
    return Term(_in_numbers(field, wanted, step_text, values), values)


def _in_numbers(field: Field, wanted: str, step: str, values: range) -> str:
    step = step if values.step > 1 else ""
    if wanted == "*":
        return f"*/{step}" if step else "*"
    if len(values) == 1:
        return str(values[0])
    whole = f"{values[0]}-{values[-1]}"
    return f"{whole}/{values.step}" if step else whole


def _number(text: str, field: Field, word: str, term: str) -> int:
    if word in field.names:
        return field.low + field.names.index(word)
    expected = f"a whole number from {field.low} to {field.high}" + (
        f" or a name such as {field.names[1]}" if field.names else ""
    )
    if any(mark in word for mark in _FOREIGN):
        raise refusal(
            text, field.name, f"{expected} (Debian's cron has no L, W, # and ?)", repr(term)
        )
    if not _is_number(word) or int(word) not in field.every:
        raise refusal(text, field.name, expected, word if _is_number(word) else repr(word or term))
    return int(word)


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= 4


def _sunday(field: Field, word: str) -> str:
    return (
        " (at the end of a range Sunday is 7)" if word in field.names[:1] and field.low == 0 else ""
    )


def _check_that_it_fires(text: str, expression: Expression) -> None:
    if not expression.both_days:
        return  # every month has each weekday
    first = min(expression.values(2))
    if all(first > _LONGEST_MONTH[month] for month in expression.values(3)):
        months = " or ".join(calendar.month_name[month] for month in sorted(expression.values(3)))
        raise refusal(
            text,
            FIELDS[2].name,
            f"a day that {months} can have",
            f"{first}, so that it would never fire",
        )
