"""What waits for jobs have come to."""

import json
from collections.abc import Sequence
from typing import Any, Final

from elihu.engines.protocol.waits import AwaitedJob, JobEnd, LateResult, Wait
from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.rows import dump, job_from
from elihu.engines.sqlite.session import Session
from elihu.job import JobState, RunOutcome

_ATTACH: Final = statement("attach")
_ATTACHED: Final = statement("attached")
_ENDS: Final = statement("ends")
_KEEP: Final = statement("add_results")
_KEEP_HISTORY: Final = statement("add_results_history")


def attach(session: Session, ids: Sequence[int]) -> list[AwaitedJob]:
    """Mark as awaited; those that are gone do not come back."""
    asked = {"ids": dump(ids)}
    with session.write():
        session.execute(_ATTACH, asked)
        return [AwaitedJob(job_from(row[:-1]), row[-1]) for row in session.rows(_ATTACHED, asked)]


def add_results(session: Session, results: Sequence[LateResult]) -> None:
    """Add results to jobs that completed without one."""
    given = {"results": dump([(*late, JobState.COMPLETED.value) for late in results])}
    with session.write():
        session.execute(_KEEP, given)
        session.execute(_KEEP_HISTORY, given)


def ends(session: Session, waits: Sequence[Wait], room: int) -> list[JobEnd]:
    """Those that have come to something."""
    (found,) = session.row(_ENDS, {"waits": dump(waits), "bytes": room})
    return [_end_from(row) for row in json.loads(found)]


def _end_from(row: list[Any]) -> JobEnd:
    """A row of ``ends.sql``, whose columns are those of ``End``."""
    place, state, claim, reason, value, outcome, run_reason, error, error_type, traceback, whole = (
        row
    )
    return JobEnd(
        place,
        None if state is None else JobState(state),
        claim,
        reason,
        value,
        None if outcome is None else RunOutcome(outcome),
        run_reason,
        error,
        error_type,
        traceback,
        bool(whole),
    )
