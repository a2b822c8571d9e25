"""Scans for matching records and stores a job for each."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from elihu.job import NewJob
from elihu.triggers.host import TriggerHost
from elihu.triggers.jobs import JobBuilder
from elihu.triggers.options import TriggerOptions
from elihu.triggers.records import Calls, Pages, RecordKey, Sessions, in_loop, inner
from elihu.triggers.records.conditions import check_select, conditions
from elihu.triggers.tenants import store_actor, tenant_of_record, tenants_of

logger: Final = logging.getLogger("elihu.triggers")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanCounts:
    """What a scan came to: records that matched, jobs stored for them, and records
    that had a job already.
    """

    matched: int = 0
    enqueued: int = 0
    conflicts: int = 0

    def plus(self, matched: int, enqueued: int, conflicts: int) -> "ScanCounts":
        """The sum."""
        return ScanCounts(
            matched=self.matched + matched,
            enqueued=self.enqueued + enqueued,
            conflicts=self.conflicts + conflicts,
        )


class Scanner:
    """Pages through the records of one trigger, tenant after tenant."""

    def __init__(
        self,
        name: str,
        key: RecordKey,
        options: TriggerOptions,
        sessions: Sessions,
        host: TriggerHost,
        builder: JobBuilder,
    ) -> None:
        self._name = name
        self._what = f"trigger {name}"
        self._key = key
        self._options = options
        self._sessions = sessions
        self._host = host
        self._builder = builder
        self._call = Calls(asynchronous=sessions.asynchronous)

    async def scan(self, actor: Any = None) -> ScanCounts:
        """Store a job for each record that matches now and has none."""
        stored = await store_actor(self._options, self._host.trigger_defaults, actor)
        return await self.scan_as(stored)

    async def scan_as(self, stored: Any) -> ScanCounts:
        """``scan``, on behalf of an actor as its persister stored it."""
        counts = ScanCounts()
        if self._options.state != "active":
            return counts
        defaults = self._host.trigger_defaults
        for tenant in await tenants_of(self._options, defaults, self._what):
            seen = _Seen()
            done = await self._host.enqueue_many(self._jobs(tenant, stored, seen))
            counts = counts.plus(seen.records, done.inserted, done.conflicts)
            if self._options.debug or defaults.debug_all:
                logger.info(
                    "%s: tenant %r: %d records match, %d jobs stored, %d had one",
                    self._what,
                    tenant,
                    seen.records,
                    done.inserted,
                    done.conflicts,
                )
        return counts

    async def would_store(self) -> AsyncIterator[NewJob]:
        """The jobs that a scan would build now, of all tenants, without storing any."""
        if self._options.state != "active":
            return
        defaults = self._host.trigger_defaults
        for tenant in await tenants_of(self._options, defaults, self._what):
            async for job in self._jobs(tenant, None, _Seen()):
                yield job

    async def matching(self, tenant: Any = None) -> int:
        """How many records match now, of one tenant, without storing anything."""
        seen = _Seen()
        async for _ in self._jobs(tenant, None, seen):
            pass
        return seen.records

    async def _jobs(self, tenant: Any, actor: Any, seen: "_Seen") -> AsyncIterator[NewJob]:
        options, defaults = self._options, self._host.trigger_defaults
        reads_tenant = bool(options.tenant_from_record or defaults.tenant_from_record) or (
            options.tenant_column is not None and tenant is None
        )
        whole = reads_tenant or not self._builder.is_plain
        pages = Pages(
            self._key,
            self._base(),
            conditions(self._key, options.where, options.tenant_column, tenant, self._what),
            options.order_by,
            whole=whole,
        )
        build = self._builder.builder(tenant, actor) if not whole else None
        left = options.record_limit
        while left is None or left > 0:
            limit = options.batch_size if left is None else min(options.batch_size, left)
            rows = await self._page(pages, limit, tenant)
            if build is None:
                jobs = [self._job(row, tenant, actor, reads_tenant=reads_tenant) for row in rows]
            else:
                jobs = [build(self._key.dump(row)) for row in rows]
            if options.once:
                jobs = await self._not_acted(jobs)
            seen.records += len(jobs)
            for job in jobs:
                yield job
            if left is not None:
                left -= len(rows)
            if len(rows) < limit:
                return

    def _job(self, record: Any, tenant: Any, actor: Any, *, reads_tenant: bool) -> NewJob:
        own = (
            tenant_of_record(self._options, self._host.trigger_defaults, record)
            if reads_tenant
            else None
        )
        return self._builder.build(
            self._key.of(record), record, tenant=tenant if own is None else own, actor=actor
        )

    async def _not_acted(self, jobs: list[NewJob]) -> list[NewJob]:
        """The jobs for records on which the trigger has not acted: every other one
        would be stored only to be cancelled.
        """
        once = self._options.once
        period = once.total_seconds() if isinstance(once, timedelta) else None
        digests = [self._builder.ledger_digest(job) for job in jobs]
        acted = await self._host.trigger_ledger.acted(self._name, digests, period)
        return [job for job, digest in zip(jobs, digests, strict=True) if digest not in acted]

    async def _page(self, pages: Pages, limit: int, tenant: Any) -> list[Any]:
        if self._sessions.asynchronous:
            return await in_loop(self._read, pages, limit, tenant)
        return await asyncio.to_thread(self._read, pages, limit, tenant)

    def _read(self, pages: Pages, limit: int, tenant: Any) -> list[Any]:
        session = self._sessions.open(tenant)
        try:
            own = inner(session)
            self._sessions.connect(own, self._key, tenant)
            found = own.execute(pages.statement(limit))
            rows = pages.take((found.unique() if pages.whole else found).all())
            own.expunge_all()
            return rows
        finally:
            self._call.close(session)

    def _base(self) -> Any:
        read = self._options.read
        if read is None:
            return None
        return lambda: check_select(self._key, read(), f"{self._what}: read")


@dataclass(slots=True)
class _Seen:
    records: int = 0
