"""Membership and leadership. Rows name the nodes; file locks show which of them live."""

import hashlib
from typing import Final

from elihu.engines.protocol import HeartbeatReply, NodeRow, Peer
from elihu.engines.sqlite.locks import Locks
from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.rows import dump, node_from
from elihu.engines.sqlite.session import Session

_BOOT: Final = statement("register_node_boot")
_REGISTER: Final = statement("register_node")
_UPDATE_INFO: Final = statement("update_node_info")
_REMOVE: Final = statement("remove_dead_node")
_PEERS: Final = statement("peers")
_EXECUTES: Final = statement("heartbeat_executes")
_OVERRIDES: Final = statement("queue_overrides")
_CRONS: Final = statement("heartbeat_crons")
_LASTING: Final = statement("register_node_lasting")
_NODES: Final = statement("nodes")


def register_node(
    session: Session, locks: Locks, node: str, name: str, info: dict[str, object]
) -> None:
    """SQLite: the lock is taken before the row is written, so that every process that
    reads the row finds the lock held. A node of a single round (``once``) does not count
    as living.
    """
    locks.take_node(node)
    try:
        with session.write():
            if "once" not in info and all(
                locks.is_dead(other) for (other,) in session.rows(_LASTING) if other != node
            ):
                session.execute(_BOOT, {"now": session.now()})
            session.execute(_REGISTER, {"node": node, "name": name, "info": dump(info)})
    except BaseException:
        locks.drop_node(node)
        raise


def update_node_info(session: Session, node: str, info: dict[str, object]) -> None:
    session.execute(_UPDATE_INFO, {"node": node, "info": dump(info)})


def deregister_node(session: Session, locks: Locks, node: str) -> None:
    session.rows(_REMOVE, {"node": node})
    locks.drop_node(node)


def heartbeat(session: Session, locks: Locks, node: str, lease: float | None) -> HeartbeatReply:
    """SQLite: the locks need no renewal, so nothing is written."""
    ids = [id_ for (id_,) in session.rows(_PEERS)]
    known = node in ids
    return HeartbeatReply(
        known,
        _peers(locks, ids, node),
        None,
        bool(session.rows(_EXECUTES, {"node": node})),
        _digest(session.rows(_OVERRIDES, {"node": node})),
        session.now(),
        None if lease is None else known and locks.leader() == node,
        None if lease is None else _digest([*session.rows(_CRONS), ids]),
    )


def _digest(rows: object) -> str:
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def peers(session: Session, locks: Locks, node: str) -> list[Peer]:
    return _peers(locks, [id_ for (id_,) in session.rows(_PEERS)], node)


def _peers(locks: Locks, ids: list[str], node: str) -> list[Peer]:
    return [Peer(id_, None, locks.is_dead(id_)) for id_ in ids if id_ != node]


def remove_dead_node(session: Session, locks: Locks, node: str) -> bool:
    if not locks.is_dead(node):
        return False
    removed = bool(session.rows(_REMOVE, {"node": node}))
    if removed:
        locks.drop_node(node)
    return removed


def dead_nodes(session: Session, locks: Locks) -> list[str]:
    """The nodes whose lock is free and whose row is still there."""
    return [id_ for (id_,) in session.rows(_PEERS) if locks.is_dead(id_)]


def remove_silent_nodes(session: Session, locks: Locks) -> list[str]:
    return [id_ for (id_,) in session.rows(_PEERS) if remove_dead_node(session, locks, id_)]


def lead(session: Session, locks: Locks, node: str) -> bool:
    """SQLite: a lock that this engine holds for a node that is gone is released first."""
    holder = locks.leader_here
    if holder not in {None, node} and (holder,) not in session.rows(_PEERS):
        locks.resign(str(holder))
    return locks.lead(node)


def resign(session: Session, locks: Locks, node: str) -> bool:
    return locks.resign(node)


def nodes(session: Session, locks: Locks) -> list[NodeRow]:
    leader = locks.leader()
    return [node_from(row, leader, locks.is_dead(row[0])) for row in session.rows(_NODES)]
