"""Templates from tasks: what the code declares, and whether a person changed it."""

import hashlib
import inspect
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from elihu.api.template_fields import check_schema
from elihu.errors import InvalidOption
from elihu.task import Task
from elihu.template import NewTemplate, Template

_LONGEST_NAME: Final = 200
_OF_THE_CODE: Final = ("name", "task", "queue", "default_timeout", "default_max_attempts")


@dataclass(slots=True, kw_only=True)
class Synced:
    """The codes of the templates that ``sync`` created, updated, found unchanged, and
    kept as a person made them.
    """

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def declared(tasks: Iterable[Task[..., Any]]) -> list[NewTemplate]:
    """The templates that tasks declare, by code. Raises ``InvalidOption``,
    ``InvalidTask`` and ``InvalidSchema``.
    """
    found: dict[str, NewTemplate] = {}
    for task in tasks:
        if (code := task.options.template) is None:
            continue
        if code in found:
            raise InvalidOption(
                f"template {code!r}: expected one task to declare it, got {found[code].task} and "
                f"{task.name}"
            )
        new = NewTemplate(
            code=code,
            name=_name(task),
            task=task.name,
            queue=task.options.queue,
            schema=check_schema(task.codec.json_schema()),
            default_timeout=task.options.timeout,
            default_max_attempts=task.options.max_attempts,
        )
        found[code] = replace(new, synced=_digest(new, json.loads(new.schema)))
    return [found[code] for code in sorted(found)]


def is_as_declared(template: Template, new: NewTemplate) -> bool:
    """Whether the template equals what the code declares."""
    return template.synced == new.synced == _digest(template, template.schema)


def is_changed_by_hand(template: Template) -> bool:
    """Whether a person made the template or changed a declared field of it."""
    return template.synced != _digest(template, template.schema)


def _digest(template: NewTemplate | Template, schema: Any) -> str:
    values = [getattr(template, name) for name in _OF_THE_CODE]
    return hashlib.sha256(json.dumps([values, schema], sort_keys=True).encode()).hexdigest()


def _name(task: Task[..., Any]) -> str:
    """The first line of the function's docstring, or the task's name."""
    lines = (inspect.getdoc(task.fn) or "").splitlines()
    return (
        lines[0].strip().removesuffix(".")[:_LONGEST_NAME]
        if lines and lines[0].strip()
        else task.name
    )
