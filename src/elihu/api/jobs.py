"""``app.jobs``: read and change stored jobs."""

import builtins
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from elihu.api.job_pages import JobSummaryPage, page
from elihu.clients.client import Client
from elihu.engines.protocol import BulkResult, Engine
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.errors import (
    InvalidArguments,
    InvalidContext,
    InvalidOption,
    JobNotFound,
    UnknownTask,
    UnknownTemplate,
)
from elihu.job import Job, JobChanges, JobFilter, JobPage, JobState, Run
from elihu.json_schema import compiled
from elihu.options import check_range
from elihu.storable_text import is_storable
from elihu.system_queues import SYSTEM_QUEUES
from elihu.task import Registry, check_meta, check_name, check_run_at, check_tags

One = str | int | datetime | Iterable[Any] | None

LONGEST_PAGE: Final = 1_000
RUNS_PIECE: Final = 50
"""Runs in one statement: a run can hold about 100 KiB of text."""


class Jobs:
    """Verbs on stored jobs.

    Bulk verbs take ids, filters (``ids state queue task tags template node``: one value
    or several; ``since``: the earliest ``inserted_at``), or both, and return how many
    jobs changed. Without any they raise ``InvalidOption``; ``ids=[]`` matches nothing.
    They work in transactions of 1,000 jobs.
    """

    def __init__(
        self, client: Callable[[], Client], registry: Registry, max_args: Callable[[], int]
    ) -> None:
        self._client = client
        self._registry = registry
        self._max_args = max_args

    async def get(self, job_id: int | None = None, *, identifier: str | None = None) -> Job:
        """The job with this id, or with this identifier. Raises ``JobNotFound``."""
        if identifier is not None:
            return await self._by_identifier("get", job_id, identifier)
        job = await (await self._engine()).get(_check_id(job_id))
        if job is None:
            raise JobNotFound(job_id)
        return job

    async def list(
        self, *, after: int | None = None, limit: int = 50, system: bool = True, **filters: One
    ) -> JobPage:
        """A page of at most ``limit`` (1 to 1,000) jobs, newest first. ``after`` is the
        previous page's ``next``. A page ends early after 16 million characters of
        arguments, results and other text. Without ``system`` the jobs of the command
        scheduler are left out, unless ids, a queue or a task ask for them.
        """
        check_range("limit", limit, 1, LONGEST_PAGE)
        where = _shown(job_filter((), filters), system)
        below = None if after is None else _check_id(after)
        return await (await self._engine()).find(where, below, limit)

    async def summaries(
        self, *, after: str | None = None, limit: int = 50, system: bool = True, **filters: One
    ) -> JobSummaryPage:
        """A page of at most ``limit`` (1 to 1,000) jobs without arguments, results and
        ``meta``, in a time that does not grow with the table.

        One state comes in the order that its index has: available jobs in the order of
        fetch, scheduled and retryable ones by time, others newest first. ``after`` is the
        previous page's ``next``. ``system`` as in ``list``.
        """
        check_range("limit", limit, 1, LONGEST_PAGE)
        if filters.get("ids") is not None:
            raise InvalidOption("ids: expected other filters for a list of summaries")
        where = _shown(job_filter((), filters), system)
        return await page(await self._engine(), where, after, limit)

    async def count(self, **filters: One) -> int:
        """The number of jobs that match."""
        return await (await self._engine()).count(job_filter((), filters))

    async def counts(self) -> dict[str, dict[str, int]]:
        """Queue → state → number."""
        return await (await self._engine()).counts()

    async def runs(self, job_id: int, *, after: int = 0, limit: int = 1_000) -> builtins.list[Run]:
        """At most ``limit`` (1 to 1,000) attempts, first to last. ``after`` is the
        ``claim`` of the last one read. Raises ``JobNotFound``.
        """
        check_range("after", after, 0, 2**31 - 1)
        check_range("limit", limit, 1, LONGEST_PAGE)
        engine = await self._engine()
        runs: builtins.list[Run] = []
        while len(runs) < limit:
            most = min(RUNS_PIECE, limit - len(runs))
            piece = await engine.runs(_check_id(job_id), runs[-1].claim if runs else after, most)
            runs += piece
            if len(piece) < most:
                break
        if not runs and await engine.get(job_id) is None:
            raise JobNotFound(job_id)
        return runs

    async def cancel(self, *ids: int, **filters: One) -> int:
        """Cancel unfinished jobs. Of an executing job the attempt is ended on its node."""
        return await self._apply("cancel", ids, filters)

    async def kill(self, *ids: int, **filters: One) -> int:
        """End the attempts of executing jobs on their nodes. The jobs are retried, or
        discarded without attempts left.

        Jobs that do not run, and jobs that are being cancelled, are unchanged.
        """
        return await self._apply("kill", ids, filters)

    async def stop(self, job_id: int) -> None:
        """Give a running job back at once without killing the attempt, which is not
        counted.

        ``ctx.cancelled`` becomes true in the old attempt. It may overlap the next one,
        and its outcome is ignored. Raises ``JobNotFound``, and ``InvalidTransition`` for
        a job that does not run.
        """
        engine = await self._client().writing("jobs.stop()")
        self._announce(await engine.stop(_check_id(job_id)))

    async def retry(self, *ids: int, **filters: One) -> int:
        """Make jobs available from any state but available and executing. A job without
        attempts left gets one more.

        Raises ``UniqueConflict`` if another job holds the unique key.
        """
        return await self._apply("retry", ids, filters)

    async def delete(self, *ids: int, expected: Job | None = None, **filters: One) -> int:
        """Delete jobs that are not executing, with their runs.

        ``expected``, in place of ids and filters, deletes this one while it is as it was
        read. Raises ``ChangedMeanwhile`` and ``JobNotFound`` then.
        """
        if expected is None:
            return await self._apply("delete", ids, filters)
        if ids or filters:
            raise InvalidOption("expected: expected no ids and no filter beside it, got some")
        engine = await self._client().writing("jobs.delete()")
        where = JobFilter(ids=(expected.id,))
        result = await engine.delete(where, replace(expected, conflict=False))
        self._announce(result)
        return int(result.changed)

    async def hold(self, *ids: int, **filters: One) -> int:
        """Suspend scheduled, available and retryable jobs."""
        return await self._apply("hold", ids, filters)

    async def release(self, *ids: int, **filters: One) -> int:
        """Release suspended jobs: they become available, or scheduled if due later."""
        return await self._apply("release", ids, filters)

    async def position(
        self, job_id: int | None = None, *, identifier: str | None = None
    ) -> int | None:
        """The place in its queue of the job with this id or identifier: 1 is next to
        run. None unless it is available.

        Raises ``JobNotFound``.
        """
        if identifier is not None:
            job_id = (await self._by_identifier("position", job_id, identifier)).id
        return await (await self._engine()).position(_check_id(job_id))

    async def update(
        self,
        job_id: int,
        *,
        args: Mapping[str, Any] | None = None,
        queue: str | None = None,
        priority: int | None = None,
        run_at: datetime | None = None,
        max_attempts: int | None = None,
        tags: Iterable[str] | None = None,
        meta: Mapping[str, Any] | None = None,
        expected: Job | None = None,
    ) -> Job:
        """Change an unfinished job that is not executing. ``args`` replaces all keywords.
        ``expected`` is the job as it was read: where it has changed since, nothing is
        changed, and ``ChangedMeanwhile`` is raised.

        ``args`` are checked against the task's signature if the task is registered here,
        and against the schema of the job's template. The unique key does not change.
        Raises ``JobNotFound``, ``InvalidTransition``,
        ``InvalidArguments``, ``InvalidContext``, ``UnknownTemplate`` and
        ``InvalidOption``.
        """
        changes = JobChanges(
            args=None if args is None else await self._encode(job_id, args),
            queue=None if queue is None else check_name("queue", queue),
            priority=None if priority is None else check_range("priority", priority, 0, 9),
            run_at=None if run_at is None else check_run_at("run_at", run_at),
            max_attempts=None
            if max_attempts is None
            else check_range("max_attempts", max_attempts, 1, 1_000_000),
            tags=None if tags is None else check_tags("tags", tags),
            meta=None if meta is None else check_meta("meta", meta)[1] or "{}",
        )
        engine = await self._client().writing("jobs.update()")
        known = None if expected is None else replace(expected, conflict=False)
        job, result = await engine.update(_check_id(job_id), changes, known)
        self._announce(result)
        return job

    async def _encode(self, job_id: int, args: Mapping[str, Any]) -> str:
        try:
            text = check_meta("args", args, self._max_args())[1] or "{}"
        except InvalidOption as error:
            raise InvalidArguments(str(error), field="args") from error
        job = await self.get(job_id)
        if job.template is not None:
            await self._check_context(job.template, args, len(text))
        try:
            codec = self._registry.get(job.task).codec
        except UnknownTask:
            return text
        values = codec.decode(text)
        return text if job.template is not None else codec.encode(*values, self._max_args())

    async def _check_context(self, code: str, context: Mapping[str, Any], size: int) -> None:
        schema = (await (await self._engine()).schemas([code])).get(code)
        if schema is None:
            raise UnknownTemplate(code)
        if problems := compiled(schema).problems(dict(context), size):
            raise InvalidContext(code, problems)

    async def _by_identifier(self, verb: str, job_id: int | None, identifier: str) -> Job:
        if job_id is not None:
            raise InvalidOption(
                f"{verb}: expected an id or an identifier, got both ({job_id!r} and {identifier!r})"
            )
        job = await (await self._engine()).get_by_identifier(check_name("identifier", identifier))
        if job is None:
            raise JobNotFound(identifier=identifier)
        return job

    async def _apply(self, verb: str, ids: tuple[int, ...], filters: Mapping[str, One]) -> int:
        where = job_filter(ids, filters, required=True)
        engine = await self._client().writing(f"jobs.{verb}()")
        result = await getattr(engine, verb)(where)
        self._announce(result)
        return int(result.changed)

    def _announce(self, result: BulkResult) -> None:
        signals = [Signal(SignalKind.JOBS, queue) for queue in result.queues]
        signals += [Signal(SignalKind.INTENT, node) for node in result.nodes]
        announcer = self._client().announcer
        announcer.announce(signals)
        announcer.ended(result.ended)

    async def _engine(self) -> Engine:
        return await self._client().ready()


def job_filter(
    ids: tuple[int, ...], filters: Mapping[str, One], *, required: bool = False
) -> JobFilter:
    """Check a user's ids and filters and make a ``JobFilter``. Raises ``InvalidOption``."""
    given = {name: value for name, value in filters.items() if value is not None}
    known = tuple(name for name in JobFilter.__slots__ if name != "not_queue")
    for name in given:
        if name not in known:
            raise InvalidOption(f"{name}: expected a filter among {', '.join(known)}, got {name!r}")
    if ids and "ids" in given:
        raise InvalidOption(
            f"ids: expected ids as arguments or as ids=, got both ({ids!r} and {given['ids']!r})"
        )
    if ids:
        given["ids"] = ids
    if required and not given:
        raise InvalidOption(
            f"expected ids or a filter ({', '.join(known)}), got none: every job would match"
        )
    since = given.pop("since", None)
    values = {name: _several(name, value) for name, value in given.items()}
    if "ids" in values:
        values["ids"] = tuple(_check_id(value) for value in values["ids"])
    if "state" in values:
        values["state"] = tuple(_check_state(value) for value in values["state"])
    for name in values.keys() - {"ids", "state"}:
        for value in values[name]:
            if not (isinstance(value, str) and is_storable(value)):
                raise InvalidOption(
                    f"{name}: expected a text or texts without NUL characters and lone "
                    f"surrogates, got {value!r}"
                )
    if "tags" in values:
        values["tags"] = check_tags("tags", values["tags"])
    return JobFilter(**values, since=None if since is None else check_run_at("since", since))


def _shown(where: JobFilter, system: bool) -> JobFilter:
    """The filter without jobs of the command scheduler, unless they are asked for."""
    if system or where.ids is not None or where.queue is not None or where.task is not None:
        return where
    return replace(where, not_queue=SYSTEM_QUEUES)


def _several(name: str, value: One) -> tuple[Any, ...]:
    if isinstance(value, str | int | datetime):
        return (value,)
    try:
        return tuple(value or ())
    except TypeError as error:
        raise InvalidOption(f"{name}: expected one value or several, got {value!r}") from error


def _check_id(value: Any) -> int:
    return check_range("id", value, 1, 2**63 - 1)


def _check_state(value: Any) -> JobState:
    try:
        return JobState(value)
    except ValueError as error:
        raise InvalidOption(
            f"state: expected one of {', '.join(JobState)}, got {value!r}"
        ) from error
