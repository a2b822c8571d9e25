"""Cron entries: the specification, its JSON form in the database, and the public view."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Self

from elihu.errors import InvalidCron
from elihu.job import NewJob
from elihu.schedule.cron import Cron
from elihu.schedule.due import CatchUp

_NOT_STORED: Final = frozenset({"run_at", "delay", "hold", "awaited", "identifier"})
_NEEDED: Final = ("cron", "tz", "catch_up", "task")
_JOB: Final = tuple(field for field in fields(NewJob) if field.name not in _NOT_STORED)


class CronSource(StrEnum):
    """The origin of an entry."""

    CODE = "code"
    """Declared with ``@app.cron``; it fires while a living node declares it."""
    RUNTIME = "runtime"
    """Made by ``app.crons.create``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CronSpec:
    """When an entry fires, and the job that it enqueues each time."""

    cron: Cron
    catch_up: CatchUp
    job: NewJob

    def as_values(self) -> dict[str, Any]:
        """A flat dictionary of plain values, so that single values can be changed. JSON
        texts of the job stay text.
        """
        values: dict[str, Any] = {
            "cron": self.cron.text,
            "tz": self.cron.tz,
            "catch_up": self.catch_up,
        }
        for field in _JOB:
            value = getattr(self.job, field.name)
            if field.default is MISSING or value != field.default:
                values[field.name] = plain(value)
        return values

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """The inverse of ``as_values``. Raises ``InvalidCron``."""
        return cls(
            cron=Cron(values["cron"], values["tz"]), catch_up=values["catch_up"], job=job_of(values)
        )


def plain(value: Any) -> Any:
    """A field of a job as a plain JSON value."""
    match value:
        case bytes():
            return value.hex()
        case tuple():
            return list(value)
    return value


def job_of(values: Mapping[str, Any]) -> NewJob:
    """Read the job from the values of an entry. Raises ``InvalidCron``."""
    job = {field.name: values[field.name] for field in _JOB if field.name in values}
    try:
        if "tags" in job:
            job["tags"] = tuple(job["tags"])
        if job.get("unique_key") is not None:
            job["unique_key"] = bytes.fromhex(job["unique_key"])
    except (TypeError, ValueError):
        given = {name: job[name] for name in ("tags", "unique_key") if name in job}
        raise InvalidCron(
            f"cron entry: expected a list of tags and a hexadecimal unique_key, got {given!r:.160}"
        ) from None
    return NewJob(**job)


def dump_values(values: Mapping[str, Any]) -> str:
    """Canonical JSON: equal values give the same text."""
    return json.dumps(
        values, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def load_values(declared: str | None, changes: str) -> dict[str, Any]:
    """The values of an entry: its declaration in code, if any, overridden by the stored
    changes. Raises ``InvalidCron``.
    """
    try:
        layers = [json.loads(text) for text in (declared, changes) if text is not None]
    except (ValueError, RecursionError) as error:
        raise InvalidCron(f"cron entry: expected JSON that Python can read: {error}") from error
    if not all(isinstance(layer, dict) for layer in layers):
        raise InvalidCron(f"cron entry: expected an object of values, got {changes:.80}")
    values: dict[str, Any] = {key: value for layer in layers for key, value in layer.items()}
    for key in _NEEDED:
        if not isinstance(values.get(key), str):
            raise InvalidCron(
                f"cron entry: {key}: expected a text, got {values.get(key)!r:.80}", field=key
            )
    return values


@dataclass(frozen=True, slots=True, kw_only=True)
class CronEntry:
    """A snapshot of a stored entry. All times are in UTC.

    ``fires`` is true if the entry is not paused and either was created at run time or
    is declared by a living node. ``changed`` lists the fields of a declared entry that
    were changed at run time. ``next_at`` is the next occurrence, whether it fires or
    not. ``fired_at`` is the newest occurrence that fired, and ``job_id`` its job.

    ``error`` says why a stored entry cannot be read, so that it never fires. Fields that
    cannot be read are empty then.
    """

    name: str
    cron: str
    tz: str
    catch_up: CatchUp
    task: str
    args: Mapping[str, Any]
    queue: str
    priority: int
    max_attempts: int
    tags: tuple[str, ...]
    meta: Mapping[str, Any]
    source: CronSource
    paused: bool
    fires: bool
    changed: tuple[str, ...]
    next_at: datetime | None
    fired_at: datetime | None
    job_id: int | None
    created_at: datetime
    updated_at: datetime
    error: str | None = None
