"""Compiles a trigger into its tasks; imported when the first trigger is declared, since
it needs SQLAlchemy.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

from elihu.context import Context
from elihu.errors import InvalidTrigger
from elihu.job import NewJob
from elihu.task import Task
from elihu.task.options import TaskKeywords, UsingKeywords
from elihu.triggers.action import Action, check_callback
from elihu.triggers.arguments import TriggerCodec
from elihu.triggers.chunks import Chunks
from elihu.triggers.declare import Compiled, Trigger, make_scan, make_task
from elihu.triggers.flush import run_on
from elihu.triggers.host import TriggerHost
from elihu.triggers.jobs import JobBuilder, changed_input
from elihu.triggers.options import TriggerOptions
from elihu.triggers.records import Calls, RecordKey, Sessions, in_loop
from elihu.triggers.records.conditions import check_declared
from elihu.triggers.run import Runner
from elihu.triggers.scan import Scanner
from elihu.triggers.tenants import persister_of, tenant_of_record

__all__ = [
    "Action",
    "RecordKey",
    "changed",
    "changed_input",
    "check_declaration",
    "compiled",
    "run_on",
    "stored_actor",
    "tenant_for",
]


def check_declaration(trigger: Trigger) -> None:
    """Raise ``InvalidTrigger`` for options that do not fit the model or the action."""
    options, what = trigger.options, trigger.what
    check_declared(trigger.key, options.where, options.order_by, options.tenant_column, what)
    trigger.action.check(options.action_input, complete=options.read_metadata is None)
    either = frozenset({"session", "ctx"})
    for name, positional, named in (
        ("on_error", 2, either),
        ("authorize", 3, frozenset({"ctx"})),
        ("read", 0, frozenset()),
        ("worker_read", 0, frozenset()),
        ("read_metadata", 1, frozenset()),
        ("tenant_from_record", 1, frozenset()),
    ):
        if (function := getattr(options, name)) is not None:
            check_callback(function, f"{what}: {name}", positional=positional, named=named)


def compiled(trigger: Trigger, host: TriggerHost) -> Compiled:
    """What the trigger is in this app. Raises ``InvalidTrigger``."""
    options = trigger.options
    factory = options.sessions if options.sessions is not None else host.trigger_defaults.sessions
    if factory is None:
        raise InvalidTrigger(
            f"{trigger.what}: sessions: expected Elihu(sessions=async_sessionmaker(…)) or "
            "sessions= of the trigger, got neither"
        )
    sessions = Sessions(
        factory,
        what=trigger.what,
        asynchronous=trigger.action.asynchronous,
        tenant_schema=options.tenant_schema,
    )
    if trigger.action.asynchronous and not sessions.asynchronous:
        raise InvalidTrigger(
            f"{trigger.what}: sessions: expected an async_sessionmaker for an action written with "
            "async def, got synchronous sessions"
        )
    runner = Runner(trigger.name, trigger.key, options, trigger.action, sessions, host)
    task = _run_task(trigger, runner)
    plain = _with_flags(task.using().build_as_written('{"key":[]}'), options)
    builder = JobBuilder(trigger.name, options, trigger.action, plain, host.max_args)
    scanner = Scanner(trigger.name, trigger.key, options, sessions, host, builder)
    scan, cron = make_scan(trigger, scanner)
    return Compiled(host, task, scan, cron, builder, scanner)


def _run_task(trigger: Trigger, runner: Runner) -> Task[..., Any]:
    options = trigger.options
    call = Calls(asynchronous=runner.sessions.asynchronous)
    chunks = Chunks(runner, call, options.chunk) if options.chunk is not None else None
    declared: list[Task[..., Any]] = []

    def work(stored: Mapping[str, Any], ctx: Context) -> Any:
        return runner.run(runner.member(stored, ctx, call), call, declared[0])

    async def run(stored: dict[str, Any], *, ctx: Context) -> Any:
        if chunks is not None and (done := await chunks.join(stored, ctx)) is not None:
            return done.value
        return await in_loop(work, stored, ctx)

    def run_in_thread(stored: dict[str, Any], *, ctx: Context) -> Any:
        return work(stored, ctx)

    async def run_chunks_in_threads(stored: dict[str, Any], *, ctx: Context) -> Any:
        assert chunks is not None
        if (done := await chunks.join(stored, ctx)) is not None:
            return done.value
        return await asyncio.to_thread(work, stored, ctx)

    function: Callable[..., Any] = run if runner.sessions.asynchronous else run_in_thread
    if chunks is not None and not runner.sessions.asynchronous:
        function = run_chunks_in_threads
    given = TaskKeywords(
        name=trigger.task_name,
        aliases=trigger.aliases,
        queue=options.queue,
        priority=options.priority,
        max_attempts=options.max_attempts,
        log_errors=options.log_errors,
        log_final_error=options.log_final_error,
    )
    given.update(cast(TaskKeywords, dict(options.task_options)))
    task = make_task(trigger, function, given, TriggerCodec)
    declared.append(task)
    return task


def tenant_for(trigger: Trigger, host: TriggerHost, record: object, tenant: Any) -> Any:
    """The tenant of a job for this record: the one given, else the record's own."""
    if tenant is not None:
        return tenant
    return tenant_of_record(trigger.options, host.trigger_defaults, record)


def stored_actor(trigger: Trigger, host: TriggerHost, actor: Any) -> Any:
    """The stored JSON of an actor, or an awaitable of it."""
    persister = persister_of(trigger.options, host.trigger_defaults)
    return actor if persister is None else persister.store(actor)


def changed(trigger: Trigger, new: NewJob, options: Mapping[str, Any]) -> NewJob:
    """The job with the options of ``using`` laid over it."""
    other = trigger.task.using(**cast(UsingKeywords, dict(options))).build_as_written(new.args)
    other = _with_flags(other, trigger.options)
    return replace(other, unique_key=new.unique_key, unique_scope=new.unique_scope)


def _with_flags(new: NewJob, options: TriggerOptions) -> NewJob:
    """The job with what the engines must know of it: that the death of its node rolls
    it back, and that it has an ``on_error``.
    """
    flags: dict[str, Any] = {} if new.options is None else json.loads(new.options)
    flags["transactional"] = True
    if options.on_error is not None:
        flags["on_error"] = True
    return replace(new, options=json.dumps(flags))
