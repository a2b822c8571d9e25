"""What the services of a node do to jobs: stage, rescue, reconcile, expire, prune."""

from collections.abc import Iterable, Sequence
from typing import Final

from elihu.engines.postgres.filters import prunable
from elihu.engines.postgres.rows import Row
from elihu.engines.postgres.session import Session
from elihu.engines.protocol import Expired, PruneRule, Rescued
from elihu.errors import DataRefused
from elihu.job import Intent, JobState

_INTENTS: Final = [intent.value for intent in Intent]


async def stage(session: Session, limit: int) -> dict[str, int]:
    return {row["queue"]: row["staged"] for row in await session.fetch("stage", limit)}


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


async def record_progress(
    session: Session, node: str, progress: Sequence[tuple[int, int, str]]
) -> None:
    if progress:
        ids, claims, texts = (list(column) for column in zip(*progress, strict=True))
        await session.fetch("record_progress", node, ids, claims, texts)


async def prune(session: Session, rule: PruneRule, limit: int) -> int:
    covered = prunable(rule, 3)
    return int(await session.fetch_value("prune", rule.age, limit, *covered.values, where=covered))


def _rescued(rows: Iterable[Row]) -> list[Rescued]:
    return [
        Rescued(row["id"], row["queue"], JobState(row["state"]), row["awaited"]) for row in rows
    ]
