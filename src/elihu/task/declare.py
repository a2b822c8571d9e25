"""Tasks: the functions that jobs run, and the jobs made from them."""

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import datetime
from types import FunctionType
from typing import Any, Final, Generic, Literal, ParamSpec, TypeVar, Unpack, cast, overload

from pydantic_core import to_json

from elihu.context import Context
from elihu.duration import parse_duration
from elihu.errors import InvalidOption, InvalidTask, TaskNotBound
from elihu.event_loop import refuse_in_loop
from elihu.job import Job, NewJob
from elihu.options import SCOPES, check_range
from elihu.relay import Relay
from elihu.task.codec import Codec
from elihu.task.enqueuer import Enqueuer
from elihu.task.importable import check_importable, module_of
from elihu.task.options import (
    MOST_ATTEMPTS,
    TaskKeywords,
    TaskOptions,
    UsingKeywords,
    check_backoff,
    check_bool,
    check_expires,
    check_known,
    check_meta,
    check_name,
    check_names,
    check_run_at,
    check_tags,
    check_timeout,
    check_unique,
    parse_task_options,
)
from elihu.task.signature import TaskSignature, read_signature
from elihu.task.unique import digest

P = ParamSpec("P")
R = TypeVar("R")
V = TypeVar("V")

RunIn = Literal["loop", "thread", "process"]

DEFAULT_MAX_ARGS: Final = 1_048_576


class Task(Generic[P, R]):
    """A function with a stable name, whose calls can be stored as jobs.

    Calling it runs the function here and now, without the database; ``R`` is what that
    call returns, a coroutine for an ``async def``. A ``Context`` it asks for and is not
    given is a local one. For a type checker that parameter is one like any other: give
    it a default, as in ``*, ctx: Context = Context()``, and ``enqueue(7)`` checks; the
    default is never used.
    """

    def __init__(
        self,
        fn: Callable[P, R],
        name: str,
        aliases: tuple[str, ...],
        run_in: RunIn,
        signature: TaskSignature,
        options: TaskOptions,
    ) -> None:
        functools.update_wrapper(self, fn, updated=())
        self.fn: Final = fn
        self.name: Final = name
        self.aliases: Final = aliases
        self.run_in: Final[RunIn] = run_in
        self.options: Final = options
        self.codec: Final = Codec(signature)
        self._context = signature.context.name if signature.context else None
        self._context_index = signature.context_index
        self._host: Enqueuer | None = None
        self._plain = ConfiguredTask(self, {})
        if options.record:
            self.codec.check_result()

    @property
    def context_parameter(self) -> str | None:
        """The keyword by which the function takes its ``Context``, None where it takes
        none.
        """
        return self._context

    @property
    def host(self) -> Enqueuer:
        """The app that stores this task's jobs. Raises ``TaskNotBound``."""
        if self._host is None:
            raise TaskNotBound(
                f"task {self.name}: expected a task that an app knows, got one of a group that "
                "none includes: call app.include()"
            )
        return self._host

    @property
    def max_args(self) -> int:
        """Bytes of JSON that the arguments may have: the app's limit, 1 MiB without
        one.
        """
        return self._host.max_args if self._host else DEFAULT_MAX_ARGS

    def bind(self, host: Enqueuer) -> None:
        """Let ``host`` store this task's jobs from now on."""
        self._host = host

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if self._context is None or self._context in kwargs:
            return self.fn(*args, **kwargs)
        index = self._context_index
        if index is None or len(args) <= index:
            return cast(Callable[..., R], self.fn)(*args, **{**kwargs, self._context: Context()})
        if isinstance(args[index], Context):
            return self.fn(*args, **kwargs)
        return cast(Callable[..., R], self.fn)(*args[:index], Context(), *args[index:], **kwargs)

    def using(self, **options: Unpack[UsingKeywords]) -> "ConfiguredTask[P, R]":
        """The same task with other options for the jobs made through what this returns.

        ``delay`` or ``run_at`` (an aware ``datetime``) say when, ``hold`` stores the
        job suspended; ``queue priority max_attempts timeout expires unique record``
        replace the task's, ``backoff`` too (a duration here), ``tags`` add to them and
        ``meta`` goes over them key by key. With ``conn``, a connection or session of
        the caller's, a job exists if and only if its transaction commits;
        ``notify=False`` then leaves out the announcement. Raises ``InvalidOption``.
        """
        return ConfiguredTask(self, options)

    def build(self, *args: P.args, **kwargs: P.kwargs) -> NewJob:
        """A job for these arguments, not stored. Raises ``InvalidArguments``."""
        return self._plain.build(*args, **kwargs)

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Store a job for these arguments, from synchronous code. Raises
        ``InvalidArguments`` before anything is stored.
        """
        return self._plain.enqueue(*args, **kwargs)

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Store a job for these arguments. Raises ``InvalidArguments`` before anything
        is stored.
        """
        return await self._plain.aenqueue(*args, **kwargs)

    @overload
    def submit(
        self: "Task[P, Coroutine[Any, Any, V]]", *args: P.args, **kwargs: P.kwargs
    ) -> Relay[V]: ...
    @overload
    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Relay[R]: ...
    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Relay[Any]:
        """Store a job whose result somebody waits for, from synchronous code:
        ``relay.result()``.
        """
        return self._plain.submit(*args, **kwargs)

    @overload
    async def asubmit(
        self: "Task[P, Coroutine[Any, Any, V]]", *args: P.args, **kwargs: P.kwargs
    ) -> Relay[V]: ...
    @overload
    async def asubmit(self, *args: P.args, **kwargs: P.kwargs) -> Relay[R]: ...
    async def asubmit(self, *args: P.args, **kwargs: P.kwargs) -> Relay[Any]:
        """Store a job whose result somebody waits for: ``await relay.aresult()``.
        Raises ``InvalidArguments`` before anything is stored.
        """
        return await self._plain.asubmit(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Task {self.name}>"


class ConfiguredTask(Generic[P, R]):
    """A task with the options that its next jobs are to have: what ``Task.using``
    returns.
    """

    def __init__(self, task: Task[P, R], given: UsingKeywords) -> None:
        what = f"task {task.name}: using"
        check_known(what, given, UsingKeywords.__optional_keys__)
        base = task.options
        self._task = task
        self._run_at, self._delay = _when(what, given)
        self._hold = check_bool(f"{what}: hold", given.get("hold", False))
        self._queue = (
            check_name(f"{what}: queue", given["queue"]) if "queue" in given else base.queue
        )
        self._priority = check_range(
            f"{what}: priority", given.get("priority", base.priority), 0, 9
        )
        self._max_attempts = check_range(
            f"{what}: max_attempts", given.get("max_attempts", base.max_attempts), 1, MOST_ATTEMPTS
        )
        self._expires = check_expires(f"{what}: expires", given.get("expires", base.expires))
        self._unique = (
            check_unique(f"{what}: unique", given["unique"], task.codec.names)
            if "unique" in given
            else base.unique
        )
        self._period = (
            parse_duration(self._unique.period, "Unique(period=)")
            if self._unique and self._unique.period is not None
            else None
        )
        self._tags = (
            check_tags(f"{what}: tags", [*base.tags, *check_tags(f"{what}: tags", given["tags"])])
            if "tags" in given
            else base.tags
        )
        given_meta = check_meta(f"{what}: meta", given["meta"])[0] if "meta" in given else {}
        self._meta, self._meta_json = check_meta(f"{what}: meta", {**base.meta, **given_meta})
        self._options = _job_options(what, task, given)
        self._conn = given.get("conn")
        self._notify = check_bool(f"{what}: notify", given.get("notify", True))
        if self._conn is None and not self._notify:
            raise InvalidOption(
                f"{what}: notify: expected it with conn, got it without: every other job is "
                "announced after its commit"
            )

    def build(self, *args: P.args, **kwargs: P.kwargs) -> NewJob:
        """A job for these arguments, not stored. Raises ``InvalidArguments``."""
        if self._conn is not None:
            raise InvalidOption(
                f"task {self._task.name}: using: conn: expected none for build(), got one: give "
                "it to enqueue_many()"
            )
        return self._build(args, kwargs)

    def build_as_written(self, text: str) -> NewJob:
        """A job for a JSON object of keywords, which is stored as it stands. Raises
        ``InvalidArguments``.
        """
        return self._build(*self._task.codec.decode(text), text)

    def _build(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], text: str | None = None
    ) -> NewJob:
        task, unique = self._task, self._unique
        valid, data = task.codec.encode_values(args, kwargs, task.max_args)
        return NewJob(
            task=task.name,
            args=data.decode() if text is None else text,
            queue=self._queue,
            priority=self._priority,
            max_attempts=self._max_attempts,
            options=self._options,
            meta=self._meta_json,
            tags=self._tags,
            run_at=self._run_at,
            delay=self._delay,
            hold=self._hold,
            unique_key=digest(
                unique, task=task.name, valid=valid, data=data, queue=self._queue, meta=self._meta
            )
            if unique
            else None,
            unique_scope=SCOPES[unique.states] if unique else None,
            unique_period=self._period,
            replace=unique.replaced if unique else (),
            expires=self._expires,
        )

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Store a job for these arguments, from synchronous code. Raises
        ``InvalidArguments`` before anything is stored.
        """
        host = self._task.host
        return host.enqueue(self._build(args, kwargs), conn=self._conn, notify=self._notify)

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Store a job for these arguments. Raises ``InvalidArguments`` before anything
        is stored.
        """
        host = self._task.host
        return await host.aenqueue(self._build(args, kwargs), conn=self._conn, notify=self._notify)

    @overload
    def submit(
        self: "ConfiguredTask[P, Coroutine[Any, Any, V]]", *args: P.args, **kwargs: P.kwargs
    ) -> Relay[V]: ...
    @overload
    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Relay[R]: ...
    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Relay[Any]:
        """Store a job whose result somebody waits for, from synchronous code:
        ``relay.result()``.
        """
        if self._conn is None:
            refuse_in_loop("submit()", "await task.asubmit(…)")
        host = self._task.host
        new = replace(self._build(args, kwargs), awaited=True)
        return host.submitted(host.enqueue(new, conn=self._conn, notify=self._notify))

    @overload
    async def asubmit(
        self: "ConfiguredTask[P, Coroutine[Any, Any, V]]", *args: P.args, **kwargs: P.kwargs
    ) -> Relay[V]: ...
    @overload
    async def asubmit(self, *args: P.args, **kwargs: P.kwargs) -> Relay[R]: ...
    async def asubmit(self, *args: P.args, **kwargs: P.kwargs) -> Relay[Any]:
        """Store a job whose result somebody waits for: ``await relay.aresult()``.
        Raises ``InvalidArguments`` before anything is stored.
        """
        host = self._task.host
        new = replace(self._build(args, kwargs), awaited=True)
        return host.submitted(await host.aenqueue(new, conn=self._conn, notify=self._notify))

    def __repr__(self) -> str:
        return f"<Prepared {self._task.name}>"


def declare(fn: Callable[P, R], options: TaskKeywords, *, prefix: str = "") -> Task[P, R]:
    """The task that ``fn`` becomes. Raises ``InvalidTask`` and ``InvalidOption``.

    Its name is ``prefix`` and the option ``name``, else the function's module and
    qualified name; ``aliases`` are whole names.
    """
    name = _name_of(_function(fn), options.get("name"), prefix)
    what = f"task {name}"
    check_known(what, options, TaskKeywords.__optional_keys__)
    run_in = _check_run_in(what, cast(FunctionType, fn), options.get("run_in"))
    signature = read_signature(fn, name)
    aliases = tuple(
        alias
        for alias in check_names(f"{what}: aliases", options.get("aliases", ()))
        if alias != name
    )
    return Task(
        fn,
        name,
        aliases,
        run_in,
        signature,
        parse_task_options(what, options, signature.parameters),
    )


def _function(fn: object) -> FunctionType:
    advice = "expected a function written with def or async def"
    if isinstance(fn, Task):
        raise InvalidTask(
            f"{advice}, got the task {fn.name}: declare a function once, and give the task "
            "aliases for other names"
        )
    if not isinstance(fn, FunctionType):
        shown = (
            f"a functools.partial of {fn.func!r}" if isinstance(fn, functools.partial) else repr(fn)
        )
        raise InvalidTask(
            f"{advice}, got {shown}; for anything else that can be called, write a function that "
            "calls it"
        )
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise InvalidTask(f"{advice} that returns, got {fn.__qualname__}, a generator")
    if inspect.iscoroutinefunction(inspect.unwrap(fn)) and not inspect.iscoroutinefunction(fn):
        raise InvalidTask(
            f"{advice}, got {fn.__qualname__}, an async function inside a plain wrapper: write "
            "the wrapper with async def too"
        )
    return fn


def _name_of(fn: FunctionType, given: object, prefix: str) -> str:
    qualname = fn.__qualname__
    if given is not None:
        return check_name(
            f"task {qualname}: name", prefix + check_name(f"task {qualname}: name", given)
        )
    if "<" in qualname:
        raise InvalidTask(
            f"task {qualname}: expected name= for a lambda or a function inside a function, got "
            "none: its own name is not stable"
        )
    return check_name(f"task {qualname}: name", f"{prefix}{module_of(fn)}.{qualname}")


def _check_run_in(what: str, fn: FunctionType, given: object) -> RunIn:
    own: RunIn = "loop" if inspect.iscoroutinefunction(fn) else "thread"
    if given is None or given == own:
        return own
    if given == "process":
        check_importable(what, fn)
        return "process"
    if given == "thread":
        raise InvalidOption(
            f'{what}: run_in: expected "loop" or "process" for an async def, got "thread"'
        )
    if given == "loop":
        raise InvalidOption(
            f'{what}: run_in: expected "thread" or "process" for a def, which would stop the '
            'whole loop, got "loop"'
        )
    raise InvalidOption(f'{what}: run_in: expected "loop", "thread" or "process", got {given!r}')


def _when(what: str, given: UsingKeywords) -> tuple[datetime | None, float | None]:
    run_at, delay = given.get("run_at"), given.get("delay")
    if run_at is not None and delay is not None:
        raise InvalidOption(f"{what}: expected delay or run_at, got both")
    if delay is not None:
        return None, parse_duration(delay, f"{what}: delay")
    return (None if run_at is None else check_run_at(f"{what}: run_at", run_at)), None


def _job_options(what: str, task: Task[..., Any], given: UsingKeywords) -> str | None:
    options: dict[str, Any] = {}
    if task.options.max_orphans != TaskOptions().max_orphans:
        options["max_orphans"] = task.options.max_orphans
    if (
        "record" in given
        and check_bool(f"{what}: record", given["record"]) is not task.options.record
    ):
        options["record"] = given["record"]
        if given["record"]:
            task.codec.check_result()
    if "backoff" in given:
        backoff = check_backoff(f"{what}: backoff", given["backoff"])
        if callable(backoff):
            raise InvalidOption(
                f"{what}: backoff: expected a duration (a callable cannot be stored with a job), "
                f"got {backoff!r}"
            )
        if backoff != task.options.backoff:
            options["backoff"] = backoff
    if "timeout" in given:
        timeout = check_timeout(f"{what}: timeout", given["timeout"])
        if timeout != task.options.timeout:
            options["timeout"] = timeout
    return to_json(options).decode() if options else None
