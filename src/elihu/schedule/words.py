"""Describes a cron expression in English."""

import calendar
from itertools import groupby
from typing import Final

from elihu.schedule.grammar import Expression

REBOOT_WORDS: Final = "When a node starts while no other node is alive"


def describe(expression: Expression) -> str:
    """An English sentence without a final full stop, with 24-hour times."""
    fields = [_field(expression, number) for number in range(5)]
    if fields[2] == "*" or fields[4] == "*" or not expression.both_days:
        return _sentence(fields)
    # The library joins the two day fields by "or", even where both must match.
    days = " or ".join(
        calendar.day_name[(day - 1) % 7]
        for day in sorted({day % 7 for day in expression.values(4)})
    )
    return f"{_sentence([*fields[:4], '*'])}, if that is a {days}"


def _field(expression: Expression, number: int) -> str:
    """The field in the form that the library reads correctly: each value once, no step
    past the end, no star in a list.
    """
    terms = expression.fields[number]
    if any(term.text == "*" for term in terms):
        return "*"
    if len(terms) > 1 and all(term.values.step == 1 for term in terms):
        return _ranges(
            sorted({value % 7 if number == 4 else value for value in expression.values(number)})
        )
    texts = {
        frozenset(value % 7 for value in term.values) if number == 4 else term.values: _text(
            term.text, term.values
        )
        for term in terms
    }
    return ",".join(texts.values())


def _text(text: str, values: range) -> str:
    return str(values[0]) if len(values) == 1 else text


def _ranges(values: list[int]) -> str:
    """Sorted numbers as a list in which three or more consecutive ones are a range."""
    rows = [list(row) for _, row in groupby(values, key=lambda value: value - values.index(value))]
    return ",".join(
        f"{row[0]}-{row[-1]}" if len(row) > 2 else ",".join(map(str, row)) for row in rows
    )


def _sentence(fields: list[str]) -> str:
    from cron_descriptor import ExpressionDescriptor, Options

    return str(
        ExpressionDescriptor(
            " ".join(fields), Options(use_24hour_time_format=True, locale_code="en_US")
        ).get_description()
    )
