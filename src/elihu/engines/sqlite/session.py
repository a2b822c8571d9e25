"""What the functions of the verbs work with: a connection, inside its thread."""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final

from elihu.engines.sqlite.queries import statement

Parameters = Sequence[Any] | Mapping[str, Any]

_CLOCK: Final = statement("clock")


class Call:
    """Work for the thread of a connection, and the future that waits for its answer."""

    __slots__ = ("expired", "future", "work")

    def __init__(self, work: "Callable[[Session], Any]", future: asyncio.Future[Any]) -> None:
        self.work = work
        self.future = future
        self.expired = False


class Session:
    """A connection for the time of one call."""

    __slots__ = ("_call", "connection")

    def __init__(self, connection: sqlite3.Connection, call: Call | None = None) -> None:
        self.connection = connection
        self._call = call

    def execute(self, statement: str, parameters: Parameters = ()) -> sqlite3.Cursor:
        """Execute a statement that returns no rows."""
        return self.connection.execute(statement, parameters)

    def rows(self, statement: str, parameters: Parameters = ()) -> list[Any]:
        """All rows of a statement. A statement that is not read to its end keeps its
        lock.
        """
        return self.connection.execute(statement, parameters).fetchall()

    def row(self, statement: str, parameters: Parameters = ()) -> Any:
        """The first row of a statement, None where there is none."""
        found = self.rows(statement, parameters)
        return found[0] if found else None

    def now(self) -> float:
        """The database's clock, in Unix seconds."""
        (now,) = self.row(_CLOCK)
        return float(now)

    def write(self) -> "Transaction":
        """A transaction that takes the write lock at once. A transaction that reads
        first fails without waiting when another connection has written since.
        """
        return Transaction(self.connection, self._call)


class Transaction:
    """``BEGIN IMMEDIATE`` … ``COMMIT``, or ``ROLLBACK`` on any error and past the
    call's deadline.
    """

    __slots__ = ("_call", "_connection")

    def __init__(self, connection: sqlite3.Connection, call: Call | None) -> None:
        self._connection = connection
        self._call = call

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None and not (self._call and self._call.expired):
            self._connection.execute("COMMIT")
        elif self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
