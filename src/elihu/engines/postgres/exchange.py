"""The hot path: acknowledge and fetch in one round trip."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from elihu.engines.postgres.channel import channel_of, notification, payload_of
from elihu.engines.postgres.connect import Connection
from elihu.engines.postgres.rows import Row
from elihu.engines.postgres.session import Session
from elihu.engines.protocol import Ack, AckStatus, ClaimedJob, Exchange, Position
from elihu.engines.protocol.exchange import is_plain, is_plain_ahead, to_trim
from elihu.engines.protocol.signals import Signal
from elihu.failpoints import ACTIVE, reach

_UNDER_WAY: Final = 0.0005
"""Seconds after which a statement has usually left this process, and its answer is not
back.
"""
_ID, _SCHEDULED_AT, _TAGS, _INSERTED_AT = map(
    ClaimedJob._fields.index, ("id", "scheduled_at", "tags", "inserted_at")
)
_FRONT: Final = Position(-1, datetime.fromtimestamp(0, UTC), 0)


async def exchange(
    session: Session,
    node: str,
    queue: str,
    free: int,
    acks: Sequence[Ack],
    *,
    after: Position | None,
    exclude: Sequence[str],
    ahead: int | None,
) -> Exchange:
    plain: list[Ack] = []
    other: list[Ack] = []
    plainly = is_plain if ahead is None else is_plain_ahead
    for ack in acks:
        (plain if plainly(ack) else other).append(ack)
    if ACTIVE and acks:
        asyncio.get_running_loop().call_later(_UNDER_WAY, reach, "inside acknowledge")
    completed, *ages = session.retention.ages.values()
    wanted = (node, queue, free, *(after or _FRONT), list(exclude))
    if not acks and ahead is None:
        return _exchanged(await session.fetch("exchange", *wanted, part="fetch"))
    values = (
        *wanted,
        session.retention.special,
        completed,
        [ack.id for ack in plain],
        [ack.claim for ack in plain],
        _unless_empty([ack.value for ack in plain]),
    )
    if not other and ahead is None:
        return _exchanged(await session.fetch("exchange", *values, part="plain"))
    waits = [ack.waited for ack in plain]
    if not other:
        return _exchanged(
            await session.fetch("exchange", *values, ahead, waits, part="plain_ahead")
        )
    rows = await session.fetch(
        "exchange",
        *values,
        ahead or 0,
        *ages,
        [ack.id for ack in other],
        [ack.claim for ack in other],
        [ack.outcome.value for ack in other],
        [ack.state.value for ack in other],
        [ack.delay for ack in other],
        [ack.refund_attempt for ack in other],
        [ack.value for ack in other],
        [ack.reason for ack in other],
        [ack.error for ack in other],
        [ack.traceback for ack in other],
        [ack.log for ack in other],
        [ack.error_type for ack in other],
        [ack.waited for ack in other],
        waits,
    )
    if jobs := to_trim(other):
        await session.fetch(
            "exchange", [id_ for id_, _ in jobs], [claim for _, claim in jobs], part="trim"
        )
    return _exchanged(rows)


async def ack_statuses(
    session: Session, node: str, acks: Sequence[Ack]
) -> dict[tuple[int, int], AckStatus]:
    if not acks:
        return {}
    rows = await session.fetch(
        "ack_statuses",
        [ack.id for ack in acks],
        [ack.claim for ack in acks],
        [ack.outcome.value for ack in acks],
        node,
    )
    return {(row["id"], row["claim"]): AckStatus(row["status"]) for row in rows}


async def notify(session: Session, signals: Sequence[Signal]) -> None:
    payloads = list(dict.fromkeys(map(payload_of, signals)))
    channel = channel_of(session.config.schema)
    if len(payloads) == 1:
        sql = notification(session.sql["notify_one"], channel, payloads[0])

        async def work(connection: Connection) -> None:
            await connection.execute(sql)

        await session.call("notify", work)
    elif payloads:
        await session.fetch("notify", channel, payloads)


def _unless_empty(values: list[str | None]) -> list[str | None] | None:
    """None for nothing but None: unnest makes NULL of it, and the driver looks at each
    element of an array.
    """
    return None if values.count(None) == len(values) else values


def _exchanged(rows: Sequence[Row]) -> Exchange:
    (answer,) = (row for row in rows if row[_ID] is None)
    claimed_at, acked, awaited = answer[-3:]
    # a call of a named tuple's class is a call of Python, and each job passes here
    claims: list[ClaimedJob] = [
        tuple.__new__(
            ClaimedJob,
            (
                *row[:_TAGS],
                tuple(row[_TAGS] or ()),
                row[_INSERTED_AT] or row[_SCHEDULED_AT],
                claimed_at,
            ),
        )
        for row in rows
        if row is not answer
    ]
    claims.sort()
    return Exchange([(id_, False) for id_ in acked] + [(id_, True) for id_ in awaited], claims)
