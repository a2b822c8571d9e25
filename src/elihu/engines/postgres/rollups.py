"""Roll-ups."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from elihu.engines.postgres.filters import Where
from elihu.engines.postgres.session import Session
from elihu.engines.protocol.rollups import NUMBERS, RollUp, RollUpKey, RollUpRow

_KEYS: Final = {"all": "NULL::text", "queue": "queue", "task": "task"}


async def write_rollups(session: Session, writer: str, rows: Sequence[RollUp]) -> None:
    values = [
        {
            "at": datetime.fromtimestamp(row.minute, UTC).isoformat(),
            "queue": row.queue,
            "task": row.task,
            "outcome": row.outcome,
            "writer": writer,
            **dict(zip(NUMBERS, row.numbers, strict=True)),
        }
        for row in rows
    ]
    if values:
        await session.fetch("write_rollups", json.dumps(values))


async def rollups(
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
    found = await session.fetch(
        "rollups", since, until, step, queue, task, limit,
        part=None if histograms else "sums", where=Where(_KEYS[by], ()),
    )  # fmt: skip
    return [
        RollUpRow(at, key, outcome, tuple(map(int, numbers)))
        for at, key, outcome, *numbers in found
    ]


async def thin_rollups(session: Session, minutes: float, hours: float, limit: int) -> int:
    removed = await session.fetch_value("thin_rollups", minutes)
    return int(removed) + int(await session.fetch_value("thin_rollups", hours, limit, part="end"))
