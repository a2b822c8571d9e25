"""Relays: handles on jobs whose ends somebody waits for, on any node."""

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
"""Seconds for which a wait lasts that says nothing else."""


class Answer(NamedTuple):
    """What a wait came to: the task's value, or an error to be raised."""

    value: Any = None
    error: Exception | None = None


@dataclass(slots=True)
class Watched:
    """A job that is waited for: what is known of it, and the claim after which an
    attempt's end counts.

    Both are None until the first wait for a job that was not submitted here: it marks
    the job as awaited, and reads it.
    """

    id: int
    job: Job | None = None
    since: int | None = None


class ResultSource(Protocol):
    """Waits for jobs: the app, as relays see it."""

    async def answers(
        self, watched: Sequence[Watched], timeout: float | None, *, wait_retries: bool
    ) -> list[Answer]:
        """What each has come to after at most ``timeout`` seconds, in order."""
        ...

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it to its end, in synchronous code."""
        ...


class Relay(Generic[T]):
    """A handle on a job: ``aresult``, or ``result`` in synchronous code, waits for its
    end and gives the task's value.

    It can be waited for again, by several at once, and after the end.
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
        """The job as it was when it was submitted, or read by the first wait; before
        that ``LookupError``.
        """
        if self._watched.job is None:
            raise LookupError(
                f"relay.job: expected a job that was read by a first wait, got job {self.ref}, "
                "not waited for yet"
            )
        return self._watched.job

    def result(self, timeout: Duration | None = TIMEOUT, *, wait_retries: bool = False) -> T:
        """``aresult`` for synchronous code. Raises ``WrongLoop`` inside a running event
        loop.
        """
        refuse_in_loop("relay.result()", "await relay.aresult(…)")
        return self._source.run(self.aresult(timeout, wait_retries=wait_retries))

    async def aresult(self, timeout: Duration | None = TIMEOUT, *, wait_retries: bool = False) -> T:
        """The task's value in its declared type; plain JSON where the task is not
        registered here.

        Waits at most ``timeout`` (None: for ever), and raises ``RelayTimeout`` then:
        the job goes on. With ``wait_retries`` an attempt that is tried again, or
        snoozed, does not end the waiting. Raises the task's own exception where its
        type is built in or imported here already, else ``JobFailed``; ``JobDiscarded``,
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
    """``timeout`` in seconds; raises ``InvalidOption``, naming ``what``, for what is
    negative or no duration.
    """
    return None if timeout is None else parse_duration(timeout, what)


async def agather(
    relays: Iterable[Relay[Any] | Awaitable[Relay[Any]]],
    timeout: Duration | None = TIMEOUT,
    *,
    wait_retries: bool = False,
) -> list[Any]:
    """What each relay came to, in order: the task's value, or the exception as an
    object in its place.

    Awaitables, such as ``task.asubmit(…)``, are awaited together before the time
    begins; one that raises has its exception in its place. What is not there after
    ``timeout`` is a ``RelayTimeout``. Raises ``InvalidOption`` for anything else.
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
    ready = await _settled(given)
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


async def _settled(given: Sequence[Any]) -> list[Any]:
    """Relays, and exceptions of the awaitables that raised. A cancellation goes on."""
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
    """Coroutines that nobody will await."""
    for each in given:
        if inspect.iscoroutine(each):
            each.close()
