"""``app.nodes``: the processes that execute jobs."""

from collections.abc import Callable

from elihu.clients.client import Client
from elihu.engines.protocol import NodeRow


class Nodes:
    """Reads the table of nodes."""

    def __init__(self, client: Callable[[], Client]) -> None:
        self._client = client

    async def list(self) -> list[NodeRow]:
        """Every registered node."""
        return await (await self._client().ready()).nodes()
