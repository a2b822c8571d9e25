"""Reading unfinished jobs whole."""

import json
from typing import Any, Final

from elihu.engines.protocol.transfer import StoredJob
from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.rows import moment
from elihu.engines.sqlite.session import Session
from elihu.job import JobState

_STORED_JOBS: Final = statement("stored_jobs")


def stored_jobs(session: Session, after: int, limit: int) -> list[StoredJob]:
    rows = session.rows(_STORED_JOBS, {"after": after, "limit": limit})
    return [_job(dict(zip(StoredJob._fields, row, strict=True))) for row in rows]


def _job(row: dict[str, Any]) -> StoredJob:
    expires, occurrence = row["expires_at"], row["occurrence"]
    changed = {
        "state": JobState(row["state"]),
        "tags": tuple(json.loads(row["tags"])),
        "scheduled_at": moment(row["scheduled_at"]),
        "expires_at": None if expires is None else moment(expires),
        "awaited": bool(row["awaited"]),
        "occurrence": None if occurrence is None else moment(occurrence),
    }
    return StoredJob(**row | changed)
