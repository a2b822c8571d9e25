"""Job kinds in the database, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTemplate:
    """A job kind to be stored: checked, with its schema already written as JSON.

    ``default_timeout`` is in seconds, None for no limit; ``synced`` tells what a
    synchronisation with the code writes, None for a person's.
    """

    code: str
    name: str
    task: str
    queue: str
    schema: str
    default_timeout: float | None
    default_max_attempts: int
    active: bool = True
    display_order: int = 0
    synced: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A job kind: which task runs, and what its context must look like.

    ``schema`` is a JSON Schema, ``default_timeout`` is in seconds, None for no limit.
    Lists are in the order of ``display_order`` and ``code``. ``revision`` changes with
    every change.
    """

    code: str
    name: str
    task: str
    queue: str
    schema: Mapping[str, Any]
    default_timeout: float | None
    default_max_attempts: int
    active: bool
    display_order: int
    inserted_at: datetime
    updated_at: datetime
    revision: str = field(repr=False)
    synced: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class TemplatePage:
    """One page of templates; ``next`` is what ``after=`` takes for the following page,
    or None at the end.
    """

    items: list[Template] = field(default_factory=list)
    next: str | None = None
