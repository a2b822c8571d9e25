"""Callers with a synchronous connection or session."""

import asyncio
import sqlite3
import threading
from abc import abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import psycopg
import sqlalchemy
import sqlalchemy.orm

from elihu import Elihu, Enqueued, Job
from tests.features.caller import Caller, with_driver


class SyncCaller(Caller):
    """Everything happens in one thread of the caller's, without an event loop."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)

    async def call(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def open(self, url: str) -> None:
        await self.call(lambda: self.connect(url))

    async def close(self) -> None:
        await self.call(self.disconnect)
        self._thread.shutdown()

    async def execute(self, sql: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = await self.call(lambda: self.run(sql))
        return rows

    async def commit(self) -> None:
        await self.call(self.end)

    async def rollback(self) -> None:
        await self.call(self.undo)

    async def enqueue(self, task: Any, *args: Any, **options: Any) -> Job:
        job: Job = await self.call(lambda: task.using(conn=self.conn, **options).enqueue(*args))
        return job

    async def enqueue_many(self, app: Elihu, jobs: Any, **options: Any) -> Enqueued:
        done: Enqueued = await self.call(
            lambda: app.run(app.enqueue_many(jobs, conn=self.conn, **options))
        )
        return done

    @abstractmethod
    def connect(self, url: str) -> None: ...
    @abstractmethod
    def run(self, sql: str) -> list[tuple[Any, ...]]: ...
    def disconnect(self) -> None:
        self.conn.rollback()
        self.conn.close()

    def end(self) -> None:
        self.conn.commit()

    def undo(self) -> None:
        self.conn.rollback()


class Sqlite3(SyncCaller):
    """Rows are made by a factory of the caller's, and text is bytes."""

    engine = "sqlite"

    def connect(self, url: str) -> None:
        self.conn = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=10)
        self.conn.row_factory = lambda cursor, row: dict(
            zip([column[0] for column in cursor.description], row, strict=True)
        )
        self.conn.text_factory = bytes

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in self.conn.execute(sql).fetchall()]


class Sqlite3Explicit(Sqlite3):
    """The caller begins transactions itself."""

    def connect(self, url: str) -> None:
        super().connect(url)
        self.conn.isolation_level = None
        self.conn.execute("BEGIN")

    def end(self) -> None:
        self.conn.execute("COMMIT")
        self.conn.execute("BEGIN")

    def undo(self) -> None:
        self.conn.execute("ROLLBACK")
        self.conn.execute("BEGIN")


class Psycopg(SyncCaller):
    """Rows are made by a factory of the caller's, and its cursors have placeholders of
    another kind.
    """

    engine = "postgres"

    def connect(self, url: str) -> None:
        from psycopg.rows import dict_row

        self.conn = psycopg.connect(url, row_factory=dict_row, cursor_factory=psycopg.RawCursor)

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        cursor = self.conn.execute(sql)
        return [tuple(row.values()) for row in cursor.fetchall()] if cursor.description else []


class SqlAlchemySession(SyncCaller):
    driver: ClassVar[str]

    def connect(self, url: str) -> None:
        self.made = sqlalchemy.create_engine(
            with_driver(url, self.driver), poolclass=sqlalchemy.NullPool
        )
        self.conn = self.session()

    def session(self) -> Any:
        return sqlalchemy.orm.Session(self.made)

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        result = self.conn.execute(sqlalchemy.text(sql))
        return [tuple(row) for row in result] if result.returns_rows else []

    def disconnect(self) -> None:
        super().disconnect()
        self.made.dispose()


class SessionSqlite(SqlAlchemySession):
    engine = "sqlite"
    driver = "pysqlite"


class SessionPsycopg(SqlAlchemySession):
    engine = "postgres"
    driver = "psycopg"


class SessionPsycopg2(SqlAlchemySession):
    engine = "postgres"
    driver = "psycopg2"


class ScopedSession(SessionPsycopg):
    def session(self) -> Any:
        return sqlalchemy.orm.scoped_session(sqlalchemy.orm.sessionmaker(self.made))


class ConnectionPsycopg2(SessionPsycopg2):
    def session(self) -> Any:
        return self.made.connect()


class ConnectionSqlite(SessionSqlite):
    """As SQLAlchemy's guide has it for SQLite: the driver begins nothing, an event
    does.
    """

    def session(self) -> Any:
        @sqlalchemy.event.listens_for(self.made, "connect")
        def connected(connection: Any, _record: Any) -> None:
            connection.isolation_level = None

        @sqlalchemy.event.listens_for(self.made, "begin")
        def begun(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN")

        return self.made.connect()


class DjangoCaller(SyncCaller):
    """Inside ``atomic``."""

    backend: ClassVar[str]

    def connect(self, url: str) -> None:
        from django.db import connection, transaction

        use_django(url)
        self.conn = connection
        self._atomic = transaction.atomic
        self._enter()

    def _enter(self) -> None:
        self._block = self._atomic()
        self._block.__enter__()

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        with self.conn.cursor() as cursor:
            cursor.execute(sql)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

    def end(self) -> None:
        self._block.__exit__(None, None, None)
        self._enter()

    def undo(self) -> None:
        self.conn.set_rollback(True)
        self._block.__exit__(None, None, None)
        self._enter()

    def disconnect(self) -> None:
        self.conn.set_rollback(True)
        self._block.__exit__(None, None, None)
        self.conn.close()


class DjangoSqlite(DjangoCaller):
    engine = "sqlite"


class DjangoPostgres(DjangoCaller):
    engine = "postgres"


_configuring = threading.Lock()


def use_django(url: str) -> None:
    """Let Django's default connection lead to this database, in this thread."""
    import django
    from django.conf import settings as global_settings
    from django.db import connections

    with _configuring:
        if not global_settings.configured:
            global_settings.configure(USE_TZ=True, LOGGING_CONFIG=None)
            django.setup()
    parts = sqlalchemy.make_url(url)
    settings: dict[str, Any] = {"ENGINE": "django.db.backends.sqlite3", "NAME": parts.database}
    if parts.get_backend_name() == "postgresql":
        settings = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": parts.database,
            "HOST": parts.host,
            "PORT": parts.port,
            "USER": parts.username,
            "PASSWORD": parts.password or "",
        }
    made: dict[str, Any] = connections.configure_settings({"default": settings})
    connections.settings = made
    if hasattr(connections._connections, "default"):  # of an earlier test in this thread
        del connections["default"]
