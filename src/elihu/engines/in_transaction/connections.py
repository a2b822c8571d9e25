"""Adapters for the connections of callers, chosen by the names of a class's bases. No
driver is imported.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from elihu.engines.in_transaction.steps import Executes, Rows, Statement
from elihu.engines.select import EngineName
from elihu.errors import InvalidOption

EXPECTED: Final = (
    "expected an SQLAlchemy Session, AsyncSession, Connection or AsyncConnection, a connection of "
    "psycopg 3, asyncpg or sqlite3, "
    "or Django's connection"
)
_DIALECTS: Final[dict[str, EngineName]] = {"postgresql": "postgres", "sqlite": "sqlite"}
_MARKS: Final = {"qmark": "?", "format": "%s", "pyformat": "%s", "numeric_dollar": "$1"}


class Link(ABC):
    """A caller's connection. ``engine`` and ``mark``, its placeholder, are known after
    ``open``.

    Its rows are plain, whatever factories the caller has set, and are always read to
    the end: an unfinished ``INSERT … RETURNING`` of SQLite keeps its lock.
    """

    asynchronous: ClassVar[bool] = False
    engine: EngineName
    mark: str

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def open(self) -> Any:
        """Find out the engine at the other end; awaitable where asynchronous. Raises
        ``InvalidOption`` for a closed connection, and for one in pipeline mode.
        """
        if self._closed():
            raise InvalidOption(
                f"conn: expected an open connection, got {self._connection!r}, which is closed"
            )
        self._refuse_pipeline()

    @abstractmethod
    def execute(self, statement: Statement) -> Any:
        """All rows, or an awaitable of them."""

    def inside(self) -> Executes:
        """What executes statements once the transaction has begun."""
        return self

    def raw_sqlite(self) -> Any:
        """The connection of the ``sqlite3`` or ``aiosqlite`` module below."""
        return self._connection

    def is_two_phase(self) -> bool:
        """Whether the transaction ends in PREPARE TRANSACTION, as far as the driver
        knows. PostgreSQL refuses that after a NOTIFY.
        """
        return bool(getattr(self._connection, "_tpc", None))

    def _driver_connection(self) -> Any:
        return self._connection

    def _refuse_pipeline(self) -> None:
        pgconn = getattr(self._driver_connection(), "pgconn", None)
        if getattr(pgconn, "pipeline_status", 0):  # its results arrive later
            raise InvalidOption(
                "conn: expected a psycopg connection outside of pipeline mode, got one inside "
                "pipeline(): enqueue before or after it"
            )

    def _closed(self) -> bool:
        return bool(self._connection.closed)

    def _marked(self, statement: Statement) -> tuple[Any, ...]:
        """The SQL in the driver's spelling, and its parameters where it has one."""
        if statement.text is None:
            return (statement.sql,)
        return statement.sql.replace("$1" if self.engine == "postgres" else "?", self.mark), (
            statement.text,
        )


class Sqlite3(Link):
    """A ``sqlite3.Connection``."""

    engine = "sqlite"
    mark = "?"

    def _closed(self) -> bool:
        try:
            self._connection.total_changes  # noqa: B018 (every attribute of a closed one raises)
        except Exception:
            return True
        return False

    def execute(self, statement: Statement) -> Rows:
        cursor = self._connection.cursor()
        cursor.row_factory = None
        rows: Rows = cursor.execute(*self._marked(statement)).fetchall()
        return rows


class Psycopg(Link):
    """A ``psycopg.Connection``. The cursor is psycopg's plain one, since the connection's
    own cursor class may have other placeholders.
    """

    engine = "postgres"
    mark = "%s"

    def execute(self, statement: Statement) -> Rows:
        with sys.modules["psycopg"].Cursor(self._connection, row_factory=_tuples) as cursor:
            cursor.execute(*self._marked(statement), prepare=False)
            return cursor.fetchall() if cursor.description else ()


class AsyncPsycopg(Link):
    """A ``psycopg.AsyncConnection``."""

    asynchronous = True
    engine = "postgres"
    mark = "%s"

    async def open(self) -> None:
        super().open()

    async def execute(self, statement: Statement) -> Rows:
        async with sys.modules["psycopg"].AsyncCursor(
            self._connection, row_factory=_tuples
        ) as cursor:
            await cursor.execute(*self._marked(statement), prepare=False)
            return await cursor.fetchall() if cursor.description else ()


class Asyncpg(Link):
    """An asyncpg connection, or its pool's proxy."""

    asynchronous = True
    engine = "postgres"
    mark = "$1"

    async def open(self) -> None:
        super().open()

    def _closed(self) -> bool:
        try:
            return bool(self._connection.is_closed())
        except Exception:  # a proxy whose connection went back to its pool refuses every call
            return True

    async def execute(self, statement: Statement) -> Rows:
        parameters = () if statement.text is None else (statement.text,)
        rows: Rows = await self._connection.fetch(statement.sql, *parameters)
        return rows


class SqlAlchemy(Link):
    """A ``Connection``, or the one that a ``Session`` has or opens. SQLAlchemy begins the
    transaction with the first statement, so the driver's connection below executes
    nothing of ours.
    """

    def open(self) -> None:
        found = self._connection
        if not hasattr(found, "exec_driver_sql"):
            found = found.connection()
        self._use(found)
        super().open()

    def _use(self, connection: Any) -> None:
        self._connection = connection
        dialect = connection.dialect
        if dialect.name not in _DIALECTS or dialect.dbapi.paramstyle not in _MARKS:
            raise InvalidOption(
                "conn: expected a connection to PostgreSQL or SQLite, got one to "
                f"{dialect.name}+{dialect.driver}"
            )
        self.engine = _DIALECTS[dialect.name]
        self.mark = _MARKS[dialect.dbapi.paramstyle]

    def raw_sqlite(self) -> Any:
        return self._driver_connection()

    def is_two_phase(self) -> bool:
        return _is_two_phase(self._connection)

    def _driver_connection(self) -> Any:
        return self._connection.connection.driver_connection

    def execute(self, statement: Statement) -> Rows:
        return _all(self._connection.exec_driver_sql(*self._marked(statement)))

    def inside(self) -> Executes:
        """The connection below SQLAlchemy's, whose own results cost as much as the
        statement. aiosqlite's is used itself: each step of a cursor is a call of its
        thread, and a statement has four.
        """
        if self.engine == "postgres":
            return Cursors(self)
        raw = self.raw_sqlite()
        if _kind_of(raw) is Sqlite3:
            return Sqlite3(raw)
        return Aiosqlite(raw) if hasattr(raw, "execute_fetchall") else self

    def execute_below(self, statement: Statement) -> Rows:
        """``execute`` by a cursor of the driver, or of SQLAlchemy's adapter to it."""
        cursor = self._connection.connection.cursor()
        try:
            cursor.execute(*self._marked(statement))
            return cursor.fetchall() if cursor.description else ()
        finally:
            cursor.close()


class Cursors:
    """Executes the statements of a connection of SQLAlchemy's by cursors below it."""

    def __init__(self, link: SqlAlchemy) -> None:
        self._link = link

    def execute(self, statement: Statement) -> Rows:
        """All rows."""
        return self._link.execute_below(statement)


class Aiosqlite:
    """A connection of aiosqlite below one of SQLAlchemy's."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, statement: Statement) -> Rows:
        """All rows."""
        parameters = () if statement.text is None else (statement.text,)
        found = self._connection.execute_fetchall(statement.sql, parameters)
        rows: Rows = sys.modules["sqlalchemy.util"].await_only(found)
        return rows


class AsyncSqlAlchemy(SqlAlchemy):
    """An ``AsyncConnection``, or the one that an ``AsyncSession`` has or opens."""

    asynchronous = True

    async def open(self) -> None:  # type: ignore[override]
        found = self._connection
        if not hasattr(found, "exec_driver_sql"):
            found = await found.connection()
        self._use(found)
        Link.open(self)

    def is_two_phase(self) -> bool:
        return _is_two_phase(self._connection.sync_connection)

    def _driver_connection(self) -> Any:
        return self._connection.sync_connection.connection.driver_connection

    async def execute(self, statement: Statement) -> Rows:  # type: ignore[override]
        return _all(await self._connection.exec_driver_sql(*self._marked(statement)))


class Django(Link):
    """Django's ``connection``, or one of ``connections``."""

    mark = "%s"

    def open(self) -> None:
        vendor = self._connection.vendor
        if vendor not in _DIALECTS:
            raise InvalidOption(
                f"conn: expected a connection to PostgreSQL or SQLite, got Django's to {vendor}"
            )
        self.engine = _DIALECTS[vendor]
        self._refuse_pipeline()

    def raw_sqlite(self) -> Any:
        return self._driver_connection()

    def _driver_connection(self) -> Any:
        return self._connection.connection

    def execute(self, statement: Statement) -> Rows:
        with self._connection.cursor() as cursor:
            cursor.execute(*self._marked(statement))
            return cursor.fetchall() if cursor.description else ()


_KINDS: Final[dict[tuple[str, str], type[Link]]] = {
    ("sqlite3", "Connection"): Sqlite3,
    ("psycopg", "Connection"): Psycopg,
    ("psycopg", "AsyncConnection"): AsyncPsycopg,
    ("asyncpg.connection", "Connection"): Asyncpg,
    ("asyncpg.pool", "PoolConnectionProxy"): Asyncpg,
    ("sqlalchemy.engine.base", "Connection"): SqlAlchemy,
    ("sqlalchemy.orm.session", "Session"): SqlAlchemy,
    ("sqlalchemy.orm.scoping", "scoped_session"): SqlAlchemy,
    ("sqlalchemy.ext.asyncio.engine", "AsyncConnection"): AsyncSqlAlchemy,
    ("sqlalchemy.ext.asyncio.session", "AsyncSession"): AsyncSqlAlchemy,
    ("sqlalchemy.ext.asyncio.scoping", "async_scoped_session"): AsyncSqlAlchemy,
    ("django.utils.connection", "ConnectionProxy"): Django,
    ("django.db.backends.base.base", "BaseDatabaseWrapper"): Django,
}


def link_to(connection: object) -> Link:
    """The adapter for a connection. Raises ``InvalidOption`` for any other object."""
    kind = _kind_of(connection)
    if kind is None:
        given = type(connection)
        raise InvalidOption(f"conn: {EXPECTED}, got a {given.__module__}.{given.__qualname__}")
    return kind(connection)


def _kind_of(connection: object) -> type[Link] | None:
    """Found by name: no driver is loaded for that."""
    for base in type(connection).__mro__:
        if kind := _KINDS.get((base.__module__, base.__name__)):
            return kind
    return None


def _is_two_phase(connection: Any) -> bool:
    return any(
        base.__name__ == "TwoPhaseTransaction"
        for base in type(connection.get_transaction()).__mro__
    )


def _tuples(_cursor: object) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    return tuple


def _all(result: Any) -> Rows:
    rows: Rows = result.fetchall() if result.returns_rows else ()
    return rows
