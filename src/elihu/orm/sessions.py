"""SQLAlchemy sessions on the app's own database."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from datetime import UTC, datetime
from typing import Any, Final
from weakref import WeakKeyDictionary

from sqlalchemy import event, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from elihu import (
    Config,
    DatabaseError,
    DatabaseTimeout,
    DatabaseUnavailable,
    DataRefused,
    Elihu,
)
from elihu.orm.columns import SCHEMA

_SQLITE: Final = "sqlite:///"
_AFTER: Final = "after_commit"
_WRITES: Final = "elihu_writes"
_BUSY_SHARE: Final = 0.8
_POOL: Final[dict[str, Any]] = {"pool_size": 5, "max_overflow": 0, "pool_timeout": 3_600}
"""The deadline of a transaction includes the wait for a connection."""
_CLOCK: Final = {
    "sqlite": "SELECT (julianday('now') - 2440587.5) * 86400000.0",
    "postgresql": "SELECT extract(epoch FROM clock_timestamp()) * 1000",
}


class Sessions:
    """Sessions for one app. Each transaction has a deadline of ``call_timeout`` seconds.

    They raise ``DatabaseUnavailable``, ``DatabaseTimeout`` and ``DataRefused``.
    """

    def __init__(self, app: Elihu) -> None:
        self._app = app
        self._engines: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Config, AsyncEngine]] = (
            WeakKeyDictionary()
        )
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = (
            WeakKeyDictionary()
        )

    @asynccontextmanager
    async def begin(self, *, deadline: float | None = None) -> AsyncIterator[AsyncSession]:
        """A session in a transaction that is committed at the end; what ``after_commit``
        was given is done then. SQLite: it has the write lock from its start.
        """
        async with self._session(writes=True, deadline=deadline) as session:
            yield session
            await session.commit()
        for work in session.info.pop(_AFTER, ()):
            await work()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session that only reads."""
        async with self._session(writes=False, deadline=None) as session:
            yield session

    async def aclose(self) -> None:
        """Close the connections of this event loop."""
        if known := self._engines.pop(asyncio.get_running_loop(), None):
            await known[1].dispose()

    @asynccontextmanager
    async def _session(
        self, *, writes: bool, deadline: float | None
    ) -> AsyncIterator[AsyncSession]:
        seconds = self._app.config.call_timeout if deadline is None else deadline
        options = {_WRITES: writes}
        bind = (await self._engine()).execution_options(**options)
        try:
            async with (
                asyncio.timeout(seconds),
                self._turn(writes),
                AsyncSession(bind, expire_on_commit=False) as session,
            ):
                yield session
        except TimeoutError as error:
            raise DatabaseTimeout(f"{self._name}: no answer within {seconds:g} s") from error
        except DBAPIError as error:
            raise _translated(error, self._name) from error

    @property
    def _name(self) -> str:
        return "SQLite" if self._is_sqlite else "PostgreSQL"

    @property
    def _is_sqlite(self) -> bool:
        return self._app.config.database_url.startswith(_SQLITE)

    def _turn(self, writes: bool) -> AbstractAsyncContextManager[Any]:
        """SQLite has one writer. Those of this process take turns, in their order: who
        waits for the lock of the file sleeps, and others overtake.
        """
        if not writes or not self._is_sqlite:
            return nullcontext()
        return self._turns.setdefault(asyncio.get_running_loop(), asyncio.Lock())

    async def _engine(self) -> AsyncEngine:
        """The engine of this event loop, for the app's present configuration."""
        loop, config = asyncio.get_running_loop(), self._app.config
        known = self._engines.get(loop)
        if known is not None and known[0] is config:
            return known[1]
        engine = self._make()
        self._engines[loop] = config, engine
        if known is not None:
            await known[1].dispose()
        return engine

    def _make(self) -> AsyncEngine:
        config = self._app.config
        if self._is_sqlite:
            engine = create_async_engine(
                config.database_url.replace("sqlite:", "sqlite+aiosqlite:", 1),
                connect_args={
                    "timeout": _BUSY_SHARE * config.call_timeout,
                    "isolation_level": None,
                },
                execution_options={"schema_translate_map": {SCHEMA: None}},
                **_POOL,
            )
            _prepare_sqlite(engine, full=config.synchronous == "full")
            return engine
        engine = create_async_engine(
            "postgresql+asyncpg://",
            pool_pre_ping=True,
            **_POOL,
            execution_options={"schema_translate_map": {SCHEMA: config.schema}},
        )
        _prepare_postgres(engine, self._app)
        return engine


def after_commit(session: AsyncSession, work: Callable[[], Awaitable[Any]]) -> None:
    """Do something once the session's transaction is committed. It may never be done,
    where the process ends between the two.
    """
    session.info.setdefault(_AFTER, []).append(work)


async def now(session: AsyncSession) -> datetime:
    """The time by the database's clock."""
    dialect = session.get_bind().dialect.name
    milliseconds = (await session.execute(text(_CLOCK[dialect]))).scalar_one()
    return datetime.fromtimestamp(round(float(milliseconds) * 1_000) / 1_000_000, UTC)


def _prepare_postgres(engine: AsyncEngine, app: Elihu) -> None:
    def connect(dialect: Any, _record: Any, _args: Any, _keywords: Any) -> Any:
        # A pooler may run each transaction on another connection: no statement is kept, and
        # none has a name.
        return dialect.dbapi.connect(
            async_creator_fn=app.tables.connect,
            prepared_statement_cache_size=0,
            prepared_statement_name_func=str,
        )

    event.listen(engine.sync_engine, "do_connect", connect)


def _prepare_sqlite(engine: AsyncEngine, *, full: bool) -> None:
    def connect(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute(f"PRAGMA synchronous = {'FULL' if full else 'NORMAL'}")
        cursor.close()

    def begin(connection: Any) -> None:
        writes = connection.get_execution_options().get(_WRITES, True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine.sync_engine, "connect", connect)
    event.listen(engine.sync_engine, "begin", begin)


def _translated(error: DBAPIError, name: str) -> DatabaseError:
    text = f"{name}: {str(error.orig).splitlines()[0]}"
    if isinstance(error, IntegrityError | DataError):
        return DataRefused(text)
    if isinstance(error, OperationalError) and "locked" in str(error.orig):
        return DatabaseTimeout(text)
    return DatabaseUnavailable(text)
