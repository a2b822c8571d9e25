"""Broken builds: each takes one safeguard out of the program that it is applied in,
before that starts.

They show that the checker would notice. A text that is no longer found in the code is
an error: a mutant must never be the true build.
"""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from elihu.engines.postgres.queries import Queries
from elihu.engines.protocol import Inserted
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.engines.sqlite import exchange as sqlite_exchange
from elihu.engines.sqlite import insert as sqlite_insert
from elihu.engines.sqlite import maintenance as sqlite_upkeep
from elihu.enqueue.inserter import Inserter
from elihu.job import NewJob
from elihu.runtime.membership.heartbeat import Heartbeat
from elihu.runtime.queue.reconciler import Reconciler
from elihu.runtime.service import Tick
from oracle.recording import Database

BEFORE_COMMIT: Final = 0.05


@dataclass(frozen=True, slots=True)
class Mutant:
    """``patch`` breaks the process it is called in, ``tables`` are statements that
    break the database; ``engines`` are those that have the safeguard at all, and
    ``why_not`` says why another has none.
    """

    patch: Callable[[], None]
    engines: tuple[str, ...] = ("sqlite", "postgres")
    tables: str = ""
    why_not: str = ""


def guard_without_claim() -> None:
    """An acknowledgement counts for the state and the node, whichever claim it is of."""
    _in_postgres("exchange", " AND job.claim = d.claim AND node", " AND node")
    _in_postgres(
        "exchange", "), taken AS (", "  ON CONFLICT (job_id, claim) DO NOTHING\n), taken AS ("
    )
    _in_module(sqlite_exchange, "_WRITTEN", " AND job.claim = e.claim", "")
    _in_module(sqlite_exchange, "_HISTORY", " AND job.claim = e.claim", "")
    _in_module(sqlite_exchange, "_ACK", " AND j.claim = d.claim", "")


def rescue_by_age() -> None:
    """What has been executing for a second is taken for orphaned, whoever runs it."""
    for name in ("lost", "rescue"):
        _in_postgres(
            name,
            "NOT EXISTS (SELECT 1 FROM elihu.node n WHERE n.id = j.node)",
            "started_at < now() - interval '1 s'",
        )
    _in_module(
        sqlite_upkeep,
        "_LOST",
        "NOT EXISTS (SELECT 1 FROM node n WHERE n.id = job.node)",
        "started_at < (julianday('now') - 2440587.5) * 86400.0 - 1",
    )


def acknowledgement_waits() -> None:
    """An acknowledgement waits for a row that somebody holds."""
    _in_postgres(
        "exchange",
        "AND node = $1::uuid\n    FOR NO KEY UPDATE SKIP LOCKED",
        "AND node = $1::uuid\n    FOR NO KEY UPDATE",
    )


def no_reconcile() -> None:
    """What a lost answer claimed is never looked for."""

    async def tick(self: Reconciler) -> Tick:
        return Tick(self.scope.config.heartbeat)

    Reconciler.tick = tick  # type: ignore[method-assign]


def heartbeat_on_the_loop() -> None:
    """A heartbeat waits until the event loop that runs users' code has a moment."""
    beat = Heartbeat._beat

    async def waiting(self: Heartbeat, engine: Any) -> Any:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asyncio.sleep(0), self._outer))
        return await beat(self, engine)

    Heartbeat._beat = waiting  # type: ignore[method-assign]


def no_unique_index() -> None:
    """Uniqueness rests on looking first."""
    _in_postgres(
        "insert_unique",
        "ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL AND (unique_scope = 2\n"
        "    OR state IN ('suspended','scheduled','available','executing','retryable')"
        " OR (unique_scope = 1 AND state = 'completed')) DO NOTHING",
        "ON CONFLICT DO NOTHING",
    )

    def holders(session: object, keys: set[str]) -> dict[str, Inserted]:
        return {}

    sqlite_insert._holders = holders


def announced_before_commit() -> None:
    """A queue is announced, and then its job is committed."""
    many = Inserter.many

    async def announcing(self: Inserter, jobs: list[NewJob]) -> list[Inserted]:
        queues = {job.queue for job in jobs}
        self._announce(queues)
        await self._engine.notify([Signal(SignalKind.JOBS, queue) for queue in queues])
        await asyncio.sleep(BEFORE_COMMIT)
        announce, self._announce = self._announce, _unheard
        try:
            return await many(self, jobs)
        finally:
            self._announce = announce

    Inserter.many = announcing  # type: ignore[assignment, method-assign]


MUTANTS: Final[dict[str, Mutant]] = {
    "guard without the claim": Mutant(guard_without_claim),
    "rescue by age": Mutant(rescue_by_age),
    "acknowledgement waits for locks": Mutant(
        acknowledgement_waits, ("postgres",), why_not="one writer: no row is locked by another"
    ),
    "no reconcile": Mutant(no_reconcile),
    "heartbeat on the event loop": Mutant(
        heartbeat_on_the_loop, ("postgres",), why_not="a lock on a file tells life, not a heartbeat"
    ),
    "unique index dropped": Mutant(no_unique_index, tables="DROP INDEX {elihu}job_unique"),
    "announcement before commit, no polling": Mutant(
        announced_before_commit, ("postgres",), why_not="the commit itself is the announcement"
    ),
}


def apply(name: str | None) -> None:
    """Break this process as the mutant of this name; None is the true build."""
    if name:
        MUTANTS[name].patch()


async def break_tables(name: str | None, database: Database) -> None:
    """Break the database as the mutant of this name."""
    if name and MUTANTS[name].tables:
        await database.change(MUTANTS[name].tables)


def _unheard(queues: Iterable[str]) -> None:
    return None


def _in_postgres(name: str, old: str, new: str) -> None:
    make = Queries.__init__

    def broken(self: Queries, schema: str) -> None:
        make(self, schema)
        self._texts[name] = _replaced(
            name, self._texts[name], old.replace("elihu.", f'"{schema}".'), new
        )

    Queries.__init__ = broken  # type: ignore[method-assign]


def _in_module(module: Any, name: str, old: str, new: str) -> None:
    setattr(module, name, _replaced(name, getattr(module, name), old, new))


def _replaced(name: str, text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise LookupError(f"{name}: expected to find {old!r} once, got it {text.count(old)} times")
    return text.replace(old, new)
