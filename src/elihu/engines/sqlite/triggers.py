"""The ledger of triggers that act on a record once."""

from collections.abc import Collection, Sequence
from typing import Final

from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.rows import dump
from elihu.engines.sqlite.session import Session

_ACTED: Final = statement("acted")


def acted(
    session: Session, trigger: str, digests: Sequence[bytes], period: float | None
) -> Collection[bytes]:
    asked = {
        "trigger": trigger,
        "digests": dump([digest.hex() for digest in digests]),
        "period": period,
    }
    return {bytes.fromhex(digest) for (digest,) in session.rows(_ACTED, asked)}
