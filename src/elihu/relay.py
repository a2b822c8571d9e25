"""Relays: handles to wait for the ends of jobs, on any node."""

import asyncio
import inspect
import reprlib
from collections.abc import Awaitable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar, cast

from elihu.duration import Duration, parse_duration
from elihu.errors import InvalidOption
from elihu.event_loop import refuse_in_loop
from elihu.job import Job

T = TypeVar("T")

TIMEOUT: Final = 5.0
"""The default time limit of a wait, in seconds."""


class Answer(NamedTuple):
    """The outcome of a wait: the task's value, or an error to raise."""

    value: Any = None
    error: Exception | None = None


@dataclass(slots=True)
class Watched:
    """A job to wait for, and the claim after which an attempt's end counts.

    Both are None for a job that was not submitted here, until the first wait marks the
    job as awaited and reads it.
    """

    id: int
    job: Job | None = None
    since: int | None = None


class ResultSource(Protocol):
    """Waits for jobs. The app is one."""

    async def answers(
        self, watched: Sequence[Watched], timeout: float | None, *, wait_retries: bool
    ) -> list[Answer]:
        """The answer for each, in order, after at most ``timeout`` seconds."""
        ...

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end from synchronous code."""
        ...


class Relay(Generic[T]):
    """A handle to a job. ``aresult``, or ``result`` in synchronous code, waits for its
    end and returns the task's value.

    Several waits are allowed, at the same time and after the end.
    """

    __slots__ = ("_source", "_watched")

    def __init__(self, host: ResultSource, watched: Watched) -> None:
        self._source = host
        self._watched = watched

    @property
    def ref(self) -> int:
        """The job's id, which ``app.relay`` takes in any process."""
        return self._watched.id

    @property
    def job(self) -> Job:
        """The job as submitted, or as the first wait read it. Raises ``LookupError``
        before that.
        """
        if self._watched.job is None:
            raise LookupError(
                f"relay.job: job {self.ref} is read by the first wait: await relay.aresult(…) first"
            )
        return self._watched.job

    def result(self, timeout: Duration | None = TIMEOUT, *, wait_retries: bool = False) -> T:
        """``aresult`` for synchronous code. Raises ``WrongLoop`` inside a running event
        loop.
        """
        refuse_in_loop("relay.result()", "await relay.aresult(…)")
        return self._source.run(self.aresult(timeout, wait_retries=wait_retries))

    async def aresult(self, timeout: Duration | None = TIMEOUT, *, wait_retries: bool = False) -> T:
        """The task's value with its declared type; plain JSON if the task is not
        registered here.

        Waits at most ``timeout`` (None: for ever), then raises ``RelayTimeout``; the job
        is not affected. With ``wait_retries`` a failed attempt that will be retried, or
        a snooze, does not end the wait. Raises the task's own exception if its type is
        built in or already imported here, else ``JobFailed``; ``JobDiscarded``,
        ``JobCancelled``, ``JobSnoozed``, ``ResultNotRecorded``, ``ResultTooLarge``,
        ``JobNotFound``, and ``InvalidOption`` for a negative time-out.
        """
        seconds = check_timeout(timeout)
        (answer,) = await self._source.answers([self._watched], seconds, wait_retries=wait_retries)
        if answer.error is not None:
            raise answer.error
        return cast(T, answer.value)

    def __repr__(self) -> str:
        return f"<Relay of job {self.ref}>"


def check_timeout(timeout: Duration | None, what: str = "timeout") -> float | None:
    """``timeout`` in seconds. Raises ``InvalidOption``, which names ``what``, for a
    negative value and for anything but a duration.
    """
    return None if timeout is None else parse_duration(timeout, what)


async def agather(
    relays: Iterable[Relay[Any] | Awaitable[Relay[Any]]],
    timeout: Duration | None = TIMEOUT,
    *,
    wait_retries: bool = False,
) -> list[Any]:
    """The outcome of each relay, in order: the task's value, or the exception object.

    Awaitables, such as ``task.asubmit(…)``, are awaited together before the time limit
    starts; the exception of one that raises takes its place. A job without an end after
    ``timeout`` gives a ``RelayTimeout``. Raises ``InvalidOption`` for anything but
    relays and awaitables of relays.
    """
    given = list(relays)
    try:
        seconds = check_timeout(timeout)
        for each in given:
            if not (isinstance(each, Relay) or inspect.isawaitable(each)):
                raise InvalidOption(
                    f"agather: expected relays, or awaitables of them, got {reprlib.repr(each)}"
                )
    except InvalidOption:
        _close(given)
        raise
    ready = await _awaited(given)
    found: list[Any] = list(ready)
    places: dict[ResultSource, list[int]] = {}
    for place, relay in enumerate(ready):
        if isinstance(relay, Relay):
            places.setdefault(relay._source, []).append(place)
    answers = await asyncio.gather(
        *(
            host.answers(
                [ready[place]._watched for place in those], seconds, wait_retries=wait_retries
            )
            for host, those in places.items()
        )
    )
    for those, part in zip(places.values(), answers, strict=True):
        for place, answer in zip(those, part, strict=True):
            found[place] = answer.value if answer.error is None else answer.error
    return found


def gather(
    relays: Iterable[Relay[Any]], timeout: Duration | None = TIMEOUT, *, wait_retries: bool = False
) -> list[Any]:
    """``agather`` for synchronous code, of relays alone. Raises ``WrongLoop`` inside a
    running event loop.
    """
    given = list(relays)
    try:
        refuse_in_loop("gather()", "await elihu.agather(…)")
        check_timeout(timeout)
        for each in given:
            if not isinstance(each, Relay):
                raise InvalidOption(
                    f"gather: expected relays, got {reprlib.repr(each)}; await elihu.agather(…) "
                    "takes awaitables too"
                )
    except BaseException:
        _close(given)
        raise
    return given[0]._source.run(agather(given, timeout, wait_retries=wait_retries)) if given else []


async def _awaited(given: Sequence[Any]) -> list[Any]:
    """Relays, or the exceptions of awaitables that raised. Propagates a cancellation."""
    waiting = [place for place, each in enumerate(given) if not isinstance(each, Relay)]
    ready = list(given)
    if waiting:
        for place, relay in zip(
            waiting,
            await asyncio.gather(*(given[place] for place in waiting), return_exceptions=True),
            strict=True,
        ):
            if not isinstance(relay, Relay | Exception):
                if isinstance(relay, BaseException):
                    raise relay
                raise InvalidOption(
                    f"agather: expected awaitables of relays, got one of {reprlib.repr(relay)}"
                )
            ready[place] = relay
    return ready


def _close(given: Iterable[object]) -> None:
    """Close coroutines that will not be awaited."""
    for each in given:
        if inspect.iscoroutine(each):
            each.close()
