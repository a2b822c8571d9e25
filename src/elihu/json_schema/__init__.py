"""JSON Schema (2020-12): checked when stored, compiled once, with bounded work."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from elihu.json_schema.validator import Schema

LARGEST: Final = 65_536
"""Bytes of JSON that a schema may have."""


def compiled(text: str) -> "Schema":
    """The schema of this JSON text, compiled once. Raises ``InvalidSchema``."""
    from elihu.json_schema import validator

    return validator.compiled(text)
