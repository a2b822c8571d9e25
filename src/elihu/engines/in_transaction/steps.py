"""Work on a caller's connection as a generator of statements: written once, executed by
synchronous and by asynchronous drivers.
"""

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from elihu.engines.protocol import Inserted
from elihu.job import Job

T = TypeVar("T")


class Statement(NamedTuple):
    """SQL with the engine's own placeholder (``$1`` or ``?``) for its only parameter, a
    JSON text.
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
    """The end of an attempt that completed, under the guard (id, claim, node) and for
    one installation; JSON stays text. ``value``, or why there is none, is kept where it
    is ``wanted``, and where somebody has begun to wait for the job.
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


class Answer(NamedTuple):
    """Whether a completion was written; which installation the connection leads to, and
    the state of the job there before.
    """

    done: bool
    installation: str | None
    state: str | None


class Executes(Protocol):
    """A connection as work on it needs it."""

    def execute(self, statement: Statement) -> Any:
        """The rows, or an awaitable of them."""
        ...


def run(connection: Executes, steps: Steps[T]) -> T:
    """Execute what the steps ask for and return what they return; an error of a
    statement is raised inside them first.
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
    """``run`` for a connection whose ``execute`` must be awaited."""
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
