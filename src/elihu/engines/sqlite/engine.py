"""``Engine`` on SQLite: the list of its verbs."""

from collections.abc import Collection, Sequence
from datetime import datetime

from elihu.config import Config, RetentionConfig
from elihu.engines.protocol import (
    CORE,
    Ack,
    AckStatus,
    AwaitedJob,
    BulkResult,
    ChainName,
    CronDeclaration,
    CronRow,
    CronTable,
    Exchange,
    Expired,
    Front,
    HeartbeatReply,
    Inserted,
    JobEnd,
    LateResult,
    NodeRow,
    Notifier,
    Peer,
    Place,
    Position,
    Pruned,
    QueueLoad,
    QueueOverride,
    Rescued,
    Signal,
    Staged,
    TickJob,
    Wait,
)
from elihu.engines.protocol.diagnosis import Vitals, WaitingTask
from elihu.engines.protocol.reads import Failure, SummaryPage
from elihu.engines.protocol.reads import Place as ViewPlace
from elihu.engines.protocol.rollups import RollUp, RollUpKey, RollUpRow
from elihu.engines.protocol.transfer import StoredJob
from elihu.engines.retention import Retention
from elihu.engines.sqlite import (
    crons,
    diagnosis,
    exchange,
    insert,
    jobs,
    maintenance,
    migrations,
    nodes,
    queues,
    reads,
    rollups,
    templates,
    transfer,
    triggers,
    waits,
)
from elihu.engines.sqlite.database import NAME, Database
from elihu.engines.sqlite.locks import Locks
from elihu.engines.sqlite.notifier import SqliteNotifier
from elihu.job import Intent, Job, JobChanges, JobFilter, JobPage, NewJob, Run
from elihu.telemetry.bus import Bus
from elihu.template import NewTemplate, Template


class SqliteEngine:
    """Jobs in one SQLite file, for many processes of one machine.

    ``config.database_url`` names the file. Raises ``ConfigError`` for a URL that names
    none, and for a SQLite older than 3.40.
    """

    name = NAME
    overlaps = False

    def __init__(self, config: Config, bus: Bus) -> None:
        self._database = Database(config, bus)
        self._locks = Locks(self._database.path)
        self._retention = Retention(config.retention)

    async def open(self, *, make: bool = True) -> None:
        await self._database.open(make=make)

    async def close(self) -> None:
        await self._database.close()
        self._locks.close()

    def abandon(self) -> None:
        self._database.abandon()
        self._locks.close()

    def notifier(self, *, eager: bool = False) -> Notifier:
        return SqliteNotifier(self._database, eager=eager)

    async def schema_version(self, chain: ChainName = CORE) -> int:
        return await self._database.write("schema_version", migrations.schema_version, chain)

    async def migrate(self, chain: ChainName = CORE) -> list[int]:
        return await self._database.write_unbounded("migrate", migrations.migrate, chain)

    async def check_schema(self, chain: ChainName = CORE) -> None:
        await self._database.write_unbounded("check_schema", migrations.check_schema, chain)

    async def installation(self) -> str:
        return await self._database.read("installation", migrations.installation)

    async def schemas_named(self, prefix: str) -> list[str]:
        return migrations.schemas_named(self._database.path, self._database.schema, prefix)

    async def remove_schema(self, name: str) -> None:
        migrations.remove_schema(self._database.path, self._database.schema, name)

    async def insert(self, jobs: Sequence[NewJob]) -> list[Inserted]:
        given = jobs, self._database.datagrams
        return await self._database.write("insert", insert.insert_and_announce, *given)

    async def insert_bulk(self, jobs: Sequence[NewJob]) -> int:
        return await self._database.write("insert_bulk", insert.insert_bulk, jobs)

    async def exchange(
        self,
        node: str,
        queue: str,
        free: int,
        acks: Sequence[Ack],
        *,
        after: Position | None = None,
        exclude: Sequence[str] = (),
        ahead: int | None = None,
    ) -> Exchange:
        given = node, queue, free, acks, after, exclude, self._retention, ahead
        return await self._database.write("exchange", exchange.exchange, *given)

    async def ack_statuses(
        self, node: str, acks: Sequence[Ack]
    ) -> dict[tuple[int, int], AckStatus]:
        if not acks:
            return {}
        return await self._database.write("ack_statuses", exchange.ack_statuses, node, acks)

    async def notify(self, signals: Sequence[Signal]) -> None:
        """SQLite: by datagram, since looking for commits takes longer."""
        self._database.datagrams.send(signals)

    async def stage(self, limit: int, *, ready: bool = True) -> Staged:
        return await self._database.write("stage", maintenance.stage, limit, ready=ready)

    async def register_node(self, node: str, name: str, info: dict[str, object]) -> None:
        given = self._locks, node, name, info
        await self._database.write("register_node", nodes.register_node, *given)

    async def update_node_info(self, node: str, info: dict[str, object]) -> None:
        await self._database.write("update_node_info", nodes.update_node_info, node, info)

    async def deregister_node(self, node: str) -> None:
        await self._database.write("deregister_node", nodes.deregister_node, self._locks, node)

    async def heartbeat(self, node: str, *, lease: float | None = None) -> HeartbeatReply:
        return await self._database.write("heartbeat", nodes.heartbeat, self._locks, node, lease)

    async def peers(self, node: str) -> list[Peer]:
        return await self._database.write("peers", nodes.peers, self._locks, node)

    async def remove_dead_node(self, node: str, beat: int | None) -> bool:
        return await self._database.write(
            "remove_dead_node", nodes.remove_dead_node, self._locks, node
        )

    async def remove_silent_nodes(self, silence: float) -> list[str]:
        return await self._database.write(
            "remove_silent_nodes", nodes.remove_silent_nodes, self._locks
        )

    async def rescue(self, limit: int) -> list[Rescued]:
        return await self._database.write("rescue", maintenance.rescue, limit)

    async def reconcile(
        self, node: str, held: Sequence[tuple[int, int]], older_than: float
    ) -> list[Rescued]:
        return await self._database.write(
            "reconcile", maintenance.reconcile, node, held, older_than
        )

    async def lead(self, node: str, lease: float) -> bool:
        return await self._database.write("lead", nodes.lead, self._locks, node)

    async def resign(self, node: str) -> bool:
        return await self._database.write("resign", nodes.resign, self._locks, node)

    async def intents(self, node: str) -> list[tuple[int, int, Intent]]:
        return await self._database.write("intents", maintenance.intents, node)

    async def lost_claims(
        self, node: str, held: Sequence[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        return await self._database.write("lost_claims", maintenance.lost_claims, node, held)

    async def expire(self, limit: int) -> list[Expired]:
        return await self._database.write("expire", maintenance.expire, limit)

    async def record_starts(self, node: str, starts: Sequence[tuple[int, int, float]]) -> list[int]:
        return await self._database.write("record_starts", maintenance.record_starts, node, starts)

    async def record_progress(self, node: str, progress: Sequence[tuple[int, int, str]]) -> None:
        if progress:
            given = node, progress
            await self._database.write("record_progress", maintenance.record_progress, *given)

    async def prune(self, retention: RetentionConfig, limit: int) -> Pruned:
        return await self._database.write("prune", maintenance.prune, retention, limit)

    async def review_retention(self, retention: RetentionConfig, limit: int) -> bool:
        return await self._database.write(
            "review_retention", maintenance.review_retention, retention, limit
        )

    async def attach(self, ids: Sequence[int]) -> list[AwaitedJob]:
        return await self._database.write("attach", waits.attach, ids)

    async def add_results(self, results: Sequence[LateResult]) -> None:
        await self._database.write("add_results", waits.add_results, results)

    async def ends(self, pending: Sequence[Wait], room: int) -> list[JobEnd]:
        return await self._database.read("ends", waits.ends, pending, room)

    async def crons(self, names: Sequence[str] | None = None) -> CronTable:
        return await self._database.write("crons", crons.crons, self._locks, names)

    async def declare_crons(self, declared: Sequence[CronDeclaration]) -> None:
        if declared:
            await self._database.write("declare_crons", crons.declare_crons, self._locks, declared)

    async def create_cron(self, name: str, changes: str, paused: bool) -> bool:
        return await self._database.write("create_cron", crons.create_cron, name, changes, paused)

    async def change_cron(
        self, name: str, rev: int, changes: str | None, *, paused: bool, anew: bool
    ) -> bool:
        return await self._database.write(
            "change_cron", crons.change_cron, name, rev, changes, paused=paused, anew=anew
        )

    async def delete_cron(self, name: str, rev: int) -> bool:
        return await self._database.write("delete_cron", crons.delete_cron, name, rev)

    async def fire_cron(
        self, row: CronRow, ticks: Sequence[tuple[datetime, NewJob]], until: datetime
    ) -> list[TickJob] | None:
        return await self._database.write("fire_cron", crons.fire_cron, row, ticks, until)

    async def prune_ticks(self, age: float, limit: int) -> int:
        return await self._database.write("prune_ticks", crons.prune_ticks, age, limit)

    async def get(self, job_id: int) -> Job | None:
        return await self._database.read("get", jobs.get, job_id)

    async def get_by_identifier(self, identifier: str) -> Job | None:
        return await self._database.read("get_by_identifier", jobs.get_by_identifier, identifier)

    async def find(self, where: JobFilter, after: int | None, limit: int) -> JobPage:
        return await self._database.read("find", jobs.find, where, after, limit)

    async def count(self, where: JobFilter) -> int:
        return await self._database.read("count", jobs.count, where)

    async def counts(self) -> dict[str, dict[str, int]]:
        return await self._database.read("counts", jobs.counts)

    async def runs(self, job_id: int, after: int = 0, limit: int = 1_000) -> list[Run]:
        return await self._database.read("runs", jobs.runs, job_id, after, limit)

    async def cancel(self, where: JobFilter) -> BulkResult:
        return await jobs.in_pieces(self._database, "cancel", jobs.cancel, where)

    async def kill(self, where: JobFilter) -> BulkResult:
        return await jobs.in_pieces(self._database, "kill", jobs.kill, where)

    async def stop(self, job_id: int) -> BulkResult:
        return await self._database.write("stop", jobs.stop, job_id)

    async def retry(self, where: JobFilter) -> BulkResult:
        return await jobs.in_pieces(self._database, "retry", jobs.retry, where)

    async def delete(self, where: JobFilter, expected: Job | None = None) -> BulkResult:
        return await jobs.remove(self._database, where, expected)

    async def hold(self, where: JobFilter) -> BulkResult:
        return await jobs.in_pieces(self._database, "hold", jobs.hold, where)

    async def release(self, where: JobFilter) -> BulkResult:
        return await jobs.in_pieces(self._database, "release", jobs.release, where)

    async def update(
        self, job_id: int, changes: JobChanges, expected: Job | None = None
    ) -> tuple[Job, BulkResult]:
        return await self._database.write("update", jobs.update, job_id, changes, expected)

    async def position(self, job_id: int) -> int | None:
        return await self._database.read("position", jobs.position, job_id)

    async def nodes(self) -> list[NodeRow]:
        return await self._database.read("nodes", nodes.nodes, self._locks)

    async def queue_overrides(self, node: str | None = None) -> list[QueueOverride]:
        return await self._database.write("queue_overrides", queues.queue_overrides, node)

    async def set_queue(self, rule: QueueOverride) -> bool:
        return await self._database.write("set_queue", queues.set_queue, rule)

    async def queue_loads(self, most: int) -> list[QueueLoad]:
        return await self._database.browse("queue_loads", queues.queue_loads, most)

    async def summaries(
        self, view: str, where: JobFilter, after: ViewPlace | None, limit: int
    ) -> SummaryPage:
        return await self._database.browse("summaries", reads.summaries, view, where, after, limit)

    async def state_counts(self, most: int) -> dict[str, int]:
        return await self._database.browse("state_counts", reads.state_counts, most)

    async def failures(self, limit: int) -> list[Failure]:
        return await self._database.browse("failures", reads.failures, limit)

    async def durations(self, task: str, limit: int) -> list[float]:
        return await self._database.browse("durations", reads.durations, task, limit)

    async def write_rollups(self, writer: str, rows: Sequence[RollUp]) -> None:
        await self._database.write("write_rollups", rollups.write_rollups, writer, rows)

    async def rollups(
        self,
        since: datetime,
        until: datetime,
        step: int,
        *,
        by: RollUpKey,
        queue: str | None = None,
        task: str | None = None,
        histograms: bool = True,
        limit: int,
    ) -> list[RollUpRow]:
        return await self._database.browse(
            "rollups",
            rollups.rollups,
            since,
            until,
            step,
            by=by,
            queue=queue,
            task=task,
            histograms=histograms,
            limit=limit,
        )

    async def thin_rollups(self, minutes: float, hours: float, limit: int) -> int:
        given = minutes, hours, limit
        return await self._database.write("thin_rollups", rollups.thin_rollups, *given)

    async def add_template(self, new: NewTemplate, revision: str) -> Template | None:
        return await self._database.write("add_template", templates.add_template, new, revision)

    async def change_template(self, new: NewTemplate, revision: str, known: str) -> Template | None:
        given = new, revision, known
        return await self._database.write("change_template", templates.change_template, *given)

    async def remove_template(self, code: str, known: str | None = None) -> bool:
        return await self._database.write("remove_template", templates.remove_template, code, known)

    async def template(self, code: str) -> Template | None:
        return await self._database.read("template", templates.template, code)

    async def find_templates(
        self, active: bool | None, after: Place | None, limit: int
    ) -> list[Template]:
        return await self._database.read(
            "find_templates", templates.find_templates, active, after, limit
        )

    async def schemas(self, codes: Sequence[str]) -> dict[str, str]:
        return await self._database.write("schemas", templates.schemas, codes)

    async def front(self, queue: str) -> Front:
        return await self._database.read("front", templates.front, queue)

    async def acted(
        self, trigger: str, digests: Sequence[bytes], period: float | None
    ) -> Collection[bytes]:
        return await self._database.read("acted", triggers.acted, trigger, digests, period)

    async def vitals(self) -> Vitals:
        return await self._database.browse("vitals", diagnosis.vitals, self._database.path)

    async def waiting_tasks(self) -> list[WaitingTask]:
        return await self._database.browse("waiting_tasks", diagnosis.waiting_tasks)

    async def stored_jobs(self, after: int, limit: int) -> list[StoredJob]:
        return await self._database.browse("stored_jobs", transfer.stored_jobs, after, limit)
