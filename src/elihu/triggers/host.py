"""What triggers need of the app, and what the app decides for all of them."""

from collections.abc import AsyncIterable, Callable, Coroutine, Iterable
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


class TriggerHost(Enqueuer, Protocol):
    """The app, as triggers see it."""

    trigger_defaults: TriggerDefaults

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

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine of the app from synchronous code."""
        ...
