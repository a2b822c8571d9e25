"""The SQLite engine: each verb is one call of a thread that owns a connection.

One thread writes, and answers what a node asks in its course; another reads for the
jobs API, so that a long read never stands before the hot path.
"""

import sqlite3
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Concatenate, Final, NamedTuple, ParamSpec, TypeVar

from elihu.config import Config
from elihu.engines.protocol import (
    Ack,
    AckStatus,
    BulkResult,
    Exchange,
    Expired,
    HeartbeatReply,
    Inserted,
    NodeRow,
    Peer,
    Position,
    PruneRule,
    QueueLoad,
    QueueOverride,
    Rescued,
)
from elihu.engines.protocol.crons import CronRow, CronTable, TickJob
from elihu.engines.protocol.signals import Notifier, Signal
from elihu.engines.protocol.templates import Front, Place
from elihu.engines.protocol.waits import AwaitedJob, JobEnd, LateResult, Wait
from elihu.engines.sqlite import (
    changes,
    crons,
    exchange,
    insert,
    maintenance,
    migrations,
    nodes,
    queues,
    reads,
    templates,
    waits,
)
from elihu.engines.sqlite.connection import check_library, connect, database_path
from elihu.engines.sqlite.locks import Locks
from elihu.engines.sqlite.notifier import SqliteNotifier
from elihu.engines.sqlite.queries import statement
from elihu.engines.sqlite.session import EAGER_LOOK, LOOK, DatabaseThread, Session
from elihu.errors import DatabaseUnavailable, SchemaOutdated
from elihu.job import Intent, Job, JobChanges, JobFilter, NewJob, Run
from elihu.telemetry.bus import Bus
from elihu.telemetry.events import EngineCalled
from elihu.template import NewTemplate, Template

P = ParamSpec("P")
T = TypeVar("T")

_ENDING: Final = statement("ending")


class _Threads(NamedTuple):
    writer: DatabaseThread
    reader: DatabaseThread


class SqliteEngine:
    """Jobs in one SQLite file, of which many processes of one machine make use.

    ``config.database_url`` names the file. Raises ``ConfigError`` for a URL that names
    none, and for a SQLite older than 3.40.
    """

    name = "sqlite"

    def __init__(self, config: Config, bus: Bus) -> None:
        check_library()
        path = database_path(config.database_url)
        self._path = path
        self._config = config
        self._bus = bus
        self._locks = Locks(path)
        self._threads: _Threads | None = None
        self._connected = False

    async def open(self, *, make: bool = True) -> None:
        """Connect, and with ``make`` make the file where there is none. Safe to call
        twice.

        Raises ``ConfigError`` where it is no SQLite database, and ``SchemaOutdated``
        where nothing is there and nothing is to be made.
        """
        if not make and not self._path.exists():
            raise SchemaOutdated(
                f"{self._path}: expected a database with the tables of Elihu, got none: run "
                '"elihu migrate"'
            )
        if self._threads is None:
            self._threads = _Threads(
                DatabaseThread(
                    "elihu-sqlite-writer",
                    partial(_writer_connection, self._path, self._config),
                    self._config.call_timeout,
                ),
                DatabaseThread(
                    "elihu-sqlite-reader",
                    partial(_reader_connection, self._path, self._config),
                    self._config.call_timeout,
                ),
            )
            for thread in self._threads:
                thread.start()
        if not self._connected:
            await self._write("open", migrations.version)
            self._connected = True

    async def close(self) -> None:
        """Finish the calls made so far, disconnect and let go of the locks. Safe to
        call twice, and before ``open``.
        """
        for thread in self._leave():
            await thread.close()
        self._locks.close()

    def abandon(self) -> None:
        """As ``close``, without waiting: the loop is no more."""
        for thread in self._leave():
            thread.abandon()
        self._locks.close()

    async def schema_version(self) -> int:
        return await self._write("schema_version", migrations.version)

    async def migrate(self) -> list[int]:
        return await self._call(
            self._open_threads().writer, "migrate", migrations.migrate, deadline=False
        )

    async def check_schema(self) -> None:
        await self._call(
            self._open_threads().writer, "check_schema", migrations.check, deadline=False
        )

    async def installation(self) -> str:
        return await self._read("installation", reads.installation)

    async def insert(self, jobs: Sequence[NewJob]) -> list[Inserted]:
        return await self._write("insert", insert.insert, jobs) if jobs else []

    async def exchange(
        self,
        node: str,
        queue: str,
        free: int,
        acks: Sequence[Ack],
        *,
        after: Position | None = None,
        exclude: Sequence[str] = (),
    ) -> Exchange:
        return await self._write(
            "exchange", exchange.exchange, node, queue, free, acks, after, exclude
        )

    async def ack_statuses(
        self, node: str, acks: Sequence[Ack]
    ) -> dict[tuple[int, int], AckStatus]:
        return await self._write("ack_statuses", exchange.ack_statuses, node, acks) if acks else {}

    async def notify(self, signals: Sequence[Signal]) -> None:
        """Nothing to send: a commit is an announcement by itself."""

    async def stage(self, limit: int) -> dict[str, int]:
        return await self._write("stage", maintenance.stage, limit)

    async def register_node(self, node: str, name: str, info: dict[str, object]) -> None:
        await self._write("register_node", nodes.register_node, self._locks, node, name, info)

    async def update_node_info(self, node: str, info: dict[str, object]) -> None:
        await self._write("update_node_info", nodes.update_node_info, node, info)

    async def deregister_node(self, node: str) -> None:
        await self._write("deregister_node", nodes.deregister_node, self._locks, node)

    async def heartbeat(self, node: str) -> HeartbeatReply:
        return await self._write("heartbeat", nodes.heartbeat, self._locks, node)

    async def peers(self, node: str) -> list[Peer]:
        return (await self._write("peers", nodes.heartbeat, self._locks, node)).peers

    async def remove_dead_node(self, node: str, beat: int | None) -> bool:
        return await self._write("remove_dead_node", nodes.remove_dead_node, self._locks, node)

    async def remove_silent_nodes(self, silence: float) -> list[str]:
        return await self._write("remove_silent_nodes", nodes.remove_dead_nodes, self._locks)

    async def rescue(self, limit: int) -> list[Rescued]:
        return await self._write("rescue", maintenance.rescue, limit)

    async def reconcile(
        self, node: str, held: Sequence[tuple[int, int]], older_than: float
    ) -> list[Rescued]:
        return await self._write("reconcile", maintenance.reconcile, node, held, older_than)

    async def lead(self, node: str, lease: float) -> bool:
        return await self._write("lead", nodes.lead, self._locks, node)

    async def resign(self, node: str) -> bool:
        return await self._write("resign", nodes.resign, self._locks, node)

    async def intents(self, node: str) -> list[tuple[int, int, Intent]]:
        return await self._write("intents", maintenance.intents, node)

    async def lost_claims(
        self, node: str, held: Sequence[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        return await self._write("lost_claims", maintenance.lost_claims, node, held)

    async def expire(self, limit: int) -> list[Expired]:
        return await self._write("expire", maintenance.expire, limit)

    async def record_progress(self, node: str, progress: Sequence[tuple[int, int, str]]) -> None:
        if progress:
            await self._write("record_progress", maintenance.record_progress, node, progress)

    async def prune(self, rule: PruneRule, limit: int) -> int:
        return await self._write("prune", maintenance.prune, rule, limit)

    async def attach(self, ids: Sequence[int]) -> list[AwaitedJob]:
        return await self._write("attach", waits.attach, ids)

    async def add_results(self, results: Sequence[LateResult]) -> None:
        await self._write("add_results", waits.add_results, results)

    async def ends(self, pending: Sequence[Wait], room: int) -> list[JobEnd]:
        return await self._read("ends", waits.ends, pending, room)

    async def crons(self, names: Sequence[str] | None = None) -> CronTable:
        return await self._write("crons", crons.crons, names)

    async def declare_crons(self, declared: Sequence[tuple[str, str]]) -> None:
        if declared:
            await self._write("declare_crons", crons.declare, declared)

    async def create_cron(self, name: str, changes: str, paused: bool) -> bool:
        return await self._write("create_cron", crons.create, name, changes, paused)

    async def change_cron(
        self, name: str, rev: int, changes: str | None, *, paused: bool, anew: bool
    ) -> bool:
        return await self._write(
            "change_cron", crons.change, name, rev, changes, paused=paused, anew=anew
        )

    async def delete_cron(self, name: str, rev: int) -> bool:
        return await self._write("delete_cron", crons.delete, name, rev)

    async def fire_cron(
        self, row: CronRow, ticks: Sequence[tuple[datetime, NewJob]], until: datetime
    ) -> list[TickJob] | None:
        return await self._write("fire_cron", crons.fire, row, ticks, until)

    async def prune_ticks(self, age: float, limit: int) -> int:
        return await self._write("prune_ticks", crons.prune, age, limit)

    async def get(self, job_id: int) -> Job | None:
        return await self._read("get", reads.get, job_id)

    async def get_by_identifier(self, identifier: str) -> Job | None:
        return await self._read("get_by_identifier", reads.get_by_identifier, identifier)

    async def find(self, where: JobFilter, after: int | None, limit: int) -> list[Job]:
        return await self._read("find", reads.find, where, after, limit)

    async def count(self, where: JobFilter) -> int:
        return await self._read("count", reads.count, where)

    async def counts(self) -> dict[str, dict[str, int]]:
        return await self._read("counts", reads.counts)

    async def runs(self, job_id: int) -> list[Run]:
        return await self._read("runs", reads.runs, job_id)

    async def cancel(self, where: JobFilter) -> BulkResult:
        return await self._bulk("cancel", changes.CANCEL, where)

    async def kill(self, where: JobFilter) -> BulkResult:
        return await self._bulk("kill", changes.KILL, where)

    async def stop(self, job_id: int) -> BulkResult:
        return await self._write("stop", changes.stop, job_id)

    async def retry(self, where: JobFilter) -> BulkResult:
        return await self._bulk("retry", changes.RETRY, where)

    async def delete(self, where: JobFilter) -> BulkResult:
        return await self._bulk("delete", changes.DELETE, where)

    async def hold(self, where: JobFilter) -> BulkResult:
        return await self._bulk("hold", changes.HOLD, where)

    async def release(self, where: JobFilter) -> BulkResult:
        return await self._bulk("release", changes.RELEASE, where)

    async def update(self, job_id: int, changed: JobChanges) -> tuple[Job, BulkResult]:
        return await self._write("update", changes.update, job_id, changed)

    async def position(self, job_id: int) -> int | None:
        return await self._read("position", reads.position, job_id)

    async def nodes(self) -> list[NodeRow]:
        return await self._read("nodes", nodes.nodes, self._locks)

    async def queue_overrides(self, node: str | None = None) -> list[QueueOverride]:
        return await self._write("queue_overrides", queues.queue_overrides, node)

    async def set_queue(self, rule: QueueOverride) -> bool:
        return await self._write("set_queue", queues.set_queue, rule)

    async def queue_loads(self) -> list[QueueLoad]:
        return await self._read("queue_loads", queues.queue_loads)

    async def add_template(self, new: NewTemplate, revision: str) -> Template | None:
        return await self._write("add_template", templates.add, new, revision)

    async def change_template(self, new: NewTemplate, revision: str, known: str) -> Template | None:
        return await self._write("change_template", templates.change, new, revision, known)

    async def remove_template(self, code: str) -> bool:
        return await self._write("remove_template", templates.remove, code)

    async def template(self, code: str) -> Template | None:
        return await self._read("template", templates.get, code)

    async def find_templates(
        self, active: bool | None, after: Place | None, limit: int
    ) -> list[Template]:
        return await self._read("find_templates", templates.find, active, after, limit)

    async def schemas(self, codes: Sequence[str]) -> dict[str, str]:
        return await self._write("schemas", templates.schemas, codes)

    async def front(self, queue: str) -> Front:
        return await self._read("front", templates.front, queue)

    def notifier(self, *, eager: bool = False) -> Notifier:
        return SqliteNotifier(lambda: self._open_threads().writer, EAGER_LOOK if eager else LOOK)

    def _open_threads(self) -> _Threads:
        if self._threads is None:
            raise DatabaseUnavailable(
                "expected an open engine, got one that was never opened or is closed"
            )
        return self._threads

    def _leave(self) -> Sequence[DatabaseThread]:
        threads, self._threads, self._connected = self._threads, None, False
        return threads or ()

    async def _bulk(self, name: str, verb: changes.BulkVerb, where: JobFilter) -> BulkResult:
        """Piece after piece, each with its own deadline; between two of them others'
        calls have their turn.
        """
        touched, last, end = changes.NOTHING, 0, await self._read(name, changes.last_id)
        while (picked := await self._read(name, changes.pick, verb, where, last, end)) is not None:
            touched = changes.joined(
                touched, await self._write(name, changes.change, verb, where, picked)
            )
            last = picked.last
        return touched

    async def _write(
        self,
        verb: str,
        work: Callable[Concatenate[Session, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        return await self._call(
            self._open_threads().writer, verb, lambda session: work(session, *args, **kwargs)
        )

    async def _read(
        self,
        verb: str,
        work: Callable[Concatenate[Session, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        return await self._call(
            self._open_threads().reader, verb, lambda session: work(session, *args, **kwargs)
        )

    async def _call(
        self,
        thread: DatabaseThread,
        verb: str,
        work: Callable[[Session], T],
        *,
        deadline: bool = True,
    ) -> T:
        if EngineCalled not in self._bus:
            return await thread.call(work, deadline=deadline)
        begun = time.monotonic()
        error: BaseException | None = None
        try:
            return await thread.call(work, deadline=deadline)
        except BaseException as raised:
            error = raised
            raise
        finally:
            self._bus.emit(
                EngineCalled(
                    engine=self.name, verb=verb, duration=time.monotonic() - begun, error=error
                )
            )


def _writer_connection(path: Path, config: Config) -> sqlite3.Connection:
    connection = connect(
        path, synchronous=config.synchronous, call_timeout=config.call_timeout, read_only=False
    )
    connection.execute(_ENDING)
    return connection


def _reader_connection(path: Path, config: Config) -> sqlite3.Connection:
    return connect(
        path, synchronous=config.synchronous, call_timeout=config.call_timeout, read_only=True
    )
