"""Triggers: "for each record of this model where …, run this action". Each becomes two
ordinary tasks: one that scans for records, and one that runs the action on a record.
"""

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, cast, overload

from elihu.context import Context
from elihu.errors import InvalidTrigger, TaskNotBound
from elihu.job import Job, NewJob
from elihu.options import Unique
from elihu.schedule import Cron
from elihu.task import Codec, DeclaredCron, Task, check_name
from elihu.task.declare import declare
from elihu.task.options import TaskKeywords, UsingKeywords
from elihu.task.timetable import declare_cron
from elihu.triggers.host import TriggerHost
from elihu.triggers.options import (
    TriggerKeywords,
    TriggerOptions,
    names_of,
    parse_trigger_options,
)

SCAN: Final = ".scan"
"""What the name of a scan task ends with."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """What a trigger is in one app: its tasks, and what builds and finds its jobs."""

    host: TriggerHost
    task: Task[..., Any]
    scan: Task[..., Any]
    cron: DeclaredCron | None
    builder: Any
    scanner: Any


class Trigger:
    """A rule on a model, declared with ``@app.trigger``. ``name`` is its name,
    ``options`` are its options as they apply. A call of it calls the action.
    """

    def __init__(
        self, model: type[Any], function: Callable[..., Any], given: TriggerKeywords, prefix: str
    ) -> None:
        parts = _parts()
        functools.update_wrapper(self, function, updated=())
        name = given.get("name")
        own = check_name("trigger: name", name) if name is not None else _name_of(function)
        self.what: Final = f"trigger {prefix}{own}"
        self.model: Final = model
        self.function: Final = function
        self.name: Final = prefix + (own if name is not None else function.__name__)
        self.task_name: Final = prefix + own
        self.aliases: Final = names_of(self.what, given)
        self.key: Final = parts.RecordKey(model)
        self.options: Final[TriggerOptions] = parse_trigger_options(
            self.what, given, queue=f"{_snake(model.__name__)}_{function.__name__}"
        )
        self.action: Final = parts.Action(function, self.what)
        parts.check_declaration(self)
        self._compiled: Compiled | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    @property
    def compiled(self) -> Compiled:
        """What the trigger is in its app. Raises ``TaskNotBound``."""
        if self._compiled is None:
            raise TaskNotBound(
                f"{self.what}: expected a trigger that an app knows, got one of a group that none "
                "includes: call app.include()"
            )
        return self._compiled

    @property
    def task(self) -> Task[..., Any]:
        """The task that runs the action on one record. Raises ``TaskNotBound``."""
        return self.compiled.task

    @property
    def scan_task(self) -> Task[..., Any]:
        """The task that scans for records. Raises ``TaskNotBound``."""
        return self.compiled.scan

    def bind(self, host: TriggerHost) -> Compiled:
        """Make the tasks for this app. Raises ``InvalidTrigger`` where neither the app
        nor the trigger says where sessions come from.
        """
        self._compiled = _parts().compiled(self, host)
        return self._compiled

    def build(
        self,
        record: object,
        *,
        tenant: Any = None,
        actor: Any = None,
        action_input: Mapping[str, Any] | None = None,
        args: Mapping[str, Any] | None = None,
    ) -> NewJob:
        """The job for one record, not stored; ``actor`` as its persister stores it.
        Raises ``InvalidTrigger`` and ``InvalidArguments``.
        """
        compiled = self.compiled
        job: NewJob = compiled.builder.build(
            self.key.of(record),
            record,
            tenant=_parts().tenant_for(self, compiled.host, record, tenant),
            actor=actor,
            action_input=_parts().changed_input(self.action, action_input),
            args=args,
        )
        return job

    def build_for(
        self,
        key: Sequence[Any],
        *,
        tenant: Any = None,
        action_input: Mapping[str, Any] | None = None,
    ) -> NewJob:
        """The job for the record with this primary key, not stored. Raises
        ``InvalidTrigger`` for a trigger that reads more of the record.
        """
        compiled = self.compiled
        if not compiled.builder.is_plain:
            raise InvalidTrigger(
                f"{self.what}: expected a record, since extra_args or read_metadata read it, got "
                "its key"
            )
        job: NewJob = compiled.builder.build(
            list(key), tenant=tenant, action_input=_parts().changed_input(self.action, action_input)
        )
        return job

    @overload
    def run(self, record: Iterable[Any], **options: Any) -> list[Job]: ...
    @overload
    def run(self, record: object, **options: Any) -> Job: ...
    def run(self, record: Any, **options: Any) -> Any:
        """Store the job for a record, or one for each of several, from synchronous
        code. ``actor``, ``tenant``, ``action_input`` and ``args`` are those of the job;
        every option of ``using`` is taken too, ``conn`` among them.
        """
        if (actor := self._stored_actor(options)) is not None:
            if inspect.isawaitable(actor):
                _close(actor)
                raise InvalidTrigger(
                    f"{self.what}: actor_persister: expected a plain store() for run(), got one "
                    "written with async def: use arun()"
                )
            options["actor"] = actor
        host, built = self._prepared(record, options)
        conn = options.get("conn")
        stored = [host.enqueue(new, conn=conn, notify=options.get("notify", True)) for new in built]
        return stored if self._is_many(record) else stored[0]

    @overload
    async def arun(self, record: Iterable[Any], **options: Any) -> list[Job]: ...
    @overload
    async def arun(self, record: object, **options: Any) -> Job: ...
    async def arun(self, record: Any, **options: Any) -> Any:
        """``run`` for asynchronous code."""
        if (actor := self._stored_actor(options)) is not None:
            options["actor"] = await actor if inspect.isawaitable(actor) else actor
        host, built = self._prepared(record, options)
        conn = options.get("conn")
        stored = [
            await host.aenqueue(new, conn=conn, notify=options.get("notify", True)) for new in built
        ]
        return stored if self._is_many(record) else stored[0]

    async def scan(self, *, actor: Any = None) -> Any:
        """Store a job for each record that matches now and has none: what the scan task
        does, at once. Returns ``ScanCounts``.
        """
        return await self.compiled.scanner.scan(actor)

    def run_on(self, *operations: str, when: Callable[[Any], bool] | None = None) -> "Trigger":
        """Store the job of a record in the flush that inserts or updates it, so in its
        own transaction: ``"insert"``, ``"update"`` or both; ``when(record)`` says for
        which. Raises ``InvalidTrigger``.
        """
        _parts().run_on(self, operations, when)
        return self

    def _stored_actor(self, options: Mapping[str, Any]) -> Any:
        actor = options.get("actor")
        return None if actor is None else _parts().stored_actor(self, self.compiled.host, actor)

    def _is_many(self, record: Any) -> bool:
        return isinstance(record, Iterable) and not isinstance(record, self.model)

    def _prepared(self, record: Any, options: dict[str, Any]) -> tuple[TriggerHost, list[NewJob]]:
        own = {
            name: options.pop(name)
            for name in ("actor", "tenant", "action_input", "args")
            if name in options
        }
        conn_free = {name: value for name, value in options.items() if name not in _OF_CALL}
        records = list(record) if self._is_many(record) else [record]
        built = [self.build(each, **own) for each in records]
        if conn_free:
            built = [_parts().changed(self, each, conn_free) for each in built]
        return self.compiled.host, built

    def __repr__(self) -> str:
        return f"<Trigger {self.name} on {self.model.__name__}>"


_OF_CALL: Final = frozenset({"conn", "notify"})


def make_task(
    trigger: Trigger, function: Callable[..., Any], options: TaskKeywords, codec: type[Codec]
) -> Task[..., Any]:
    """A task of this function whose arguments ``codec`` reads and writes."""
    return declare(function, options, codec=codec)


def make_scan(trigger: Trigger, scanner: Any) -> tuple[Task[..., Any], DeclaredCron | None]:
    """The scan task, and its cron entry where the trigger has one."""
    options = trigger.options

    async def scan(actor: Any = None, *, ctx: Context) -> dict[str, int]:
        counts = await (scanner.scan() if actor is None else scanner.scan_as(actor))
        return {
            "matched": counts.matched,
            "enqueued": counts.enqueued,
            "conflicts": counts.conflicts,
        }

    task = declare(
        scan,
        TaskKeywords(
            name=trigger.task_name + SCAN,
            aliases=[alias + SCAN for alias in trigger.aliases],
            queue=options.scheduler_queue,
            priority=options.scheduler_priority,
            max_attempts=options.max_scheduler_attempts,
            unique=Unique(by=("task",)),
            record=True,
        ),
    )
    if options.cron is None or options.state != "active":
        return task, None
    entry = declare_cron(
        task,
        Cron(options.cron, options.tz),
        catch_up=options.catch_up,
        name=None,
        prefix="",
        args=None,
        using=cast(UsingKeywords, {}),
    )
    return task, entry


def _parts() -> Any:
    """The part that needs SQLAlchemy, imported when the first trigger is declared.
    Raises ``InvalidTrigger`` where it is not installed.
    """
    try:
        return import_module("elihu.triggers.compile")
    except ModuleNotFoundError as error:
        if error.name is None or not error.name.startswith(("sqlalchemy", "greenlet")):
            raise
        raise InvalidTrigger(
            "trigger: expected SQLAlchemy, got none: install elihu[triggers]"
        ) from error


def _name_of(function: Any) -> str:
    if not inspect.isfunction(function):
        raise InvalidTrigger(f"trigger: expected a function, got {function!r}")
    if "<" in function.__qualname__:
        raise InvalidTrigger(
            f"trigger {function.__qualname__}: expected name= for a function inside a function, "
            "got none"
        )
    return f"{function.__module__}.{function.__qualname__}"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _close(awaitable: Any) -> None:
    if inspect.iscoroutine(awaitable):
        awaitable.close()
