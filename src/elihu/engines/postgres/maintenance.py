"""What the services of a node do to jobs: stage, rescue, reconcile, expire, prune."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from elihu.config import RetentionConfig
from elihu.engines.postgres.connect import Connection
from elihu.engines.postgres.filters import SMALLEST_ID
from elihu.engines.postgres.rows import Row
from elihu.engines.postgres.session import Session
from elihu.engines.protocol import Expired, Pruned, Rescued, Staged
from elihu.engines.retention import FinishedJob, Retention
from elihu.errors import DataRefused
from elihu.job import Intent, JobState

_INTENTS: Final = [intent.value for intent in Intent]


async def stage(session: Session, limit: int, *, ready: bool) -> Staged:
    queues = {row["queue"]: row["staged"] for row in await session.fetch("stage", limit, ready)}
    expired = queues.pop(None, None) is not None
    return Staged(queues, expired if ready else None)


async def rescue(session: Session, limit: int) -> list[Rescued]:
    """All in one statement; one by one where one row makes that statement fail."""
    try:
        return _rescued(sorted(await session.fetch("rescue", limit, None)))
    except DataRefused as error:
        refusal = error
    rescued: list[Rescued] = []
    for row in await session.fetch("rescue", limit, part="lost"):
        try:
            rescued += _rescued(await session.fetch("rescue", 1, row["id"]))
        except DataRefused as error:
            refusal = error
    if not rescued:
        raise refusal
    return rescued


async def reconcile(
    session: Session, node: str, held: Sequence[tuple[int, int]], older_than: float
) -> list[Rescued]:
    ids, claims = [id_ for id_, _ in held], [claim for _, claim in held]
    return _rescued(await session.fetch("reconcile", node, older_than, ids, claims))


async def intents(session: Session, node: str) -> list[tuple[int, int, Intent]]:
    rows = await session.fetch("intents", node, _INTENTS)
    return [(row["id"], row["claim"], Intent(row["intent"])) for row in rows]


async def lost_claims(
    session: Session, node: str, held: Sequence[tuple[int, int]]
) -> list[tuple[int, int]]:
    ids, claims = [id_ for id_, _ in held], [claim for _, claim in held]
    return [
        (row["id"], row["claim"]) for row in await session.fetch("lost_claims", node, ids, claims)
    ]


async def expire(session: Session, limit: int) -> list[Expired]:
    return [
        Expired(row["id"], row["queue"], row["awaited"])
        for row in sorted(await session.fetch("expire", limit))
    ]


async def record_starts(
    session: Session, node: str, starts: Sequence[tuple[int, int, float]]
) -> list[int]:
    ids, claims, waits = (list(column) for column in zip(*starts, strict=True))
    return [row["id"] for row in await session.fetch("record_starts", node, ids, claims, waits)]


async def record_progress(
    session: Session, node: str, progress: Sequence[tuple[int, int, str]]
) -> None:
    if progress:
        ids, claims, texts = (list(column) for column in zip(*progress, strict=True))
        await session.fetch("record_progress", node, ids, claims, texts)


async def prune(session: Session, config: RetentionConfig, limit: int) -> Pruned:
    retention = Retention(config)
    due: list[tuple[int, datetime]] = []
    later: list[tuple[int, float]] = []
    for row in await session.fetch("prune", limit, *retention.shortest.values(), part="pick"):
        job = FinishedJob(
            row["id"], row["state"], row["queue"], row["task"], row["age"], row["kept"],
            row["awaited"],
        )  # fmt: skip
        if (left := retention.due_in(job)) <= 0:
            due.append((job.id, row["finished_at"]))
        else:
            later.append((job.id, left))
    if not due and not later:
        return Pruned(0, 0)
    removed = await session.fetch_value(
        "prune",
        [id_ for id_, _ in due],
        [finished_at for _, finished_at in due],
        [id_ for id_, _ in later],
        [seconds for _, seconds in later],
    )
    return Pruned(removed, len(later))


async def review_retention(session: Session, config: RetentionConfig, limit: int) -> bool:
    rules = Retention(config).rules

    async def work(connection: Connection) -> bool:
        stored = await connection.fetchrow(session.sql["review_retention_get"])
        if stored is None:
            await connection.execute(session.sql["review_retention_put"], rules, None)
            return False
        if stored["rules"] == rules and stored["reviewed"] is None:
            return False
        after = stored["reviewed"] if stored["rules"] == rules else SMALLEST_ID
        end = await connection.fetchval(session.sql["review_retention_end"], after, limit)
        if end is not None:
            await connection.execute(session.sql["review_retention"], after, end)
        await connection.execute(session.sql["review_retention_put"], rules, end)
        return end is not None

    return await session.transaction("review_retention", work)


def _rescued(rows: Iterable[Row]) -> list[Rescued]:
    return [
        Rescued(row["id"], row["queue"], JobState(row["state"]), row["awaited"]) for row in rows
    ]
