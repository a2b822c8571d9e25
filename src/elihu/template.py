"""Templates, which are job kinds in the database, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTemplate:
    """A template to be stored: checked, with its schema as JSON text.

    ``default_timeout`` is in seconds, None for no limit. ``synced`` is the digest of
    what ``app.templates.sync()`` wrote, None for a template that a person made.
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
    """A job kind: its task, and the JSON Schema of its context.

    ``default_timeout`` is in seconds, None for no limit. Lists are ordered by
    ``display_order`` and ``code``. Every change makes a new ``revision``.
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
    """One page of templates. ``next`` is ``after=`` for the next page, None at the end."""

    items: list[Template] = field(default_factory=list)
    next: str | None = None
