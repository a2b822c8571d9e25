"""The columns of a job that statements read, and the job made from such a row.

A statement selects the columns at the mark ``/* job columns */``, in the order of
``JOB_COLUMNS``. A statement for a caller's connection has the mark
``/* job columns as text */``: its row is one JSON array, with times in microseconds.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from elihu.job import Job, JobPage, JobState

JOB_COLUMNS: Final = (
    "id", "state", "queue", "task", "args", "meta", "tags", "priority", "attempt", "max_attempts",
    "unique_key", "inserted_at", "scheduled_at", "started_at", "finished_at", "reason", "result",
    "progress", "node", "template", "identifier", "expires_at", "occurrence",
)  # fmt: skip
"""The fields of ``Job`` that are columns, in the order of every row."""
JOB_TIMES: Final = frozenset(
    name for name in JOB_COLUMNS if name.endswith("_at") or name == "occurrence"
)
JOB_JSON: Final = frozenset({"args", "meta", "result", "progress"})

STARTED_AT: Final = "CASE WHEN state = 'executing' AND ahead = claim THEN NULL ELSE started_at END"
"""The expression of a job's start: one that waits in its node for a slot has none."""

COLUMNS: Final = "/* job columns */"
COLUMNS_AS_TEXT: Final = "/* job columns as text */"
PAGE_TEXT: Final = 16 * 1_048_576
"""Characters of a page's rows after which it ends early: arguments and results can have
a megabyte each.
"""
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


def same(value: Any) -> Any:
    """A value that needs no conversion."""
    return value


def from_microseconds(microseconds: int) -> datetime:
    """The time that is so many microseconds after the epoch."""
    return _EPOCH + timedelta(microseconds=microseconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRows:
    """How one kind of connection selects the columns of a job and gives their values.

    ``expressions`` has the SQL expressions of the columns that are not selected by
    name. ``moment`` converts a time, ``tags`` the tags. JSON columns are texts.
    """

    mark: str = COLUMNS
    expressions: Mapping[str, str] = field(default_factory=dict)
    moment: Callable[[Any], datetime] = same
    tags: Callable[[Any], Sequence[str]] = same

    def select(self, sql: str) -> str:
        """The statement with the columns at its mark."""
        columns = ", ".join(self.expressions.get(name, name) for name in JOB_COLUMNS)
        return sql.replace(self.mark, columns)

    def job(self, row: Sequence[Any], *, conflict: bool = False) -> Job:
        """The job in a row whose first columns are ``JOB_COLUMNS``."""
        values = dict(zip(JOB_COLUMNS, row, strict=False))
        moment = self.moment
        for name in JOB_TIMES:
            if (time := values[name]) is not None:
                values[name] = moment(time)
        for name in JOB_JSON:
            if (text := values[name]) is not None:
                values[name] = _loaded(text)
        values["state"] = JobState(values["state"])
        values["meta"] = values["meta"] or {}
        values["tags"] = tuple(self.tags(values["tags"]))
        return Job(**values, conflict=conflict)


class PageOfJobs:
    """Collects the rows of one page, which has at most ``limit`` jobs."""

    def __init__(self, rows: JobRows, limit: int) -> None:
        self._rows = rows
        self._limit = limit
        self._text = 0
        self._items: list[Job] = []

    @property
    def missing(self) -> int:
        """The jobs that fit, and the one that shows that more follow."""
        return self._limit + 1 - len(self._items)

    def add(self, row: Sequence[Any]) -> bool:
        """Add the job in a row. False, and not added, where the page is full."""
        if len(self._items) == self._limit or self._text > PAGE_TEXT:
            return False
        self._text += sum(len(value) for value in row if isinstance(value, str))
        self._items.append(self._rows.job(row))
        return True

    def page(self, *, more: bool) -> JobPage:
        """The page; ``more`` says whether jobs follow."""
        return JobPage(self._items, self._items[-1].id if more else None)


def _loaded(text: str) -> Any:
    """The value of JSON, or the text itself where Python cannot read it (nested too deep,
    or an integer of too many digits), so that a listing shows every job.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def object_of(text: str) -> dict[str, Any] | None:
    """The object of JSON. None where it is none, or Python cannot read it."""
    value = _loaded(text)
    return value if isinstance(value, dict) else None


def info_of(text: str) -> dict[str, object]:
    """The info of a node's row; empty where it cannot be read."""
    return object_of(text) or {}


def schema_of(text: str) -> dict[str, Any]:
    """The schema of a template's row. One that cannot be read admits no context."""
    schema = object_of(text)
    return {"$comment": "this schema cannot be read", "not": {}} if schema is None else schema
