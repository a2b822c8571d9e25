"""What triggers need of the app, and what the app decides for all of them."""

from collections.abc import AsyncIterable, Callable, Collection, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from elihu.enqueue import Enqueued
from elihu.job import NewJob
from elihu.task import Enqueuer
from elihu.triggers.options import ActorPersister


@dataclass(frozen=True, slots=True, kw_only=True)
class TriggerDefaults:
    """What holds for every trigger that does not say otherwise: where sessions come
    from, the tenants, who acts, and who may. ``debug_all`` logs each step of all.
    """

    sessions: Any = None
    tenants: Any = None
    tenant_from_record: Callable[[Any], Any] | None = None
    actor_persister: ActorPersister | None = None
    default_actor: Any = None
    authorize: Callable[..., Any] | None = None
    debug_all: bool = False


class Ledger(Protocol):
    """On which records triggers with ``once`` have acted."""

    async def acted(
        self, trigger: str, digests: Sequence[bytes], period: float | None
    ) -> Collection[bytes]:
        """Those of ``digests`` on which the trigger has acted."""
        ...

    def act_once(
        self, conn: object, trigger: str, digests: Sequence[bytes], period: float | None
    ) -> set[bytes]:
        """Write that the trigger acts; the digests on which it had not."""
        ...

    def forget_act(self, conn: object, trigger: str, digests: Sequence[bytes]) -> None:
        """Take back what ``act_once`` wrote in the transaction of ``conn``."""
        ...


class TriggerHost(Enqueuer, Protocol):
    """The app, as triggers see it."""

    @property
    def trigger_defaults(self) -> TriggerDefaults: ...

    @property
    def trigger_ledger(self) -> Ledger: ...

    def enqueue_many(
        self,
        jobs: Iterable[NewJob] | AsyncIterable[NewJob],
        *,
        ids: bool = False,
        conn: Any = None,
        notify: bool = True,
    ) -> Coroutine[Any, Any, Enqueued]:
        """Store jobs in chunks, or in the transaction of ``conn``."""
        ...
