"""A task with options for its next jobs: what ``Task.using`` returns."""

from collections.abc import Coroutine, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from pydantic_core import to_json

from elihu.duration import parse_duration
from elihu.errors import InvalidOption
from elihu.event_loop import refuse_in_loop
from elihu.job import Job, NewJob
from elihu.options import SCOPES, check_range
from elihu.relay import Relay
from elihu.task.options import (
    MOST_ATTEMPTS,
    TaskOptions,
    UsingKeywords,
    check_backoff,
    check_bool,
    check_expires,
    check_known,
    check_meta,
    check_name,
    check_run_at,
    check_tags,
    check_timeout,
    check_unique,
)
from elihu.task.unique import digest

if TYPE_CHECKING:
    from elihu.task.task import Task

P = ParamSpec("P")
R = TypeVar("R")
V = TypeVar("V")


class ConfiguredTask(Generic[P, R]):
    """A task with options for its next jobs."""

    def __init__(self, task: "Task[P, R]", given: UsingKeywords) -> None:
        what = f"task {task.name}: using"
        check_known(what, given, UsingKeywords.__optional_keys__)
        base = task.options
        self._task = task
        run_at, delay = _when(what, given)
        expires = check_expires(f"{what}: expires", given.get("expires", base.expires))
        queue = check_name(f"{what}: queue", given["queue"]) if "queue" in given else base.queue
        priority = check_range(f"{what}: priority", given.get("priority", base.priority), 0, 9)
        max_attempts = check_range(
            f"{what}: max_attempts", given.get("max_attempts", base.max_attempts), 1, MOST_ATTEMPTS
        )
        self._unique = (
            check_unique(f"{what}: unique", given["unique"], task.codec.names)
            if "unique" in given
            else base.unique
        )
        period = (
            parse_duration(self._unique.period, "Unique(period=)")
            if self._unique and self._unique.period is not None
            else None
        )
        tags = (
            check_tags(f"{what}: tags", [*base.tags, *check_tags(f"{what}: tags", given["tags"])])
            if "tags" in given
            else base.tags
        )
        given_meta = check_meta(f"{what}: meta", given["meta"])[0] if "meta" in given else {}
        self._meta, meta_json = check_meta(f"{what}: meta", {**base.meta, **given_meta})
        self._new = NewJob(
            task=task.name,
            queue=queue,
            priority=priority,
            max_attempts=max_attempts,
            options=_job_options(what, task, given),
            meta=meta_json,
            tags=tags,
            run_at=run_at,
            delay=delay,
            hold=check_bool(f"{what}: hold", given.get("hold", False)),
            unique_period=period,
            replace=self._unique.replaced if self._unique else (),
            expires=_check_end(what, run_at, expires),
        )
        self._conn = given.get("conn")
        # an app may choose a connection of its own where none is given, but not for conn=None
        self._chosen = {"conn": self._conn} if "conn" in given else {}
        self._notify = check_bool(f"{what}: notify", given.get("notify", True))
        if self._conn is None and not self._notify:
            raise InvalidOption(
                f"{what}: notify: expected conn with it, got none: other jobs are always announced "
                "after their commit"
            )

    def build(self, *args: P.args, **kwargs: P.kwargs) -> NewJob:
        """Make a job for these arguments without storing it. Raises
        ``InvalidArguments``, and ``InvalidOption`` with ``conn``.
        """
        if self._conn is not None:
            raise InvalidOption(
                f"task {self._task.name}: using: conn: expected none for build(), got one: pass it "
                "to enqueue_many()"
            )
        return self._build(args, kwargs)

    def build_as_written(self, text: str) -> NewJob:
        """Make a job for a JSON object of keywords, which is stored unchanged. Raises
        ``InvalidArguments``.
        """
        return self._build(*self._task.codec.decode(text), text)

    def _build(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], text: str | None = None
    ) -> NewJob:
        task, unique = self._task, self._unique
        valid, data = task.codec.encode_values(args, kwargs, task.max_args)
        new = self._new.with_args(data.decode() if text is None else text)
        if unique is None:
            return new
        queue, meta = self._new.queue, self._meta
        key = digest(unique, task=task.name, valid=valid, data=data, queue=queue, meta=meta)
        return replace(new, unique_key=key, unique_scope=SCOPES[unique.states])

    def enqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Store a job for these arguments, from synchronous code. Raises
        ``InvalidArguments`` before anything is stored.
        """
        new = self._build(args, kwargs)
        return self._task.enqueuer.enqueue(new, notify=self._notify, **self._chosen)

    async def aenqueue(self, *args: P.args, **kwargs: P.kwargs) -> Job:
        """Store a job for these arguments. Raises ``InvalidArguments`` before anything
        is stored.
        """
        new = self._build(args, kwargs)
        return await self._task.enqueuer.aenqueue(new, notify=self._notify, **self._chosen)

    @overload
    def submit(
        self: "ConfiguredTask[P, Coroutine[Any, Any, V]]", *args: P.args, **kwargs: P.kwargs
    ) -> Relay[V]: ...
    @overload
    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Relay[R]: ...
    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Relay[Any]:
        """Store a job and return a relay that waits for its result, from synchronous
        code: ``relay.result()``.
        """
        if self._conn is None:
            refuse_in_loop("submit()", "await task.asubmit(…)")
        enqueuer = self._task.enqueuer
        new = replace(self._build(args, kwargs), awaited=True)
        return enqueuer.submitted(enqueuer.enqueue(new, notify=self._notify, **self._chosen))

    @overload
    async def asubmit(
        self: "ConfiguredTask[P, Coroutine[Any, Any, V]]", *args: P.args, **kwargs: P.kwargs
    ) -> Relay[V]: ...
    @overload
    async def asubmit(self, *args: P.args, **kwargs: P.kwargs) -> Relay[R]: ...
    async def asubmit(self, *args: P.args, **kwargs: P.kwargs) -> Relay[Any]:
        """Store a job and return a relay that waits for its result: ``await
        relay.aresult()``. Raises ``InvalidArguments`` before anything is stored.
        """
        enqueuer = self._task.enqueuer
        new = replace(self._build(args, kwargs), awaited=True)
        return enqueuer.submitted(await enqueuer.aenqueue(new, notify=self._notify, **self._chosen))

    def __repr__(self) -> str:
        return f"<ConfiguredTask {self._task.name}>"


def _when(what: str, given: UsingKeywords) -> tuple[datetime | None, float | None]:
    run_at, delay = given.get("run_at"), given.get("delay")
    if run_at is not None and delay is not None:
        raise InvalidOption(f"{what}: expected delay or run_at, got both")
    if delay is not None:
        return None, parse_duration(delay, f"{what}: delay")
    return (None if run_at is None else check_run_at(f"{what}: run_at", run_at)), None


def _check_end(what: str, run_at: datetime | None, expires: float | None) -> float | None:
    """Return ``expires``. Raise ``InvalidOption`` if a job due at ``run_at`` would expire
    after the end of Python's calendar.
    """
    if run_at is None or expires is None:
        return expires
    try:
        check_run_at("", run_at + timedelta(seconds=expires))
    except (InvalidOption, OverflowError) as error:
        raise InvalidOption(
            f"{what}: expires: expected an end in the years 2 to 9998, got {expires:g} seconds "
            f"after {run_at}"
        ) from error
    return expires


def _job_options(what: str, task: "Task[..., Any]", given: UsingKeywords) -> str | None:
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
