"""The multi-node engine: the list of its verbs. ``engines.protocol`` documents them."""

from collections.abc import Collection, Sequence
from datetime import datetime

from elihu.config import Config, RetentionConfig
from elihu.engines.postgres import (
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
from elihu.engines.postgres.notifier import PostgresNotifier
from elihu.engines.postgres.session import NAME, Session
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
from elihu.job import Intent, Job, JobChanges, JobFilter, JobPage, NewJob, Run
from elihu.telemetry.bus import Bus
from elihu.template import NewTemplate, Template


class PostgresEngine:
    """``Engine`` on PostgreSQL 14 or later."""

    name = NAME
    overlaps = True

    def __init__(self, config: Config, bus: Bus) -> None:
        self._session = Session(config, bus)

    async def open(self, *, make: bool = True) -> None:
        await self._session.open()

    async def close(self) -> None:
        await self._session.close()

    def abandon(self) -> None:
        self._session.abandon()

    def notifier(self, *, eager: bool = False) -> PostgresNotifier:
        return PostgresNotifier(self, *self._session.listening())

    async def schema_version(self, chain: ChainName = CORE) -> int:
        return await migrations.schema_version(self._session, chain)

    async def migrate(self, chain: ChainName = CORE) -> list[int]:
        return await migrations.migrate(self._session, chain)

    async def check_schema(self, chain: ChainName = CORE) -> None:
        await migrations.check_schema(self._session, chain)

    async def installation(self) -> str:
        return await migrations.installation(self._session)

    async def schemas_named(self, prefix: str) -> list[str]:
        return await migrations.schemas_named(self._session, prefix)

    async def remove_schema(self, name: str) -> None:
        await migrations.remove_schema(self._session, name)

    async def insert(self, jobs: Sequence[NewJob]) -> list[Inserted]:
        return await insert.insert(self._session, jobs)

    async def insert_bulk(self, jobs: Sequence[NewJob]) -> int:
        return await insert.insert_bulk(self._session, jobs)

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
        return await exchange.exchange(
            self._session, node, queue, free, acks, after=after, exclude=exclude, ahead=ahead
        )

    async def ack_statuses(
        self, node: str, acks: Sequence[Ack]
    ) -> dict[tuple[int, int], AckStatus]:
        return await exchange.ack_statuses(self._session, node, acks)

    async def notify(self, signals: Sequence[Signal]) -> None:
        await exchange.notify(self._session, signals)

    async def stage(self, limit: int, *, ready: bool = True) -> Staged:
        return await maintenance.stage(self._session, limit, ready=ready)

    async def rescue(self, limit: int) -> list[Rescued]:
        return await maintenance.rescue(self._session, limit)

    async def reconcile(
        self, node: str, held: Sequence[tuple[int, int]], older_than: float
    ) -> list[Rescued]:
        return await maintenance.reconcile(self._session, node, held, older_than)

    async def intents(self, node: str) -> list[tuple[int, int, Intent]]:
        return await maintenance.intents(self._session, node)

    async def lost_claims(
        self, node: str, held: Sequence[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        return await maintenance.lost_claims(self._session, node, held)

    async def expire(self, limit: int) -> list[Expired]:
        return await maintenance.expire(self._session, limit)

    async def record_starts(self, node: str, starts: Sequence[tuple[int, int, float]]) -> list[int]:
        return await maintenance.record_starts(self._session, node, starts)

    async def record_progress(self, node: str, progress: Sequence[tuple[int, int, str]]) -> None:
        await maintenance.record_progress(self._session, node, progress)

    async def prune(self, retention: RetentionConfig, limit: int) -> Pruned:
        return await maintenance.prune(self._session, retention, limit)

    async def review_retention(self, retention: RetentionConfig, limit: int) -> bool:
        return await maintenance.review_retention(self._session, retention, limit)

    async def register_node(self, node: str, name: str, info: dict[str, object]) -> None:
        await nodes.register_node(self._session, node, name, info)

    async def update_node_info(self, node: str, info: dict[str, object]) -> None:
        await nodes.update_node_info(self._session, node, info)

    async def deregister_node(self, node: str) -> None:
        await nodes.deregister_node(self._session, node)

    async def heartbeat(self, node: str, *, lease: float | None = None) -> HeartbeatReply:
        return await nodes.heartbeat(self._session, node, lease)

    async def peers(self, node: str) -> list[Peer]:
        return await nodes.peers(self._session, node)

    async def remove_dead_node(self, node: str, beat: int | None) -> bool:
        return await nodes.remove_dead_node(self._session, node, beat)

    async def remove_silent_nodes(self, silence: float) -> list[str]:
        return await nodes.remove_silent_nodes(self._session, silence)

    async def lead(self, node: str, lease: float) -> bool:
        return await nodes.lead(self._session, node, lease)

    async def resign(self, node: str) -> bool:
        return await nodes.resign(self._session, node)

    async def nodes(self) -> list[NodeRow]:
        return await nodes.nodes(self._session)

    async def attach(self, ids: Sequence[int]) -> list[AwaitedJob]:
        return await waits.attach(self._session, ids)

    async def add_results(self, results: Sequence[LateResult]) -> None:
        await waits.add_results(self._session, results)

    async def ends(self, pending: Sequence[Wait], room: int) -> list[JobEnd]:
        return await waits.ends(self._session, pending, room)

    async def get(self, job_id: int) -> Job | None:
        return await jobs.get(self._session, job_id)

    async def get_by_identifier(self, identifier: str) -> Job | None:
        return await jobs.get_by_identifier(self._session, identifier)

    async def find(self, where: JobFilter, after: int | None, limit: int) -> JobPage:
        return await jobs.find(self._session, where, after, limit)

    async def count(self, where: JobFilter) -> int:
        return await jobs.count(self._session, where)

    async def counts(self) -> dict[str, dict[str, int]]:
        return await jobs.counts(self._session)

    async def runs(self, job_id: int, after: int = 0, limit: int = 1_000) -> list[Run]:
        return await jobs.runs(self._session, job_id, after, limit)

    async def cancel(self, where: JobFilter) -> BulkResult:
        return await jobs.cancel(self._session, where)

    async def kill(self, where: JobFilter) -> BulkResult:
        return await jobs.kill(self._session, where)

    async def stop(self, job_id: int) -> BulkResult:
        return await jobs.stop(self._session, job_id)

    async def retry(self, where: JobFilter) -> BulkResult:
        return await jobs.retry(self._session, where)

    async def delete(self, where: JobFilter, expected: Job | None = None) -> BulkResult:
        return await jobs.delete(self._session, where, expected)

    async def hold(self, where: JobFilter) -> BulkResult:
        return await jobs.hold(self._session, where)

    async def release(self, where: JobFilter) -> BulkResult:
        return await jobs.release(self._session, where)

    async def update(
        self, job_id: int, changes: JobChanges, expected: Job | None = None
    ) -> tuple[Job, BulkResult]:
        return await jobs.update(self._session, job_id, changes, expected)

    async def position(self, job_id: int) -> int | None:
        return await jobs.position(self._session, job_id)

    async def queue_overrides(self, node: str | None = None) -> list[QueueOverride]:
        return await queues.queue_overrides(self._session, node)

    async def set_queue(self, rule: QueueOverride) -> bool:
        return await queues.set_queue(self._session, rule)

    async def queue_loads(self, most: int) -> list[QueueLoad]:
        return await queues.queue_loads(self._session, most)

    async def summaries(
        self, view: str, where: JobFilter, after: ViewPlace | None, limit: int
    ) -> SummaryPage:
        return await reads.summaries(self._session, view, where, after, limit)

    async def state_counts(self, most: int) -> dict[str, int]:
        return await reads.state_counts(self._session, most)

    async def failures(self, limit: int) -> list[Failure]:
        return await reads.failures(self._session, limit)

    async def durations(self, task: str, limit: int) -> list[float]:
        return await reads.durations(self._session, task, limit)

    async def write_rollups(self, writer: str, rows: Sequence[RollUp]) -> None:
        await rollups.write_rollups(self._session, writer, rows)

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
        return await rollups.rollups(
            self._session,
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
        return await rollups.thin_rollups(self._session, minutes, hours, limit)

    async def crons(self, names: Sequence[str] | None = None) -> CronTable:
        return await crons.crons(self._session, names)

    async def declare_crons(self, declared: Sequence[CronDeclaration]) -> None:
        await crons.declare_crons(self._session, declared)

    async def create_cron(self, name: str, changes: str, paused: bool) -> bool:
        return await crons.create_cron(self._session, name, changes, paused)

    async def change_cron(
        self, name: str, rev: int, changes: str | None, *, paused: bool, anew: bool
    ) -> bool:
        return await crons.change_cron(self._session, name, rev, changes, paused=paused, anew=anew)

    async def delete_cron(self, name: str, rev: int) -> bool:
        return await crons.delete_cron(self._session, name, rev)

    async def fire_cron(
        self, row: CronRow, ticks: Sequence[tuple[datetime, NewJob]], until: datetime
    ) -> list[TickJob] | None:
        return await crons.fire_cron(self._session, row, ticks, until)

    async def prune_ticks(self, age: float, limit: int) -> int:
        return await crons.prune_ticks(self._session, age, limit)

    async def add_template(self, new: NewTemplate, revision: str) -> Template | None:
        return await templates.add_template(self._session, new, revision)

    async def change_template(self, new: NewTemplate, revision: str, known: str) -> Template | None:
        return await templates.change_template(self._session, new, revision, known)

    async def remove_template(self, code: str, known: str | None = None) -> bool:
        return await templates.remove_template(self._session, code, known)

    async def template(self, code: str) -> Template | None:
        return await templates.template(self._session, code)

    async def find_templates(
        self, active: bool | None, after: Place | None, limit: int
    ) -> list[Template]:
        return await templates.find_templates(self._session, active, after, limit)

    async def schemas(self, codes: Sequence[str]) -> dict[str, str]:
        return await templates.schemas(self._session, codes)

    async def front(self, queue: str) -> Front:
        return await templates.front(self._session, queue)

    async def acted(
        self, trigger: str, digests: Sequence[bytes], period: float | None
    ) -> Collection[bytes]:
        return await triggers.acted(self._session, trigger, digests, period)

    async def vitals(self) -> Vitals:
        return await diagnosis.vitals(self._session)

    async def waiting_tasks(self) -> list[WaitingTask]:
        return await diagnosis.waiting_tasks(self._session)

    async def stored_jobs(self, after: int, limit: int) -> list[StoredJob]:
        return await transfer.stored_jobs(self._session, after, limit)
