"""Which of the other nodes are dead, by a watcher's own monotonic time: pure, without a
database or a clock.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from elihu.engines.protocol import Peer


@dataclass(slots=True)
class _Seen:
    beat: int
    since: float


class FailureDetector:
    """A node is dead when its beat stood still for ``dead_after`` seconds of looks that
    all succeeded in time.

    A look that failed, or came later than two heartbeats after the one before (the
    watcher itself was frozen, or the database away), starts the count anew: what was
    not watched proves nothing.
    """

    def __init__(self, *, heartbeat: float, dead_after: float) -> None:
        self._gap = 2 * heartbeat
        self._dead_after = dead_after
        self._seen: dict[str, _Seen] = {}
        self._last_look: float | None = None

    def look(self, now: float, peers: Iterable[Peer]) -> list[Peer]:
        """Take in what was read at ``now`` (monotonic seconds) and return the peers
        that are dead.
        """
        if self._last_look is not None and now - self._last_look > self._gap:
            self.forget()
        self._last_look = now
        dead = []
        seen: dict[str, _Seen] = {}
        for peer in peers:
            if peer.beat is None:
                dead += [peer] if peer.dead else []
                continue
            known = self._seen.get(peer.id)
            if known is None or known.beat != peer.beat:
                known = _Seen(peer.beat, now)
            elif now - known.since >= self._dead_after:
                dead.append(peer)
            seen[peer.id] = known
        self._seen = seen
        return dead

    def forget(self) -> None:
        """A look failed: begin to count anew."""
        self._seen = {}
        self._last_look = None

    def next_look(self) -> float:
        """The earliest moment (monotonic seconds) at which some node could be found
        dead; infinite where none is watched.
        """
        return min(
            (seen.since + self._dead_after for seen in self._seen.values()), default=math.inf
        )
