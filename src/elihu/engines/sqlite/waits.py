"""Waiting for ends."""

import json
from collections.abc import Sequence
from typing import Any, Final

from elihu.engines.protocol.waits import AwaitedJob, JobEnd, LateResult, Wait
from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.rows import dump, job_from
from elihu.engines.sqlite.session import Session
from elihu.job import JobState, RunOutcome

_ATTACH: Final = statement("attach")
_ATTACH_READ: Final = statement("attach_read")
_ENDS: Final = statement("ends")
_ADD_RESULTS: Final = statement("add_results")
_ADD_RESULTS_RUNS: Final = statement("add_results_runs")


def attach(session: Session, ids: Sequence[int]) -> list[AwaitedJob]:
    asked = {"ids": dump(ids)}
    with session.write():
        session.execute(_ATTACH, asked)
        return [
            AwaitedJob(job_from(row[:-1]), row[-1]) for row in session.rows(_ATTACH_READ, asked)
        ]


def add_results(session: Session, results: Sequence[LateResult]) -> None:
    given = {"results": dump([(*late, JobState.COMPLETED.value) for late in results])}
    with session.write():
        session.execute(_ADD_RESULTS, given)
        session.execute(_ADD_RESULTS_RUNS, given)


def ends(session: Session, pending: Sequence[Wait], room: int) -> list[JobEnd]:
    (found,) = session.row(_ENDS, {"waits": dump(pending), "bytes": room})
    return [_end_from(row) for row in json.loads(found)]


def _end_from(row: list[Any]) -> JobEnd:
    """The end in a row of ends.sql, whose columns are the fields of ``JobEnd``."""
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
