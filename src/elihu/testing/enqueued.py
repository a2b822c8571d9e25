"""What a test expects of a stored job, and how the stored jobs differ from it."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypedDict

from elihu.errors import ElihuError, InvalidOption
from elihu.job import Job
from elihu.task import Task, check_tags
from elihu.triggers import Trigger

SHOWN: Final = 5
"""How many jobs a message shows, the nearest first."""
ABSENT: Final = "nothing"

AnyTask = Task[..., Any] | Trigger | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A job that is looked for. A field that is None fits any. ``args`` and ``meta`` are
    the members that it must have at least, ``tags`` those among its own. ``typed`` is
    the task that rebuilds the types of stored arguments.
    """

    names: frozenset[str] | None = None
    typed: Task[..., Any] | None = None
    args: Mapping[str, Any] | None = None
    queue: str | None = None
    priority: int | None = None
    tags: tuple[str, ...] | None = None
    meta: Mapping[str, Any] | None = None
    state: str | None = None
    run_at: datetime | None = None

    def differences(self, job: Job) -> list[str]:
        """How the job differs, one line for each field; empty where it fits."""
        found: list[str] = []
        if self.names is not None and job.task not in self.names:
            found.append(_difference("task", min(self.names), job.task))
        for name in ("queue", "priority", "state"):
            expected, got = getattr(self, name), getattr(job, name)
            if expected is not None and expected != got:
                found.append(_difference(name, expected, str(got) if name == "state" else got))
        if self.run_at is not None and self.run_at != job.scheduled_at:
            found.append(_difference("run_at", self.run_at, job.scheduled_at))
        if self.tags is not None and not set(self.tags) <= set(job.tags):
            found.append(_difference("tags", list(self.tags), list(job.tags)))
        found += _members("meta", self.meta or {}, job.meta, {})
        found += _members("args", self.args or {}, job.args, self._rebuilt(job))
        return found

    def fits(self, job: Job) -> bool:
        """Whether the job is one that is looked for."""
        return not self.differences(job)

    def describe(self) -> str:
        """The job in words."""
        parts = [] if self.names is None else [min(self.names)]
        parts += [
            f"{name} {_shown(value)}"
            for name in ("args", "queue", "priority", "tags", "meta", "state", "run_at")
            if (value := getattr(self, name)) is not None
        ]
        return ", ".join(parts) or "any job"

    def _rebuilt(self, job: Job) -> Mapping[str, Any]:
        if self.typed is None or self.names is None or job.task not in self.names:
            return {}
        with suppress(ElihuError):
            return self.typed.codec.decode(json.dumps(dict(job.args)))[1]
        return {}


class WantedFields(TypedDict, total=False):
    """The fields of a job that helpers look for; those left out fit any job."""

    args: Mapping[str, Any] | Sequence[Any] | None
    queue: str | None
    priority: int | None
    tags: Sequence[str] | None
    meta: Mapping[str, Any] | None
    state: str | None
    run_at: datetime | None


def wanted(task: AnyTask | None, fields: WantedFields) -> Wanted:
    """What is looked for. Raises ``InvalidOption`` for an unknown field and for
    positional arguments without a task that names them, and ``InvalidArguments`` for
    those that do not fit it.
    """
    if unknown := sorted(set(fields) - WantedFields.__optional_keys__):
        raise InvalidOption(
            f"expected the fields {', '.join(sorted(WantedFields.__optional_keys__))}, got "
            f"{', '.join(unknown)}"
        )
    names, typed = named(task)
    args, tags = fields.get("args"), fields.get("tags")
    if args is not None and not isinstance(args, Mapping):
        if typed is None:
            raise InvalidOption(
                f"args: expected a dictionary, or a list together with a task, got {args!r}"
            )
        args = json.loads(typed.build(*args).args)
    return Wanted(
        names=names,
        typed=typed,
        args=args,
        queue=fields.get("queue"),
        priority=fields.get("priority"),
        tags=None if tags is None else check_tags("tags", tags),
        meta=fields.get("meta"),
        state=fields.get("state"),
        run_at=fields.get("run_at"),
    )


def named(task: AnyTask | None) -> tuple[frozenset[str] | None, Task[..., Any] | None]:
    """The names under which jobs of the task are stored, and the task. Raises
    ``InvalidOption``.
    """
    match task:
        case None:
            return None, None
        case str():
            return frozenset({task}), None
        case Trigger():
            return named(task.task)
        case Task():
            return frozenset({task.name, *task.aliases}), task
    raise InvalidOption(f"expected a task, a trigger or the name of a task, got {task!r}")


def no_match(expected: Wanted, jobs: Sequence[Job]) -> str:
    """The message for jobs of which none is what was expected."""
    if not jobs:
        return f"expected a job: {expected.describe()}\ngot no unfinished job"
    rated = sorted(
        ((expected.differences(job), job) for job in jobs), key=lambda rated: len(rated[0])
    )
    lines = [
        f"expected a job: {expected.describe()}",
        f"got {len(jobs)} unfinished job{'s' * (len(jobs) > 1)}, none of which fits"
        + ("; the nearest first:" if len(jobs) > 1 else ":"),
    ]
    for differences, job in rated[:SHOWN]:
        lines.append(f"  {line(job)}")
        lines += [f"    {difference}" for difference in differences]
    if len(jobs) > SHOWN:
        lines.append(f"  and {len(jobs) - SHOWN} more")
    return "\n".join(lines)


def one_of(expected: Wanted, count: int | None, jobs: Sequence[Job]) -> Job:
    """The newest job that fits. Raises ``AssertionError`` without one, and where not
    ``count`` fit.
    """
    __tracebackhide__ = True
    found = [job for job in jobs if expected.fits(job)]
    if not found:
        raise AssertionError(no_match(expected, jobs))
    if count is not None and len(found) != count:
        raise AssertionError(_listed(expected, found, f"{count} job{'s' * (count != 1)}"))
    return found[-1]


def none_of(expected: Wanted, jobs: Sequence[Job]) -> None:
    """Raise ``AssertionError`` for jobs that fit."""
    __tracebackhide__ = True
    if found := [job for job in jobs if expected.fits(job)]:
        raise AssertionError(_listed(expected, found, "no job"))


def _listed(expected: Wanted, jobs: Sequence[Job], number: str) -> str:
    lines = [f"expected {number}: {expected.describe()}", f"got {len(jobs)}:"]
    lines += [f"  {line(job)}" for job in jobs[:SHOWN]]
    if len(jobs) > SHOWN:
        lines.append(f"  and {len(jobs) - SHOWN} more")
    return "\n".join(lines)


def line(job: Job) -> str:
    """A job in one line."""
    return f"job {job.id} {job.task} {_shown(dict(job.args))}, {job.state}, queue {job.queue}"


def _members(
    field: str, expected: Mapping[str, Any], got: Mapping[str, Any], typed: Mapping[str, Any]
) -> list[str]:
    return [
        _difference(f"{field}.{name}", value, got.get(name, ABSENT))
        for name, value in expected.items()
        if name not in got or (got[name] != value and typed.get(name, ABSENT) != value)
    ]


def _difference(field: str, expected: Any, got: Any) -> str:
    shown = got if got is ABSENT else _shown(got)
    return f"{field}: expected {_shown(expected)}, got {shown}"


def _shown(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    text = repr(dict(value)) if isinstance(value, Mapping) else repr(value)
    return text if len(text) <= 200 else f"{text[:199]}…"
