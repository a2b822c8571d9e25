"""The job that an insert stored."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pydantic_core

from elihu.engines.protocol import Inserted
from elihu.job import Job, NewJob


def stored_job(new: NewJob, inserted: Inserted) -> Job:
    """The job, from its fields and the database's answer."""
    meta: Mapping[str, Any] = pydantic_core.from_json(new.meta) if new.meta else {}
    return Job(
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
