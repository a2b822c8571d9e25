"""Work on a caller's connection as a generator of statements. It is written once, and
executed by synchronous and asynchronous drivers.
"""

from collections.abc import Generator, Sequence
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from elihu.engines.protocol import Inserted
from elihu.job import Job, JobState, RunOutcome

T = TypeVar("T")


class Statement(NamedTuple):
    """SQL with the engine's placeholder (``$1`` or ``?``) for its only parameter, a JSON
    text.
    """

    sql: str
    text: str | None = None


Rows = Sequence[Any]
"""Each row has one column, of text."""
Steps = Generator[Statement, Rows, T]


class Stored(NamedTuple):
    """A job stored, or the job that holds its unique key."""

    row: Inserted
    holder: Job | None = None


class Completion(NamedTuple):
    """The end of an attempt, under the guard (id, claim, node) and for one installation.
    JSON stays text. ``value``, or the reason why there is none, is kept where it is
    ``wanted`` or the job is awaited. ``outcome`` is ``failed`` for an attempt whose
    error was handled in the same transaction; ``to_state`` is where the job goes.
    ``waited`` as in ``Ack``.
    """

    id: int
    claim: int
    node: str
    installation: str
    value: str | None
    reason: str | None
    log: str | None
    error_type: str | None
    wanted: bool
    to_state: str = JobState.COMPLETED.value
    outcome: str = RunOutcome.COMPLETED.value
    error: str | None = None
    traceback: str | None = None
    waited: float = 0.0

    @property
    def is_plain(self) -> bool:
        """Whether the job is completed, with nothing to store but its value."""
        return self[_BEHIND_VALUE:_WANTED] == _NO_TEXTS and self[_WANTED + 1 :] == _PLAIN_END


_BEHIND_KEY: Final = Completion._fields.index("node")
_BEHIND_VALUE: Final = Completion._fields.index("value") + 1
_WANTED: Final = Completion._fields.index("wanted")
_NO_TEXTS: Final = (None,) * (_WANTED - _BEHIND_VALUE)
_PLAIN_END: Final = tuple(Completion._field_defaults.values())


def are_plain(completions: Sequence[Completion]) -> bool:
    """Whether these differ in job and claim alone, and are plain."""
    first, *others = completions
    return first.is_plain and all(other[_BEHIND_KEY:] == first[_BEHIND_KEY:] for other in others)


class Act(NamedTuple):
    """A trigger acts on records: the digest of each, and the seconds after which it may
    act on one again, None for never.
    """

    trigger: str
    digests: Sequence[bytes]
    period: float | None


class Answer(NamedTuple):
    """Whether a completion was written, the installation at the other end of the
    connection, and the state of the job there before.
    """

    done: bool
    installation: str | None
    state: str | None


class Executes(Protocol):
    """A connection, as ``run`` and ``arun`` need it."""

    def execute(self, statement: Statement) -> Any:
        """The rows, or an awaitable of them."""
        ...


def run(connection: Executes, steps: Steps[T]) -> T:
    """Execute the statements of ``steps`` and return what they return. The error of a
    statement is raised inside the steps first.
    """
    statement = next(steps)
    try:
        while True:
            try:
                rows = connection.execute(statement)
            except Exception as error:
                statement = steps.throw(error)
            else:
                statement = steps.send(rows)
    except StopIteration as done:
        result: T = done.value
        return result


async def arun(connection: Executes, steps: Steps[T]) -> T:
    """``run`` for a connection whose ``execute`` is awaited."""
    statement = next(steps)
    try:
        while True:
            try:
                rows = await connection.execute(statement)
            except Exception as error:
                statement = steps.throw(error)
            else:
                statement = steps.send(rows)
    except StopIteration as done:
        result: T = done.value
        return result
