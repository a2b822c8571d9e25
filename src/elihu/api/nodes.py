"""``app.nodes``: the processes that execute jobs."""

from collections.abc import Callable

from elihu.clients.client import Client
from elihu.engines.protocol import Engine, NodeRow


class Nodes:
    """Reads the table of nodes."""

    def __init__(self, client: Callable[[], Client]) -> None:
        self._client = client

    async def list(self) -> list[NodeRow]:
        """Every living node, oldest first."""
        return await living_nodes(await self._client().ready())


async def living_nodes(engine: Engine) -> list[NodeRow]:
    """The nodes without those that are dead and whose row nobody has removed."""
    return [node for node in await engine.nodes() if not node.dead]
