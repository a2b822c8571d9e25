"""Roll-ups."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from elihu.engines.protocol.rollups import NUMBERS, RollUp, RollUpKey, RollUpRow
from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.rows import dump, moment, stored_time
from elihu.engines.sqlite.session import Session

_KEYS: Final = {"all": "NULL", "queue": "queue", "task": "task"}
_HOUR: Final = 3_600.0
_WRITE: Final = statement("write_rollups")
_READ: Final = statement("rollups")
_READ_SUMS: Final = statement("rollups_sums")
_THIN: Final = statement("thin_rollups")
_THIN_HOUR: Final = statement("thin_rollups_hour")
_THIN_MINUTES: Final = statement("thin_rollups_minutes")
_THIN_END: Final = statement("thin_rollups_end")


def write_rollups(session: Session, writer: str, rows: Sequence[RollUp]) -> None:
    values = [
        {
            "at": float(row.minute),
            "queue": row.queue,
            "task": row.task,
            "outcome": row.outcome,
            "writer": writer,
            **dict(zip(NUMBERS, row.numbers, strict=True)),
        }
        for row in rows
    ]
    if values:
        with session.write():
            session.execute(_WRITE, {"rows": dump(values)})


def rollups(
    session: Session,
    since: datetime,
    until: datetime,
    step: int,
    *,
    by: RollUpKey,
    queue: str | None = None,
    task: str | None = None,
    histograms: bool = True,
    limit: int,
) -> list[RollUpRow]:
    found = session.rows(
        (_READ if histograms else _READ_SUMS).replace("{key}", _KEYS[by]),
        {
            "since": stored_time(since),
            "until": stored_time(until),
            "step": step,
            "queue": queue,
            "task": task,
            "limit": limit,
        },
    )
    return [
        RollUpRow(moment(at), key, outcome, tuple(numbers)) for at, key, outcome, *numbers in found
    ]


def thin_rollups(session: Session, minutes: float, hours: float, limit: int) -> int:
    now = session.now()
    (hour,) = session.row(_THIN_HOUR)
    removed = 0
    with session.write():
        if hour is not None and hour + _HOUR < now - minutes:
            session.execute(_THIN, {"hour": hour})
            removed = session.execute(_THIN_MINUTES, {"hour": hour}).rowcount
        before = {"before": now - hours, "limit": limit}
        return removed + session.execute(_THIN_END, before).rowcount
