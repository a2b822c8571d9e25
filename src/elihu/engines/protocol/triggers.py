"""The ledger of triggers that act on a record once."""

from collections.abc import Collection, Sequence
from typing import Protocol


class Triggers(Protocol):
    """The part of ``Engine`` for triggers."""

    async def acted(
        self, trigger: str, digests: Sequence[bytes], period: float | None
    ) -> Collection[bytes]:
        """Those of ``digests`` on which the trigger has acted, with a ``period`` within
        the last so many seconds. An action writes its row in its own transaction:
        ``in_transaction``, ``act_once``.
        """
        ...
