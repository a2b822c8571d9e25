"""Compiled schemas. This module alone calls the validator."""

import json
from functools import lru_cache
from typing import Any, Final, NoReturn

import jsonschema_rs
from jsonschema_rs import ValidationError

from elihu.errors import InvalidSchema
from elihu.json_schema.structure import DIALECT, Structure, check_depth, pointer
from elihu.json_schema.words import problem
from elihu.task import show

MOST_STEPS: Final = 5_000_000
"""The most work for a value, estimated from its size alone."""

MOST_COUNTED: Final = 300_000
"""The most work for a value, counted exactly, at about a microsecond a step."""

MOST_LISTED: Final = 50_000
"""The most work for a value whose errors are listed: the validator takes much longer
to list errors than to refuse.
"""

MOST_PROBLEMS: Final = 50
"""The most errors that are listed."""

_PATTERNS: Final = jsonschema_rs.RegexOptions(size_limit=1_048_576, dfa_size_limit=1_048_576)
"""Linear-time patterns: without look-around and back-references."""

Problem = tuple[str, str]
"""A place as a JSON Pointer, and the problem there."""


class Schema:
    """A JSON Schema of the draft 2020-12, its formats included, compiled from its JSON
    text. Raises ``InvalidSchema``.

    Compilation and checks read neither files nor the network, and end in bounded time
    for any schema and value.
    """

    def __init__(self, text: str) -> None:
        try:
            root = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidSchema(f"schema: expected JSON, got {show(text)} ({error})") from error
        if not isinstance(root, dict):
            raise InvalidSchema(f"schema: expected an object, got {show(root)}")
        check_depth(root)
        try:
            jsonschema_rs.meta.validate(root | {"$schema": DIALECT})
            self._structure = Structure(root)
            self._validator = jsonschema_rs.Draft202012Validator(
                root, validate_formats=True, pattern_options=_PATTERNS, retriever=_refuse_to_read
            )
        except ValidationError as error:
            place = pointer(error.instance_path)
            raise InvalidSchema(f"schema{place}: {problem(error)}", place=place) from error

    def problems(self, value: Any, size: int) -> list[Problem]:
        """The problems of ``value``, whose JSON has ``size`` characters, in order of
        places. Empty if it fits.
        """
        structure = self._structure
        if (
            structure.width * size > MOST_STEPS
            and structure.steps(value, MOST_COUNTED) > MOST_COUNTED
        ):
            return [
                (
                    "",
                    (
                        "expected a value that can be checked in bounded time, got one that is too "
                        "large or too deep for this schema"
                    ),
                )
            ]
        if self._validator.is_valid(value):
            return []
        if structure.steps(value, MOST_LISTED) > MOST_LISTED:
            return [
                (
                    "",
                    (
                        "expected a value that fits the schema, got one that is too large to list "
                        "its errors"
                    ),
                )
            ]
        errors = sorted(self._validator.iter_errors(value), key=_in_order)
        found = list(
            dict.fromkeys(
                (pointer(error.instance_path), problem(error)) for error in errors[:MOST_PROBLEMS]
            )
        )
        more = len(errors) - MOST_PROBLEMS
        return [*found, *([("", f"and {more:,} errors more")] if more > 0 else [])]


@lru_cache(maxsize=256)
def compiled(text: str) -> Schema:
    """The schema of this JSON text, compiled once. Raises ``InvalidSchema``."""
    return Schema(text)


def _in_order(error: ValidationError) -> tuple[list[tuple[bool, str | int]], str]:
    return [(isinstance(step, str), step) for step in error.instance_path], error.message


def _refuse_to_read(uri: str) -> NoReturn:
    raise InvalidSchema(
        f"schema: expected references inside the schema, got {uri!r}: nothing is read from "
        "elsewhere"
    )
