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

from elihu.job import Job, JobState

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

COLUMNS: Final = "/* job columns */"
COLUMNS_AS_TEXT: Final = "/* job columns as text */"
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


def _loaded(text: str) -> Any:
    """The value of JSON, or the text itself where Python cannot read it (nested too deep,
    or an integer of too many digits), so that a listing shows every job.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
