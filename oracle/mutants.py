"""Mutants: each takes one safeguard out of the process that it is applied in, before
that process starts to work.

They show that the checker finds what the safeguard prevents. A text that is not found
in the code is an error: a mutant must never be the true build.
"""

import asyncio
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

from elihu.commands.runner import start
from elihu.engines.postgres.queries import Queries
from elihu.engines.protocol import Inserted
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.engines.sqlite import insert as sqlite_insert
from elihu.engines.sqlite import queries as sqlite_queries
from elihu.enqueue.inserter import Inserter
from elihu.job import NewJob
from elihu.runtime.housekeeping import Housekeeping
from elihu.runtime.membership.heartbeat import Heartbeat
from elihu.runtime.queue.reconciler import Reconciler
from elihu.runtime.queue.wakes import DELAY
from elihu.runtime.service import Tick
from oracle.recording import Database

BEFORE_COMMIT: Final = 5 * max(DELAY)
"""Seconds from the announcement to the commit: longer than a node puts a fetch off."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """``patch`` breaks the process it is called in; ``tables`` are statements that
    break the database. ``engines`` are those that have the safeguard; ``why_not`` says
    why another has none.
    """

    patch: Callable[[], None]
    engines: tuple[str, ...] = ("sqlite", "postgres")
    tables: str = ""
    why_not: str = ""


def guard_without_claim() -> None:
    """An acknowledgement of any claim ends the job, if the state and the node match."""
    for name in ("exchange", "exchange_plain"):
        _in_postgres(name, "AND job.claim = d.claim AND node", "AND node")
    _in_sqlite("exchange_written", "AND job.claim = e.claim", "")
    _in_sqlite("exchange_runs", "AND job.claim = e.claim", "")
    _in_sqlite("exchange_ack", "AND j.claim = d.claim", "")


def rescue_by_age() -> None:
    """A job that has been executing for a second counts as orphaned."""
    for name in ("rescue_lost", "rescue"):
        _in_postgres(
            name,
            "node = ANY(ARRAY(SELECT node FROM dead))",
            "started_at < now() - interval '1 s'",
        )
    _in_sqlite(
        "rescue_lost",
        "NOT EXISTS (SELECT 1 FROM node n WHERE n.id = job.node)",
        "started_at < (julianday('now') - 2440587.5) * 86400.0 - 1",
    )


def rescue_by_table() -> None:
    """A rescue looks for the node of each row in the table of nodes, as of the
    statement's beginning.
    """
    _in_postgres(
        "rescue",
        "node = ANY(ARRAY(SELECT node FROM dead))",
        "NOT EXISTS (SELECT 1 FROM elihu.node n WHERE n.id = j.node)",
    )


def acknowledgement_waits() -> None:
    """An acknowledgement waits for a row that another transaction locks."""
    for name in ("exchange", "exchange_plain"):
        _in_postgres(
            name,
            "AND node = $1::uuid FOR NO KEY UPDATE SKIP LOCKED",
            "AND node = $1::uuid FOR NO KEY UPDATE",
        )


def no_reconcile() -> None:
    """Claims of a lost answer are never searched for."""

    async def tick(self: Reconciler) -> Tick:
        return Tick(self.scope.config.heartbeat)

    Reconciler.tick = tick  # type: ignore[method-assign]


def heartbeat_on_the_loop() -> None:
    """A heartbeat waits for the event loop that runs users' code."""
    beat, start = Heartbeat._beat, Housekeeping.start
    loops: list[asyncio.AbstractEventLoop] = []

    async def starting(self: Housekeeping) -> str:
        loops[:] = [asyncio.get_running_loop()]
        return await start(self)

    async def waiting(self: Heartbeat, engine: Any) -> Any:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loops[0]))
        return await beat(self, engine)

    Housekeeping.start = starting  # type: ignore[method-assign]
    Heartbeat._beat = waiting  # type: ignore[method-assign]


def no_unique_index() -> None:
    """Uniqueness is checked before the insert only."""
    _in_postgres(
        "insert_unique",
        "ON CONFLICT (unique_key) WHERE unique_key IS NOT NULL AND (unique_scope = 2 "
        "OR state IN ('suspended','scheduled','available','executing','retryable')"
        " OR (unique_scope = 1 AND state = 'completed')) DO NOTHING",
        "ON CONFLICT DO NOTHING",
    )

    def holders(session: object, keys: set[str]) -> dict[str, Inserted]:
        return {}

    assert hasattr(sqlite_insert, "_holders")
    sqlite_insert._holders = holders


def announced_before_commit() -> None:
    """A queue is announced before its job is committed."""
    many = Inserter.many

    async def announcing(self: Inserter, jobs: list[NewJob]) -> list[Inserted]:
        queues = {job.queue for job in jobs}
        self._announce(queues)
        await self._engine.notify([Signal(SignalKind.JOBS, queue) for queue in queues])
        await asyncio.sleep(BEFORE_COMMIT)
        announce, self._announce = self._announce, _ignore
        try:
            return await many(self, jobs)
        finally:
            self._announce = announce

    Inserter.many = announcing  # type: ignore[assignment, method-assign]


def orphans_not_adopted() -> None:
    """The supervisor of a command does not become the parent of what the command leaves
    behind.
    """
    before = "from elihu.commands.runner.supervisor import main"
    start._BOOT = _replaced(
        "start",
        start._BOOT,
        before,
        f"from elihu.processes import prctl\nprctl.adopt_orphans = lambda: None\n{before}",
    )


def trigger_ends_later() -> None:
    """The end of a trigger's job is not in the transaction of its action."""
    runner = import_module("elihu.triggers.run").Runner
    runner._end = lambda *_: False


MUTANTS: Final[dict[str, Mutant]] = {
    "guard without the claim": Mutant(guard_without_claim),
    "rescue by age": Mutant(rescue_by_age),
    "rescue by the table of nodes": Mutant(
        rescue_by_table, ("postgres",), why_not="one writer: rescues do not overlap"
    ),
    "acknowledgement waits for locks": Mutant(
        acknowledgement_waits, ("postgres",), why_not="one writer: no other transaction locks a row"
    ),
    "no reconcile": Mutant(no_reconcile),
    "heartbeat on the event loop": Mutant(
        heartbeat_on_the_loop,
        ("postgres",),
        why_not="a locked file, not a heartbeat, shows that a node lives",
    ),
    "unique index dropped": Mutant(no_unique_index, tables="DROP INDEX {elihu}job_unique"),
    "announcement before commit, no polling": Mutant(
        announced_before_commit, ("postgres",), why_not="the commit itself is the announcement"
    ),
    "triggers end outside of their transactions": Mutant(trigger_ends_later),
    "orphans of commands not adopted": Mutant(orphans_not_adopted),
}


def apply(name: str | None) -> None:
    """Break this process as the mutant of this name; None is the true build."""
    if name:
        MUTANTS[name].patch()


async def break_tables(name: str | None, database: Database) -> None:
    """Break the database as the mutant of this name."""
    if name and MUTANTS[name].tables:
        await database.change(MUTANTS[name].tables)


def _ignore(queues: Iterable[str], /, *, only_here: bool = False) -> None:
    return None


def _in_postgres(name: str, old: str, new: str) -> None:
    init = Queries.__init__

    def mutated(self: Queries, schema: str) -> None:
        init(self, schema)
        self._texts[name] = _replaced(
            name, self._texts[name], old.replace("elihu.", f'"{schema}".'), new
        )

    Queries.__init__ = mutated  # type: ignore[method-assign]


def _in_sqlite(name: str, old: str, new: str) -> None:
    import_module("elihu.engines.sqlite.engine")
    text = sqlite_queries.statement(name)
    mutated = _replaced(name, text, old, new)
    constants = [
        (module, constant)
        for path, module in list(sys.modules.items())
        if path.startswith("elihu.engines.sqlite")
        for constant, value in vars(module).items()
        if value == text
    ]
    if not constants:
        raise LookupError(f"{name}: expected a constant with this statement, found none")
    for module, constant in constants:
        setattr(module, constant, mutated)


def _replaced(name: str, text: str, old: str, new: str) -> str:
    """The text with ``new`` for the one place of ``old``, however its spaces are."""
    pattern = r"\s+".join(map(re.escape, old.split()))
    found, times = re.subn(pattern, lambda _: new, text)
    if times != 1:
        raise LookupError(f"{name}: expected {old!r} once, found it {times} times")
    return found
