"""``app.crons``: read and change cron entries."""

import builtins
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

from elihu.api.cron_entries import entry_of, values_of
from elihu.api.nodes import living_nodes
from elihu.clients.client import Client
from elihu.engines.protocol import Engine
from elihu.engines.protocol.crons import CronRow, CronTable
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.errors import (
    ChangedMeanwhile,
    CronError,
    CronNotFound,
    DatabaseUnavailable,
    DuplicateCron,
    InvalidArguments,
    InvalidCron,
    InvalidOption,
    UnknownTask,
)
from elihu.job import Job, NewJob
from elihu.options import check_range
from elihu.schedule import (
    CatchUp,
    Cron,
    CronEntry,
    CronSpec,
    dump_values,
    job_of,
    load_values,
    plain,
)
from elihu.system_queues import SYSTEM_QUEUES
from elihu.task import (
    MOST_ATTEMPTS,
    Registry,
    Task,
    check_bool,
    check_catch_up,
    check_meta,
    check_name,
    check_tags,
    digest,
)

_TRIES: Final = 5
_SCHEDULE: Final = ("cron", "tz")
_COMPARED: Final = frozenset({"args", "queue", "meta"})
"""The fields that can change the unique key of a job."""


class Crons:
    """Verbs on cron entries: those declared with ``@app.cron``, and those made at run
    time.

    A changed value survives restarts and new versions of the code, until ``reset``.
    Verbs on one entry raise ``CronNotFound``.
    """

    def __init__(
        self, client: Callable[[], Client], registry: Registry, max_args: Callable[[], int]
    ) -> None:
        self._client = client
        self._registry = registry
        self._max_args = max_args

    async def list(self, *, system: bool = True) -> builtins.list[CronEntry]:
        """All entries, by name. One that cannot be read has an ``error``. Without
        ``system`` those of the command scheduler are left out.
        """
        table = await (await self._engine()).crons()
        entries = [entry_of(row, table.now) for row in table.rows]
        return [entry for entry in entries if system or entry.queue not in SYSTEM_QUEUES]

    async def get(self, name: str) -> CronEntry:
        """The entry of this name."""
        table = await (await self._engine()).crons([check_name("name", name)])
        return entry_of(_only(table, name), table.now)

    async def create(
        self,
        name: str,
        cron: str,
        task: str | Task[..., Any],
        *,
        tz: str = "UTC",
        catch_up: CatchUp = "last",
        paused: bool = False,
        args: Mapping[str, Any] | None = None,
        queue: str | None = None,
        priority: int | None = None,
        max_attempts: int | None = None,
        tags: Iterable[str] | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> CronEntry:
        """Store an entry without code. Its first tick is the next one.

        ``args`` are plain JSON by the names of the task's arguments. If this app has
        tasks, ``task`` must be one of them, ``args`` are checked against its signature,
        and the other options default to the task's. Raises ``InvalidCron``,
        ``InvalidOption``, ``InvalidArguments``, ``UnknownTask`` and ``DuplicateCron``.
        """
        check_name("name", name)
        options = _given(
            queue=queue, priority=priority, max_attempts=max_attempts, tags=tags, meta=meta
        )
        spec = CronSpec(
            cron=Cron(cron, tz),
            catch_up=check_catch_up("create", catch_up),
            job=self._new_job(
                task.name if isinstance(task, Task) else check_name("task", task),
                args or {},
                options,
            ),
        )
        engine = await self._client().writing("crons.create()")
        if not await engine.create_cron(
            name, dump_values(spec.as_values()), check_bool("paused", paused)
        ):
            raise DuplicateCron(
                f"cron {name!r}: expected a new name, got the name of another entry"
            )
        return await self._changed(name)

    async def update(
        self,
        name: str,
        *,
        cron: str | None = None,
        tz: str | None = None,
        catch_up: CatchUp | None = None,
        args: Mapping[str, Any] | None = None,
        queue: str | None = None,
        priority: int | None = None,
        max_attempts: int | None = None,
        tags: Iterable[str] | None = None,
        meta: Mapping[str, Any] | None = None,
        expected: CronEntry | None = None,
    ) -> CronEntry:
        """Change an entry. ``args``, ``tags`` and ``meta`` are replaced as a whole. After
        a change of its times an entry has missed no ticks.

        ``expected`` is the entry as it was read: where it has changed since, but for what
        firing changes, nothing is changed, and ``ChangedMeanwhile`` is raised. Raises as
        ``create`` does too.
        """
        job = _checked(
            _given(queue=queue, priority=priority, max_attempts=max_attempts, tags=tags, meta=meta)
        )
        if args is not None:
            job["args"] = self._plain(args)
        schedule = _given(cron=cron, tz=tz)
        other = {} if catch_up is None else {"catch_up": check_catch_up("update", catch_up)}

        def change(row: CronRow) -> _Change:
            values = values_of(row)
            wanted = Cron(schedule.get("cron", values["cron"]), schedule.get("tz", values["tz"]))
            times = {
                key: value
                for key, value in {"cron": wanted.text, "tz": wanted.tz}.items()
                if key in schedule
            }
            changes = other | times | self._job_changes(row.name, job_of(values), job)
            return _Change(
                dump_values(changes),
                row.paused,
                any(values[key] != value for key, value in times.items()),
            )

        return await self._change(name, change, expected)

    async def pause(self, name: str) -> CronEntry:
        """Stop an entry until ``resume``."""
        return await self._change(name, lambda row: _Change("{}", True, False))

    async def resume(self, name: str) -> CronEntry:
        """Resume a paused entry. It has missed no ticks."""
        return await self._change(name, lambda row: _Change("{}", False, row.paused))

    async def reset(self, name: str) -> CronEntry:
        """Return an entry to what the code declares, not paused. Raises ``CronError``
        for an entry made at run time.
        """

        def change(row: CronRow) -> _Change:
            if row.declared is None:
                raise CronError(f"reset: cron {name!r} was made at run time: update or delete it")
            try:
                before = values_of(row)
            except InvalidCron:
                return _Change(None, False, True)
            after = load_values(row.declared, "{}")
            return _Change(
                None, False, row.paused or any(before[key] != after[key] for key in _SCHEDULE)
            )

        return await self._change(name, change)

    async def delete(self, name: str, *, expected: CronEntry | None = None) -> None:
        """Delete an entry made at run time, or one that no living node's code declares.

        Raises ``CronError`` for any other: the next start of a node would restore it.
        ``expected`` is as for ``update``.
        """
        engine = await self._client().writing("crons.delete()")
        for _ in range(_TRIES):
            row = await self._row(name, expected)
            if row.declared is not None and (
                row.live or self._registry.timetable.get(name) or not await living_nodes(engine)
            ):
                raise CronError(f"delete: cron {name!r} is declared in code: pause it")
            if await engine.delete_cron(name, row.rev):
                return
        raise _too_busy(name)

    async def run_now(self, name: str) -> Job:
        """Store the job of an entry now, also of a paused one. Its ticks do not change."""
        row = await self._row(name)
        return await self._client().insert(job_of(values_of(row)))

    async def _change(
        self,
        name: str,
        decide: Callable[[CronRow], "_Change"],
        expected: CronEntry | None = None,
    ) -> CronEntry:
        """Change the entry. After a concurrent change of the entry, decide again."""
        engine = await self._client().writing("crons: a change")
        for _ in range(_TRIES):
            row = await self._row(name, expected)
            change = decide(row)
            if await engine.change_cron(
                name, row.rev, change.changes, paused=change.paused, anew=change.anew
            ):
                return await self._changed(name)
        raise _too_busy(name)

    async def _changed(self, name: str) -> CronEntry:
        self._client().announcer.announce([Signal(SignalKind.CRON)])
        return await self.get(name)

    async def _row(self, name: str, expected: CronEntry | None = None) -> CronRow:
        table = await (await self._engine()).crons([check_name("name", name)])
        row = _only(table, name)
        if expected is not None and _as_configured(entry_of(row, table.now)) != _as_configured(
            expected
        ):
            raise ChangedMeanwhile(f"cron {name!r}")
        return row

    def _new_job(self, task: str, args: Mapping[str, Any], options: dict[str, Any]) -> NewJob:
        text = self._plain(args)
        if not len(self._registry):
            return replace(NewJob(task=task, args=text), **_checked(options))
        known = self._registry.get(task)
        positions, keywords = known.codec.decode(text)
        return known.using(**options).build(*positions, **keywords)

    def _job_changes(self, name: str, job: NewJob, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """``wanted`` as values of the entry, with encoded arguments and the new unique
        key.
        """
        if not wanted:
            return {}
        changed = replace(job, **wanted)
        task = self._registry.get(job.task) if job.task in self._registry else None
        if task is None:
            if job.unique_key is not None and not _COMPARED.isdisjoint(wanted):
                raise UnknownTask(
                    f"cron {name!r}: the jobs of its task {job.task!r} are unique; this app does "
                    "not know the task and cannot compute their unique key"
                )
            return {key: plain(value) for key, value in wanted.items()}
        positions, keywords = task.codec.decode(changed.args)
        valid, data = task.codec.encode_values(positions, keywords, self._max_args())
        values = {key: plain(value) for key, value in wanted.items()} | (
            {"args": data.decode()} if "args" in wanted else {}
        )
        declared = self._registry.timetable.get(name)
        unique = declared.unique if declared else task.options.unique
        if job.unique_key is not None and unique is not None:
            meta = json.loads(changed.meta or "{}")
            values["unique_key"] = digest(
                unique, task=task.name, valid=valid, data=data, queue=changed.queue, meta=meta
            ).hex()
        return values

    def _plain(self, args: Mapping[str, Any]) -> str:
        try:
            return check_meta("args", args, self._max_args())[1] or "{}"
        except InvalidOption as error:
            raise InvalidArguments(str(error), field="args") from error

    async def _engine(self) -> Engine:
        return await self._client().ready()


class _Change(NamedTuple):
    """The new state of an entry: ``changes`` as JSON (None removes all), and whether its
    ticks start again from now (``anew``).
    """

    changes: str | None
    paused: bool
    anew: bool


def _as_configured(entry: CronEntry) -> CronEntry:
    """The entry without what firing and the start of nodes change."""
    return replace(entry, next_at=None, fired_at=None, job_id=None, fires=False)


def _given(**options: Any) -> dict[str, Any]:
    return {option: value for option, value in options.items() if value is not None}


def _checked(options: Mapping[str, Any]) -> dict[str, Any]:
    checked: dict[str, Any] = {}
    for option, value in options.items():
        match option:
            case "queue":
                checked[option] = check_name(option, value)
            case "priority":
                checked[option] = check_range(option, value, 0, 9)
            case "max_attempts":
                checked[option] = check_range(option, value, 1, MOST_ATTEMPTS)
            case "tags":
                checked[option] = check_tags(option, value)
            case "meta":
                checked[option] = check_meta(option, value)[1] or "{}"
    return checked


def _only(table: CronTable, name: str) -> CronRow:
    if not table.rows:
        raise CronNotFound(name)
    return table.rows[0]


def _too_busy(name: str) -> DatabaseUnavailable:
    return DatabaseUnavailable(f"cron {name!r}: {_TRIES} concurrent changes in a row; try again")
