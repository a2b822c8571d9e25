"""Membership and leadership."""

import json

from elihu.engines.postgres.connect import Connection
from elihu.engines.postgres.session import Session
from elihu.engines.protocol import HeartbeatReply, NodeRow, Peer
from elihu.engines.rows import info_of


async def register_node(session: Session, node: str, name: str, info: dict[str, object]) -> None:
    """A lock in its transaction lets one node register at a time, so that only one of
    them is the first.
    """

    async def work(connection: Connection) -> None:
        await connection.execute(session.sql["register_node_lock"], session.config.schema)
        await connection.execute(
            session.sql["register_node"], node, name, json.dumps(info), session.config.dead_after
        )

    await session.transaction("register_node", work)


async def update_node_info(session: Session, node: str, info: dict[str, object]) -> None:
    await session.fetch("update_node_info", node, json.dumps(info), waits=True)


async def deregister_node(session: Session, node: str) -> None:
    await session.fetch("deregister_node", node)


async def heartbeat(session: Session, node: str, lease: float | None) -> HeartbeatReply:
    row = await session.fetch_row("heartbeat", node, lease)
    assert row is not None
    peers = [Peer(id_, beat, False) for id_, beat in zip(row["ids"], row["beats"], strict=True)]
    return HeartbeatReply(
        row["known"],
        peers,
        row["lease_ends_in"],
        row["executes"],
        row["overrides"],
        row["now"],
        row["leads"],
        row["crons"],
    )


async def peers(session: Session, node: str) -> list[Peer]:
    return [Peer(row["id"], row["beat"], False) for row in await session.fetch("peers", node)]


async def remove_dead_node(session: Session, node: str, beat: int | None) -> bool:
    return await session.fetch_value("remove_dead_node", node, beat) is not None


async def remove_silent_nodes(session: Session, silence: float) -> list[str]:
    return [row["id"] for row in await session.fetch("remove_silent_nodes", silence)]


async def lead(session: Session, node: str, lease: float) -> bool:
    return await session.fetch_value("lead", node, lease) is not None


async def resign(session: Session, node: str) -> bool:
    return await session.fetch_value("resign", node) is not None


async def nodes(session: Session) -> list[NodeRow]:
    return [
        NodeRow(
            row["id"],
            row["name"],
            row["started_at"],
            row["beat_at"],
            row["leader"],
            row["running"],
            info_of(row["info"]),
            row["dead"],
        )
        for row in await session.fetch("nodes", session.config.dead_after)
    ]
