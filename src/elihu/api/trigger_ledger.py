"""On which records a trigger with ``once`` has acted."""

from collections.abc import Callable, Collection, Sequence

from elihu.clients.client import Client
from elihu.config import Config
from elihu.engines.in_transaction import Act, open_session


class TriggerLedger:
    """Reads the ledger through the app's own connection, and writes it in the
    transaction of an action.
    """

    def __init__(self, client: Callable[[], Client], config: Callable[[], Config]) -> None:
        self._client = client
        self._config = config

    async def acted(
        self, trigger: str, digests: Sequence[bytes], period: float | None
    ) -> Collection[bytes]:
        """Those of ``digests`` on which the trigger has acted, with a ``period`` within
        the last so many seconds.
        """
        engine = await self._client().ready()
        return await engine.acted(trigger, digests, period)

    def act_once(
        self, conn: object, trigger: str, digests: Sequence[bytes], period: float | None
    ) -> set[bytes]:
        """Write that the trigger acts, in the transaction of a synchronous ``conn``;
        the digests on which it had not acted. Raises ``WrongDatabase``.
        """
        return open_session(conn, self._config()).act_once(Act(trigger, digests, period))

    def forget_act(self, conn: object, trigger: str, digests: Sequence[bytes]) -> None:
        """Take back what ``act_once`` wrote in the transaction of ``conn``."""
        open_session(conn, self._config()).forget_act(Act(trigger, digests, None))
