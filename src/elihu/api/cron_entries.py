"""Stored cron entries as users see them, also those that cannot be read."""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from elihu.engines.protocol.crons import CronRow
from elihu.errors import InvalidCron
from elihu.schedule import Cron, CronEntry, CronSource, job_of, load_values


def values_of(row: CronRow) -> dict[str, Any]:
    """The values of an entry. Raises ``InvalidCron``, which names the entry."""
    try:
        return load_values(row.declared, row.changes)
    except InvalidCron as error:
        raise InvalidCron(f"cron {row.name!r}: {error}", field=error.field) from error


def entry_of(row: CronRow, now: datetime) -> CronEntry:
    """The public view of a row. One that cannot be read has an ``error``."""
    fields, error = _fields(row), None
    next_at: datetime | None = None
    try:
        values = values_of(row)
        fields |= _readable_fields(values)
        following = Cron(values["cron"], values["tz"]).next(now)
        next_at = following and following.astimezone(UTC)
    # Whatever is wrong with a row that was changed by SQL: the others must be listed.
    except Exception as problem:
        error = str(problem) or type(problem).__name__
    at_runtime = row.declared is None
    return CronEntry(
        **fields,
        name=row.name,
        source=CronSource.RUNTIME if at_runtime else CronSource.CODE,
        paused=row.paused,
        fires=not row.paused and (at_runtime or row.live),
        next_at=next_at,
        fired_at=row.fired_at,
        job_id=row.job_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
        error=error,
    )


def _readable_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    job = job_of(values)
    return {
        "cron": values["cron"],
        "tz": values["tz"],
        "catch_up": values["catch_up"],
        "task": job.task,
        "args": json.loads(job.args),
        "queue": job.queue,
        "priority": job.priority,
        "max_attempts": job.max_attempts,
        "tags": job.tags,
        "meta": json.loads(job.meta or "{}"),
    }


def _fields(row: CronRow) -> dict[str, Any]:
    """What every row has: texts where they are texts, and which values were changed."""
    layers = [_layer(row.declared), _layer(row.changes)]
    values = {**layers[0], **layers[1]}
    texts = {
        key: values[key] if isinstance(values.get(key), str) else ""
        for key in ("cron", "tz", "catch_up", "task", "queue")
    }
    changed = () if row.declared is None else tuple(sorted(layers[1].keys() - {"unique_key"}))
    empty = {"args": {}, "priority": 0, "max_attempts": 0, "tags": (), "meta": {}}
    return {**texts, **empty, "changed": changed}


def _layer(text: str | None) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        layer = json.loads(text or "{}")
        if isinstance(layer, dict):
            return layer
    return {}
