"""Claims that wait in this node until a slot of their queue is free (``prefetch``).

The database shows their jobs as executing, and no other node can take them. So the line
is asked for more claims only when half of it is empty, and it gives its claims back when
none of them may start.
"""

from bisect import insort
from collections.abc import Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from elihu.engines.protocol import ClaimedJob

Key = tuple[int, int]
"""A job's id and the number of its claim."""


class WaitingClaim(NamedTuple):
    """A claim, and when its answer arrived, by the node's monotonic clock."""

    claim: ClaimedJob
    since: float

    def expires(self, now: float) -> bool:
        """Whether the job's expiry has passed, by the time since the claim."""
        expires_at, claimed_at = self.claim.expires_at, self.claim.started_at
        return (
            expires_at is not None and (expires_at - claimed_at).total_seconds() <= now - self.since
        )


_ORDER: Final = attrgetter("claim")


class Line:
    """At most ``most`` claims, in the order of fetch: one of a higher priority passes
    those that wait already.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._waiting: list[WaitingClaim] = []

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def keys(self) -> list[Key]:
        return [(waiting.claim.id, waiting.claim.claim) for waiting in self._waiting]

    @property
    def room(self) -> int:
        """How many claims to ask for: none until half of the line is empty."""
        waiting = len(self._waiting)
        return self.most - waiting if 2 * waiting <= self.most else 0

    def add(self, claims: Sequence[ClaimedJob], now: float) -> None:
        """Let these claims, which are in the order of fetch, wait."""
        new = [WaitingClaim(claim, now) for claim in claims]
        if not self._waiting or self._waiting[-1].claim < claims[0]:
            self._waiting += new
        else:
            for waiting in new:
                insort(self._waiting, waiting, key=_ORDER)

    def take(self, most: int) -> list[WaitingClaim]:
        """Remove and return the first ``most`` claims."""
        taken, self._waiting = self._waiting[:most], self._waiting[most:]
        return taken

    def remove(self, key: Key) -> ClaimedJob | None:
        """Remove and return the claim with this key; None where it does not wait."""
        for place, (claim, _) in enumerate(self._waiting):
            if (claim.id, claim.claim) == key:
                del self._waiting[place]
                return claim
        return None

    def clear(self) -> list[ClaimedJob]:
        """Remove and return all claims."""
        return [waiting.claim for waiting in self.take(len(self._waiting))]
