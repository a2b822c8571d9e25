"""The text of a validation error: expected X, got Y."""

import json
from collections.abc import Sequence
from typing import Any, Final

from jsonschema_rs import ValidationError
from jsonschema_rs import ValidationErrorKind as Kind

from elihu.task import show

FOLLOWED: Final = 3
"""Levels of nested alternatives that are spelled out."""

LONGEST: Final = 300
"""The most characters of an expectation."""


def problem(error: ValidationError) -> str:
    """The expected and the given value."""
    match error.kind:
        case Kind.Required():
            return f"{_expected(error, FOLLOWED)}, got none"
        case Kind.AdditionalProperties(unexpected) | Kind.UnevaluatedProperties(unexpected):
            return f"{_expected(error, FOLLOWED)}, got {', '.join(map(show, unexpected[:10]))}"
    return f"{_expected(error, FOLLOWED)}, got {show(error.instance)}"


def _expected(error: ValidationError, levels: int) -> str:
    wanted = _wanted(error, levels)
    return f"expected {wanted if len(wanted) <= LONGEST else wanted[:LONGEST] + '…'}"


def _wanted(error: ValidationError, levels: int) -> str:
    match error.kind:
        case Kind.Type(types):
            return _either(sorted(types, key=lambda name: (name == "null", name)))
        case Kind.Required(name):
            return f"a property {name!r}"
        case Kind.AdditionalProperties() | Kind.UnevaluatedProperties():
            return "no other properties"
        case Kind.Enum(options):
            more = ", …" if len(options) > 20 else ""
            return f"one of {', '.join(map(_json, options[:20]))}{more}"
        case Kind.Constant(value):
            return _json(value)
        case Kind.Minimum(limit):
            return f"a number of at least {limit}"
        case Kind.Maximum(limit):
            return f"a number of at most {limit}"
        case Kind.ExclusiveMinimum(limit):
            return f"a number above {limit}"
        case Kind.ExclusiveMaximum(limit):
            return f"a number below {limit}"
        case Kind.MultipleOf(factor):
            return f"a multiple of {factor}"
        case Kind.MinLength(limit):
            return f"at least {_several(limit, 'character')}"
        case Kind.MaxLength(limit):
            return f"at most {_several(limit, 'character')}"
        case Kind.MinItems(limit):
            return f"at least {_several(limit, 'item')}"
        case Kind.MaxItems(limit):
            return f"at most {_several(limit, 'item')}"
        case Kind.MinProperties(limit):
            return f"at least {limit} properties"
        case Kind.MaxProperties(limit):
            return f"at most {limit} properties"
        case Kind.Pattern(pattern):
            return f"text that the pattern {pattern!r} finds"
        case Kind.Format(name):
            return f"text in the format {name!r}"
        case Kind.UniqueItems():
            return "items of which no two are equal"
        case Kind.FalseSchema():
            return "no value here"
        case Kind.OneOfMultipleValid():
            return "a value that fits one of the alternatives, not several of them"
        case Kind.AnyOf(context) | Kind.OneOfNotValid(context):
            return _alternatives(error, context, levels)
    return f"a value that fits {error.kind.name!r} of the schema ({error.message})"


def _alternatives(
    error: ValidationError, context: Sequence[Sequence[ValidationError]], levels: int
) -> str:
    if levels == 0:
        return "a value that fits one of the alternatives"
    depth = len(error.instance_path)
    texts: dict[str, None] = {}
    for branch in context:
        parts = [
            ".".join(map(str, each.instance_path[depth:]))
            + (" " if len(each.instance_path) > depth else "")
            + _wanted(each, levels - 1)
            for each in branch[:3]
        ]
        texts[" and ".join(parts)] = None
    return _either(list(texts))


def _either(words: Sequence[str]) -> str:
    return (
        words[0]
        if len(words) == 1
        else f"{', '.join(words[:-1])} or {words[-1]}"
        if words
        else "another value"
    )


def _several(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
