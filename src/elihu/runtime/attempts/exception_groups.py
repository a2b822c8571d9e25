"""Exception groups of tasks: a group whose leaves agree counts as its leaf."""

from contextlib import suppress
from typing import Any

from elihu.outcome import Outcome, Retry, Snooze
from elihu.runtime.attempts.error_text import message_of, set_traceback, traceback_of


def leaves(error: BaseException) -> list[BaseException]:
    """The exceptions inside nested groups, in order; of any other error that error."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [leaf for each in error.exceptions for leaf in leaves(each)]


def agreed(error: BaseException) -> BaseException:
    """The leaf that ``error`` counts as if it is a group, otherwise ``error``.

    Leaves agree if they are one kind of outcome, of which the longest delay holds, or
    errors with the same type and text. The leaf gets the group's traceback.
    """
    if not isinstance(error, BaseExceptionGroup):
        return error
    found = leaves(error)
    first = found[0]
    if any(type(leaf) is not type(first) for leaf in found):
        return error
    if isinstance(first, Outcome):
        return max(found, key=_delay)
    if any(message_of(leaf) != message_of(first) for leaf in found):
        return error
    with suppress(Exception):  # a type may refuse new attributes
        set_traceback(first, traceback_of(error))
    return first


def all_are(error: BaseException, kinds: tuple[type[BaseException], ...]) -> bool:
    """Whether ``error``, or each leaf of a group, is of one of these types."""
    return isinstance(error, kinds) or all(isinstance(leaf, kinds) for leaf in leaves(error))


def _delay(outcome: Any) -> float:
    return (outcome.delay or 0.0) if isinstance(outcome, Snooze | Retry) else 0.0
