"""The hot path: acknowledge and fetch in one round trip."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from elihu.engines.postgres.channel import channel_of, payload_of
from elihu.engines.postgres.rows import Row
from elihu.engines.postgres.session import Session
from elihu.engines.protocol import Ack, AckStatus, ClaimedJob, Exchange, Position
from elihu.engines.protocol.exchange import is_plain, to_trim
from elihu.engines.protocol.signals import Signal
from elihu.failpoints import ACTIVE, reach

_UNDER_WAY: Final = 0.0005
"""Seconds after which a statement has usually left this process, and its answer is not
back.
"""
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
) -> Exchange:
    plain: list[Ack] = []
    other: list[Ack] = []
    for ack in acks:
        (plain if is_plain(ack) else other).append(ack)
    if ACTIVE and acks:
        asyncio.get_running_loop().call_later(_UNDER_WAY, reach, "inside acknowledge")
    rows = await session.fetch(
        "exchange",
        node,
        queue,
        free,
        [ack.id for ack in plain],
        [ack.claim for ack in plain],
        [ack.value for ack in plain],
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
        *(after or _FRONT),
        list(exclude),
        *session.retention.ages.values(),
        session.retention.special,
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
    if signals:
        payloads = list(dict.fromkeys(map(payload_of, signals)))
        await session.fetch("notify", channel_of(session.config.schema), payloads)


def _exchanged(rows: Sequence[Row]) -> Exchange:
    acked: list[tuple[int, bool]] = []
    claims = []
    for row in rows:
        if row[0] is None:
            acked = [(id_, False) for id_ in row["acked"]] + [
                (id_, True) for id_ in row["acked_awaited"]
            ]
        else:
            claims.append(_claimed(row))
    claims.sort(key=lambda claim: (claim.priority, claim.scheduled_at, claim.id))
    return Exchange(acked, claims)


def _claimed(row: Row) -> ClaimedJob:
    """The claim in a row of exchange.sql, whose first columns are the fields of
    ``ClaimedJob`` in their order.
    """
    return ClaimedJob(
        row[0], row[1], row[2], row[3], row[4], row[5], row[6], row[7], row[8], row[9], row[10],
        tuple(row[11]), row[12], row[13], row[14], row[15], row[16], row[17], row[18], row[19],
    )  # fmt: skip
