"""``app.nodes``: who executes jobs."""

from collections.abc import Callable

from elihu.clients.client import Client
from elihu.engines.protocol import NodeRow


class Nodes:
    """Looks at nodes."""

    def __init__(self, client: Callable[[], Client]) -> None:
        self._client = client

    async def list(self) -> list[NodeRow]:
        """Every node that has a row in the database."""
        return await (await self._client().ready()).nodes()
