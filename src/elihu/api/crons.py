"""``app.crons``: look at cron entries and change them."""

import builtins
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from elihu.clients.client import Client
from elihu.engines.protocol import Engine
from elihu.engines.protocol.crons import CronRow, CronTable
from elihu.engines.protocol.signals import Signal, SignalKind
from elihu.errors import (
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
    CronSource,
    CronSpec,
    dump_values,
    job_of,
    load_values,
    plain,
)
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
"""What a change of can change the unique key of a job."""


class Crons:
    """Verbs on cron entries: those that the code declares with ``@app.cron``, and those
    made here.

    What is changed here survives restarts and new versions of the code, value by value,
    until ``reset``. Verbs on one entry raise ``CronNotFound``.
    """

    def __init__(
        self, client: Callable[[], Client], registry: Registry, max_args: Callable[[], int]
    ) -> None:
        self._client = client
        self._registry = registry
        self._max_args = max_args

    async def list(self) -> builtins.list[CronEntry]:
        """All entries, by name."""
        table = await (await self._engine()).crons()
        return [_entry(row, table.now) for row in table.rows]

    async def get(self, name: str) -> CronEntry:
        """The entry of this name."""
        table = await (await self._engine()).crons([check_name("name", name)])
        return _entry(_only(table, name), table.now)

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
        """Store an entry, which needs no code; its first tick is the first one from now
        on.

        ``args`` are plain JSON by the names of the task's arguments, and checked
        against its signature where this app has tasks; then ``task`` must be one of
        them, and what is not given is the task's. Raises ``InvalidCron``,
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
        engine = await self._engine()
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
    ) -> CronEntry:
        """Change an entry; ``args``, ``tags`` and ``meta`` are replaced as a whole. One
        whose times change has missed none of them.

        Raises as ``create`` does.
        """
        job = _checked(
            _given(queue=queue, priority=priority, max_attempts=max_attempts, tags=tags, meta=meta)
        )
        if args is not None:
            job["args"] = self._plain(args)
        schedule = _given(cron=cron, tz=tz)
        other = {} if catch_up is None else {"catch_up": check_catch_up("update", catch_up)}

        def change(row: CronRow) -> _Change:
            values = load_values(row.declared, row.changes)
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

        return await self._change(name, change)

    async def pause(self, name: str) -> CronEntry:
        """Let an entry fire no more, until ``resume``."""
        return await self._change(name, lambda row: _Change("{}", True, False))

    async def resume(self, name: str) -> CronEntry:
        """Let a paused entry fire again, from now on: it has missed nothing meanwhile."""
        return await self._change(name, lambda row: _Change("{}", False, row.paused))

    async def reset(self, name: str) -> CronEntry:
        """Return to what the code declares: nothing changed, not paused. Raises
        ``CronError`` for an entry made at run time.
        """

        def change(row: CronRow) -> _Change:
            if row.declared is None:
                raise CronError(
                    f"reset: expected an entry of the code, got {name!r}, which was made at run "
                    "time: update or delete it"
                )
            before, after = load_values(row.declared, row.changes), load_values(row.declared, "{}")
            return _Change(
                None, False, row.paused or any(before[key] != after[key] for key in _SCHEDULE)
            )

        return await self._change(name, change)

    async def delete(self, name: str) -> None:
        """Remove an entry made at run time, or one that the code of living nodes
        declares no more.

        Raises ``CronError`` for any other: it would come back with the next start of a
        node.
        """
        engine = await self._engine()
        for _ in range(_TRIES):
            row = await self._row(name)
            if row.declared is not None and (
                row.live or self._registry.timetable.get(name) or not await engine.nodes()
            ):
                raise CronError(
                    f"delete: expected an entry made at run time, got {name!r}, which the code "
                    "declares: pause it"
                )
            if await engine.delete_cron(name, row.rev):
                return
        raise _restless(name)

    async def run_now(self, name: str) -> Job:
        """Store the job of an entry at once, a paused one's too; its ticks stay as they
        are.
        """
        row = await self._row(name)
        return await self._client().insert(job_of(load_values(row.declared, row.changes)))

    async def _change(self, name: str, decide: Callable[[CronRow], "_Change"]) -> CronEntry:
        """Change the entry as it is now, or, where somebody else changes it meanwhile,
        as it is then.
        """
        engine = await self._engine()
        for _ in range(_TRIES):
            row = await self._row(name)
            change = decide(row)
            if await engine.change_cron(
                name, row.rev, change.changes, paused=change.paused, anew=change.anew
            ):
                return await self._changed(name)
        raise _restless(name)

    async def _changed(self, name: str) -> CronEntry:
        self._client().announcer.announce([Signal(SignalKind.CRON)])
        return await self.get(name)

    async def _row(self, name: str) -> CronRow:
        return _only(await (await self._engine()).crons([check_name("name", name)]), name)

    def _new_job(self, task: str, args: Mapping[str, Any], options: dict[str, Any]) -> NewJob:
        text = self._plain(args)
        if not len(self._registry):
            return replace(NewJob(task=task, args=text), **_checked(options))
        known = self._registry.get(task)
        positions, keywords = known.codec.decode(text)
        return known.using(**options).build(*positions, **keywords)

    def _job_changes(self, name: str, job: NewJob, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """``wanted`` as values of the entry, with the arguments as the task takes them,
        and the unique key that follows from it.
        """
        if not wanted:
            return {}
        changed = replace(job, **wanted)
        task = self._registry.get(job.task) if job.task in self._registry else None
        if task is None:
            if job.unique_key is not None and not _COMPARED.isdisjoint(wanted):
                raise UnknownTask(
                    f"cron {name!r}: expected an app that knows the task {job.task!r}, whose jobs "
                    "are unique, got one without"
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
    """What becomes of an entry: ``changes`` as JSON (None: none are left), and whether
    it begins anew.
    """

    changes: str | None
    paused: bool
    anew: bool


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
        raise CronNotFound(f"expected the name of a cron entry, got {name!r}")
    return table.rows[0]


def _restless(name: str) -> DatabaseUnavailable:
    return DatabaseUnavailable(
        f"cron {name!r}: expected the entry to stay as it is for a moment, got {_TRIES} changes "
        "in a row"
    )


def _entry(row: CronRow, now: datetime) -> CronEntry:
    values = load_values(row.declared, row.changes)
    job = job_of(values)
    at_runtime = row.declared is None
    return CronEntry(
        name=row.name,
        cron=values["cron"],
        tz=values["tz"],
        catch_up=values["catch_up"],
        task=job.task,
        args=json.loads(job.args),
        queue=job.queue,
        priority=job.priority,
        max_attempts=job.max_attempts,
        tags=job.tags,
        meta=json.loads(job.meta or "{}"),
        source=CronSource.RUNTIME if at_runtime else CronSource.CODE,
        paused=row.paused,
        fires=not row.paused and (at_runtime or row.live),
        changed=()
        if at_runtime
        else tuple(sorted(json.loads(row.changes).keys() - {"unique_key"})),
        next_at=_next(values, now),
        fired_at=row.fired_at,
        job_id=row.job_id,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _next(values: Mapping[str, Any], now: datetime) -> datetime | None:
    try:
        following = Cron(values["cron"], values["tz"]).next(now)
    except InvalidCron:  # written by other hands, or by a machine that knows other zones
        return None
    return following and following.astimezone(UTC)
