"""What the jobs API reads."""

from typing import Final

from elihu.engines.sqlite.filters import LARGEST_ID, is_storable, where
from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.rows import job_from, run_from
from elihu.engines.sqlite.session import Session
from elihu.errors import JobNotFound
from elihu.job import Job, JobFilter, Run

_GET: Final = statement("get")
_GET_BY_IDENTIFIER: Final = statement("get_by_identifier")
_FIND: Final = statement("find")
_COUNT: Final = statement("count")
_COUNTS: Final = statement("counts")
_RUNS: Final = statement("runs")
_POSITION: Final = statement("position")
_INSTALLATION: Final = statement("installation")


def installation(session: Session) -> str:
    """The id of these tables."""
    return str(session.row(_INSTALLATION)[0])


def get(session: Session, job_id: int) -> Job | None:
    """The job, None where there is none."""
    row = session.row(_GET, {"id": job_id}) if is_storable(job_id) else None
    return None if row is None else job_from(row)


def get_by_identifier(session: Session, identifier: str) -> Job | None:
    """The job that has this identifier, None where there is none."""
    row = session.row(_GET_BY_IDENTIFIER, {"identifier": identifier})
    return None if row is None else job_from(row)


def find(session: Session, filter_: JobFilter, after: int | None, limit: int) -> list[Job]:
    """A page of jobs, newest first."""
    condition = where(filter_)
    edge = LARGEST_ID if after is None else min(after, LARGEST_ID)
    rows = session.rows(
        _FIND.replace("{where}", condition.sql), condition.values | {"after": edge, "limit": limit}
    )
    return [job_from(row) for row in rows]


def count(session: Session, filter_: JobFilter) -> int:
    """How many jobs there are."""
    condition = where(filter_)
    return int(session.row(_COUNT.replace("{where}", condition.sql), condition.values)[0])


def counts(session: Session) -> dict[str, dict[str, int]]:
    """queue → state → number."""
    found: dict[str, dict[str, int]] = {}
    for queue, state, number in session.rows(_COUNTS):
        found.setdefault(queue, {})[state] = number
    return found


def runs(session: Session, job_id: int) -> list[Run]:
    """All attempts, by claim."""
    rows = session.rows(_RUNS, {"id": job_id}) if is_storable(job_id) else []
    return [run_from(job_id, row) for row in rows]


def position(session: Session, job_id: int) -> int | None:
    """The place in the queue. Raises ``JobNotFound``."""
    row = session.row(_POSITION, {"id": job_id}) if is_storable(job_id) else None
    if row is None:
        raise JobNotFound(job_id)
    place: int | None = row[0]
    return place
