"""The fields of a template and their checks."""

import json
from collections.abc import Mapping
from typing import Any, Final, TypedDict

from elihu.duration import Duration
from elihu.errors import InvalidOption, InvalidSchema
from elihu.json_schema import LARGEST, compiled
from elihu.options import check_range
from elihu.task import Registry, check_bool, check_meta, check_name, check_timeout

DEFAULT_TIMEOUT: Final = 3600.0
DEFAULT_MAX_ATTEMPTS: Final = 4

_LARGEST_ORDER: Final = 2**31 - 1


class TemplateFields(TypedDict, total=False):
    """Fields that ``update`` changes."""

    name: str
    task: str
    queue: str
    schema: Mapping[str, Any]
    default_timeout: Duration | None
    default_max_attempts: int
    active: bool
    display_order: int


class Checks:
    """Checks fields. Task names are checked against the tasks of this app."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def field(self, name: str, value: Any) -> Any:
        """The value in its stored form. Raises ``InvalidOption``, ``InvalidSchema`` and
        ``UnknownTask``.
        """
        match name:
            case "name":
                return check_name("name", value)
            case "task":
                return self.task(value)
            case "queue":
                return check_name("queue", value)
            case "schema":
                return check_schema(value)
            case "default_timeout":
                return check_timeout("default_timeout", value)
            case "default_max_attempts":
                return check_range("default_max_attempts", value, 1, 1_000_000)
            case "active":
                return check_bool("active", value)
            case "display_order":
                return check_range("display_order", value, -_LARGEST_ORDER, _LARGEST_ORDER)
        names = ", ".join(sorted(TemplateFields.__optional_keys__))
        raise InvalidOption(f"template: expected a field out of {names}, got {name!r}")

    def task(self, name: Any) -> str:
        """The name of a task. Raises ``UnknownTask`` if this app has tasks but not this
        one.
        """
        checked = check_name("task", name)
        return self._registry.get(checked).name if len(self._registry) else checked

    def queue_of(self, task: str) -> str:
        """The queue of a task, ``default`` if this app does not know the task."""
        return self._registry.get(task).options.queue if task in self._registry else "default"


def check_schema(value: Any) -> str:
    """The JSON text of a valid schema. Raises ``InvalidSchema``."""
    try:
        text = check_meta("schema", value, LARGEST)[1] or "{}"
    except InvalidOption as error:
        raise InvalidSchema(str(error)) from error
    compiled(text)
    return text


def as_text(schema: Mapping[str, Any]) -> str:
    """The JSON text of a stored schema."""
    return json.dumps(schema, ensure_ascii=False)
