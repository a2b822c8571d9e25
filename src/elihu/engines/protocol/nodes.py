"""Membership and leadership."""

from datetime import datetime
from typing import NamedTuple, Protocol


class Peer(NamedTuple):
    """Another node. ``beat`` rises while it lives; it is None where the engine itself
    knows who is dead. ``dead`` is true when the engine knows the node is dead.
    """

    id: str
    beat: int | None
    dead: bool


class HeartbeatReply(NamedTuple):
    """The answer to a heartbeat: whether this node is still registered, the other nodes,
    the seconds until the leader's lease ends (None without a leader, and where there is
    no lease), whether jobs execute in this node's name, a digest of the queue overrides
    that apply to it, the database's time in Unix seconds, whether the node leads (None
    where that was not asked, and where the answer would have had to wait for another
    transaction), and a digest of the cron entries and the ids of the nodes (None where
    leadership was not asked for).
    """

    known: bool
    peers: list[Peer]
    lease_ends_in: float | None
    executes: bool
    overrides: str
    now: float
    leads: bool | None
    crons: str | None


class NodeRow(NamedTuple):
    """A registered node. ``beat_at`` is None where the node holds a lock in place of
    heartbeats. ``dead``: its lock is free, or its last heartbeat is more than ``dead_after``
    seconds ago by the database's clock, and nobody has removed its row.
    """

    id: str
    name: str
    started_at: datetime
    beat_at: datetime | None
    leader: bool
    running: int
    info: dict[str, object]
    dead: bool


class Nodes(Protocol):
    """Membership and leadership."""

    async def register_node(self, node: str, name: str, info: dict[str, object]) -> None:
        """Write a new node's row. SQLite: take its lock first. Where no other node lives,
        ``@reboot`` entries become due.
        """
        ...

    async def update_node_info(self, node: str, info: dict[str, object]) -> None:
        """Write the node's current ``info``."""
        ...

    async def deregister_node(self, node: str) -> None:
        """Remove the node's row. SQLite: and its lock."""
        ...

    async def heartbeat(self, node: str, *, lease: float | None = None) -> HeartbeatReply:
        """Raise the node's beat and read the other nodes. With ``lease``, renew the
        leadership that the node has for so many seconds.
        """
        ...

    async def peers(self, node: str) -> list[Peer]:
        """The other nodes, without a heartbeat."""
        ...

    async def remove_dead_node(self, node: str, beat: int | None) -> bool:
        """Remove a dead node's row if its beat is still ``beat``. True where this call
        removed it.
        """
        ...

    async def remove_silent_nodes(self, silence: float) -> list[str]:
        """Remove the nodes without a heartbeat for ``silence`` seconds by the database's
        clock (SQLite: the nodes whose lock is free), and return their ids. For callers
        that do not watch nodes themselves.
        """
        ...

    async def lead(self, node: str, lease: float) -> bool:
        """Take or renew leadership for ``lease`` seconds. True where the node leads
        now.
        """
        ...

    async def resign(self, node: str) -> bool:
        """Give up leadership. True where the node had it."""
        ...

    async def nodes(self) -> list[NodeRow]:
        """All nodes, also the dead ones whose row is still there, oldest first."""
        ...
