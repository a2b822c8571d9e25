"""The job that an insert stored."""

from collections.abc import Mapping
from dataclasses import MISSING, fields
from datetime import timedelta
from typing import Any, Final

import pydantic_core

from elihu.engines.protocol import Inserted
from elihu.job import Job, NewJob

_DEFAULTS: Final[dict[str, Any]] = {
    field.name: field.default for field in fields(Job) if field.default is not MISSING
}


def stored_job(new: NewJob, inserted: Inserted) -> Job:
    """The job, from its fields and the database's answer. A frozen class sets each of its
    fields by a call, which would cost most of the time of this function.
    """
    meta: Mapping[str, Any] = pydantic_core.from_json(new.meta) if new.meta else {}
    job = object.__new__(Job)
    vars(job).update(
        _DEFAULTS,
        id=inserted.id,
        state=inserted.state,
        queue=new.queue,
        task=new.task,
        args=pydantic_core.from_json(new.args),
        meta=meta,
        tags=new.tags,
        priority=new.priority,
        attempt=0,
        max_attempts=new.max_attempts,
        unique_key=inserted.unique_key,
        inserted_at=inserted.inserted_at,
        scheduled_at=inserted.scheduled_at,
        template=new.template,
        identifier=new.identifier,
        expires_at=None
        if new.expires is None
        else inserted.scheduled_at + timedelta(seconds=new.expires),
    )
    return job
