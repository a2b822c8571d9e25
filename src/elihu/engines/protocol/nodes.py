"""Membership and leadership."""

from datetime import datetime
from typing import NamedTuple, Protocol


class Peer(NamedTuple):
    """Another node: ``beat`` moves while it lives (None where the engine itself knows),
    ``dead`` when the engine found it so.
    """

    id: str
    beat: int | None
    dead: bool


class HeartbeatReply(NamedTuple):
    """The answer to a heartbeat: whether this node's row still stands, the others, and
    the seconds until the leader's lease ends (None: no leader, or the engine cannot
    tell).
    """

    known: bool
    peers: list[Peer]
    lease_ends_in: float | None


class NodeRow(NamedTuple):
    """A node as the database knows it; ``beat_at`` is None where the engine holds a
    lock in place of a heartbeat.
    """

    id: str
    name: str
    started_at: datetime
    beat_at: datetime | None
    leader: bool
    running: int
    info: dict[str, object]


class Nodes(Protocol):
    """The part of ``Engine`` for nodes."""

    async def register_node(self, node: str, name: str, info: dict[str, object]) -> None:
        """Write a new node's row (SQLite: take its lock first). Where no other lives, a
        first node starts: ``@reboot`` is due.
        """
        ...

    async def update_node_info(self, node: str, info: dict[str, object]) -> None:
        """Write what the node says of itself now."""
        ...

    async def deregister_node(self, node: str) -> None:
        """Remove the node's row (SQLite: and its lock)."""
        ...

    async def heartbeat(self, node: str) -> HeartbeatReply:
        """Raise the node's beat and look at everybody else."""
        ...

    async def peers(self, node: str) -> list[Peer]:
        """The other nodes, without beating."""
        ...

    async def remove_dead_node(self, node: str, beat: int | None) -> bool:
        """Remove a dead node's row if its beat is still ``beat``; whether it was
        removed by this call.
        """
        ...

    async def remove_silent_nodes(self, silence: float) -> list[str]:
        """Remove the nodes that gave no sign of life for ``silence`` seconds by the
        database's clock, or whose lock nobody holds; their ids. For one that does not
        watch them for as long.
        """
        ...

    async def lead(self, node: str, lease: float) -> bool:
        """Take or renew leadership for ``lease`` seconds; whether the node is the
        leader now.
        """
        ...

    async def resign(self, node: str) -> bool:
        """Give leadership up; whether the node had it."""
        ...

    async def nodes(self) -> list[NodeRow]: ...
