"""What waits for jobs have come to."""

import json
from collections.abc import Sequence
from typing import Any, Final

from elihu.engines.ends import Attached, End, Late, Wait
from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.rows import dump, job_from
from elihu.engines.sqlite.thread import Session
from elihu.job import JobState, RunResult

_ATTACH: Final = statement("attach")
_ATTACHED: Final = statement("attached")
_ENDS: Final = statement("ends")
_KEEP: Final = statement("keep")
_KEEP_HISTORY: Final = statement("keep_history")


def attach(session: Session, ids: Sequence[int]) -> list[Attached]:
    """Mark as awaited; those that are gone do not come back."""
    asked = {"ids": dump(ids)}
    with session.write():
        session.execute(_ATTACH, asked)
        return [Attached(job_from(row[:-1]), row[-1]) for row in session.rows(_ATTACHED, asked)]


def keep(session: Session, results: Sequence[Late]) -> None:
    """Add results to jobs that completed without one."""
    given = {"results": dump([(*late, JobState.COMPLETED.value) for late in results])}
    with session.write():
        session.execute(_KEEP, given)
        session.execute(_KEEP_HISTORY, given)


def ends(session: Session, waits: Sequence[Wait], room: int) -> list[End]:
    """Those that have come to something."""
    (found,) = session.row(_ENDS, {"waits": dump(waits), "bytes": room})
    return [_end_from(row) for row in json.loads(found)]


def _end_from(row: list[Any]) -> End:
    """A row of ``ends.sql``, whose columns are those of ``End``."""
    place, state, claim, reason, value, outcome, run_reason, error, error_type, traceback, whole = row
    return End(
        place,
        None if state is None else JobState(state),
        claim,
        reason,
        value,
        None if outcome is None else RunResult(outcome),
        run_reason,
        error,
        error_type,
        traceback,
        bool(whole),
    )
