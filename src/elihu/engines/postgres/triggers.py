"""The ledger of triggers that act on a record once."""

from collections.abc import Collection, Sequence

from elihu.engines.postgres.session import Session


async def acted(
    session: Session, trigger: str, digests: Sequence[bytes], period: float | None
) -> Collection[bytes]:
    rows = await session.fetch("acted", trigger, list(digests), period)
    return {row["digest"] for row in rows}
