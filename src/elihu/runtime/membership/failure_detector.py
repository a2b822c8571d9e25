"""Which of the other nodes are dead, by the observer's own monotonic time. Pure: without
a database or a clock.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from elihu.engines.protocol import Peer


@dataclass(slots=True)
class _Observed:
    beat: int
    since: float


class FailureDetector:
    """A node is dead when its beat did not change for ``dead_after`` seconds, during
    which every observation succeeded in time.

    An observation that failed, or came later than two heartbeats after the one before
    (this process was frozen, or the database away), starts the count again: what was
    not observed proves nothing.
    """

    def __init__(self, *, heartbeat: float, dead_after: float) -> None:
        self._gap = 2 * heartbeat
        self._dead_after = dead_after
        self._observed: dict[str, _Observed] = {}
        self._last: float | None = None

    def observe(self, now: float, peers: Iterable[Peer]) -> list[Peer]:
        """Take in what was read at ``now`` (monotonic seconds) and return the peers
        that are dead.
        """
        if self._last is not None and now - self._last > self._gap:
            self.reset()
        self._last = now
        dead = []
        observed: dict[str, _Observed] = {}
        for peer in peers:
            if peer.beat is None:
                dead += [peer] if peer.dead else []
                continue
            known = self._observed.get(peer.id)
            if known is None or known.beat != peer.beat:
                known = _Observed(peer.beat, now)
            elif now - known.since >= self._dead_after:
                dead.append(peer)
            observed[peer.id] = known
        self._observed = observed
        return dead

    def reset(self) -> None:
        """Start the count again, since an observation failed."""
        self._observed = {}
        self._last = None

    def next_check(self) -> float:
        """The earliest moment (monotonic seconds) at which a node could be found dead;
        infinite where none is observed.
        """
        return min(
            (known.since + self._dead_after for known in self._observed.values()),
            default=math.inf,
        )
