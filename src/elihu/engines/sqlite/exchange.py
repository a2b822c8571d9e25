"""The hot path: acknowledge and fetch in one transaction."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from elihu.engines.ahead import with_ahead, without_ahead
from elihu.engines.protocol import Ack, AckStatus, ClaimedJob, Exchange, Position
from elihu.engines.protocol.exchange import is_plain, is_plain_ahead, to_trim
from elihu.engines.retention import Retention
from elihu.engines.sqlite.queries import flat, portions, statement, with_rows
from elihu.engines.sqlite.rows import MICROSECONDS, dump, moment, stored_time
from elihu.engines.sqlite.session import Session
from elihu.failpoints import ACTIVE, reach

_PLAIN: Final = without_ahead(statement("exchange_plain"))
_PLAIN_AHEAD: Final = with_ahead(statement("exchange_plain"))
_OTHER: Final = statement("exchange_other")
_CLEAR: Final = statement("exchange_clear")
_WIDTH: Final = len(Ack._fields) + 1
_PEEK: Final = statement("exchange_peek")
_WRITTEN: Final = statement("exchange_written")
_RUNS: Final = statement("exchange_runs")
_TRIM: Final = statement("exchange_trim")
_ACK: Final = statement("exchange_ack")
_CLAIMS: Final = without_ahead(statement("exchange_claims"))
_CLAIMS_AHEAD: Final = with_ahead(statement("exchange_claims"))
_FETCH: Final = without_ahead(statement("exchange_fetch"))
_FETCH_AHEAD: Final = with_ahead(statement("exchange_fetch"))
_STATUSES: Final = statement("ack_statuses")
_ID, _SCHEDULED_AT, _AWAITED, _EXPIRES_AT, _OCCURRENCE = map(
    ClaimedJob._fields.index, ("id", "scheduled_at", "awaited", "expires_at", "occurrence")
)


def exchange(
    session: Session,
    node: str,
    queue: str,
    free: int,
    acks: Sequence[Ack],
    after: Position | None,
    exclude: Sequence[str],
    retention: Retention,
    ahead: int | None = None,
) -> Exchange:
    where: dict[str, Any] = {
        "node": node,
        "queue": queue,
        "free": free,
        "after_priority": after.priority if after else -1,
        "after_at": stored_time(after.scheduled_at) if after else 0.0,
        "after_id": after.id if after else 0,
        "exclude": dump(exclude),
        "special": retention.special,
        "now": None,
        **retention.ages,
    }
    if not acks and (free <= 0 or not session.row(_PEEK, where)[0]):
        return Exchange([], [])
    with session.write():
        acked = _acknowledge(session, where, acks, ahead) if acks else []
        if ACTIVE and acks:
            reach("inside acknowledge")
        claims = _claim(session, where, ahead) if free > 0 else []
    return Exchange(acked, claims)


def ack_statuses(
    session: Session, node: str, acks: Sequence[Ack]
) -> dict[tuple[int, int], AckStatus]:
    asked = dump([(ack.id, ack.claim, ack.outcome) for ack in acks])
    return {
        (id_, claim): AckStatus(ack_status)
        for id_, claim, ack_status in session.rows(_STATUSES, {"node": node, "acks": asked})
    }


def _acknowledge(
    session: Session, where: dict[str, Any], acks: Sequence[Ack], ahead: int | None
) -> list[tuple[int, bool]]:
    plain: dict[int, int | tuple[int, float]] = {}
    other: list[tuple[Any, ...]] = []
    plainly = is_plain if ahead is None else is_plain_ahead
    for ack in acks:
        if ack.value is None and plainly(ack):
            plain[ack.id] = ack.claim if ahead is None else (ack.claim, ack.waited)
        else:
            other.append((*ack, where["node"]))
    if plain:
        insert = _PLAIN if ahead is None else _PLAIN_AHEAD
        session.execute(insert, {"done": dump(plain), "node": where["node"]})
    for portion in portions(other):
        session.execute(with_rows(_OTHER, len(portion), _WIDTH), flat(portion))
    where["now"], written = session.row(_WRITTEN)
    if other:
        session.execute(_RUNS, where)
    session.execute(_ACK, where)
    if other and (jobs := to_trim(acks)):
        session.execute(_TRIM, {"jobs": dump(jobs)})
    session.execute(_CLEAR)
    return [(id_, bool(awaited)) for id_, awaited in json.loads(written)]


def _claim(session: Session, where: dict[str, Any], ahead: int | None) -> list[ClaimedJob]:
    found, where["now"] = session.row(_CLAIMS_AHEAD if ahead else _CLAIMS, where)
    rows = json.loads(found)
    if rows and ahead:
        where["at_once"] = dump([row[_ID] for row in rows[: where["free"] - ahead]])
        session.execute(_FETCH_AHEAD, where)
    elif rows:
        session.execute(_FETCH, where)
    started_at = moment(where["now"])
    return [_claim_from(row, started_at) for row in rows]


def _claim_from(row: list[Any], started_at: datetime) -> ClaimedJob:
    """The claim in a row of exchange_claims.sql, whose columns are the fields of
    ``ClaimedJob``.
    """
    *values, tags, inserted_at = row
    scheduled_at = values[_SCHEDULED_AT] = moment(values[_SCHEDULED_AT] / MICROSECONDS)
    values[_AWAITED] = bool(values[_AWAITED])
    if values[_EXPIRES_AT] is not None:
        values[_EXPIRES_AT] = moment(values[_EXPIRES_AT] / MICROSECONDS)
    if values[_OCCURRENCE] is not None:
        values[_OCCURRENCE] = moment(values[_OCCURRENCE] / MICROSECONDS)
    values += (
        tuple(json.loads(tags)) if tags else (),
        scheduled_at if inserted_at is None else moment(inserted_at / MICROSECONDS),
        started_at,
    )
    # a call of a named tuple's class is a call of Python, and each job passes here
    return tuple.__new__(ClaimedJob, values)
