"""Tasks: the functions that jobs run, and the jobs made from them."""

import functools
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, Literal, ParamSpec, TypeVar, Unpack, cast, overload

from elihu.context import Context
from elihu.errors import TaskNotBound
from elihu.job import Job, NewJob
from elihu.relay import Relay
from elihu.task.codec import Codec
from elihu.task.configured import ConfiguredTask
from elihu.task.enqueuer import Enqueuer
from elihu.task.options import TaskOptions, UsingKeywords
from elihu.task.signature import TaskSignature

P = ParamSpec("P")
R = TypeVar("R")
V = TypeVar("V")

RunIn = Literal["loop", "thread", "process"]

DEFAULT_MAX_ARGS: Final = 1_048_576


class Task(Generic[P, R]):
    """A function with a stable name, whose calls can be stored as jobs.

    A call runs the function at once, without the database. ``R`` is what that call
    returns: a coroutine for an ``async def``. If the function takes a ``Context`` and
    the call gives none, it gets a local one. Type checkers treat that parameter like any
    other: give it a default, as in ``*, ctx: Context = Context()``, and ``enqueue(7)``
    checks. The default is never used.
    """

    def __init__(
        self,
        fn: Callable[P, R],
        name: str,
        aliases: tuple[str, ...],
        run_in: RunIn,
        signature: TaskSignature,
        options: TaskOptions,
        codec: Codec,
    ) -> None:
        functools.update_wrapper(self, fn, updated=())
        self.fn: Final = fn
        self.name: Final = name
        self.aliases: Final = aliases
        self.run_in: Final[RunIn] = run_in
        self.options: Final = options
        self.codec: Final = codec
        self._context = signature.context.name if signature.context else None
        self._context_index = signature.context_index
        self._enqueuer: Enqueuer | None = None
        self._plain = ConfiguredTask(self, {})
        if options.record:
            self.codec.check_result()

    @property
    def context_parameter(self) -> str | None:
        """The name of the parameter that takes the ``Context``, None without one."""
        return self._context

    @property
    def enqueuer(self) -> Enqueuer:
        """The app that stores this task's jobs. Raises ``TaskNotBound`` without one."""
        if self._enqueuer is None:
            raise TaskNotBound(
                f"task {self.name} belongs to a group that no app includes: call app.include()"
            )
        return self._enqueuer

    @property
    def max_args(self) -> int:
        """The most bytes of JSON that the arguments may have: the app's limit, or 1 MiB
        without an app.
        """
        return self._enqueuer.max_args if self._enqueuer else DEFAULT_MAX_ARGS

    def bind(self, enqueuer: Enqueuer) -> None:
        """Make ``enqueuer`` store this task's jobs."""
        self._enqueuer = enqueuer

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
        """Return the task with other options for its next jobs.

        ``delay`` or ``run_at`` (an aware ``datetime``) set when the job is due. ``hold``
        stores it suspended. ``queue``, ``priority``, ``max_attempts``, ``timeout``,
        ``expires``, ``unique``, ``record`` and ``backoff`` (a duration, not a callable)
        replace the task's options. ``tags`` are added to the task's; ``meta`` is merged
        key by key. With ``conn``, the caller's connection or session, the job exists if
        and only if that transaction commits; ``notify=False`` then omits the
        announcement. Raises ``InvalidOption``.
        """
        return ConfiguredTask(self, options)

    def build(self, *args: P.args, **kwargs: P.kwargs) -> NewJob:
        """Make a job for these arguments without storing it. Raises
        ``InvalidArguments``.
        """
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
        """Store a job and return a relay that waits for its result, from synchronous
        code: ``relay.result()``.
        """
        return self._plain.submit(*args, **kwargs)

    @overload
    async def asubmit(
        self: "Task[P, Coroutine[Any, Any, V]]", *args: P.args, **kwargs: P.kwargs
    ) -> Relay[V]: ...
    @overload
    async def asubmit(self, *args: P.args, **kwargs: P.kwargs) -> Relay[R]: ...
    async def asubmit(self, *args: P.args, **kwargs: P.kwargs) -> Relay[Any]:
        """Store a job and return a relay that waits for its result: ``await
        relay.aresult()``. Raises ``InvalidArguments`` before anything is stored.
        """
        return await self._plain.asubmit(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Task {self.name}>"
