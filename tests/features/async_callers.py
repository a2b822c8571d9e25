"""Callers with an asynchronous connection or session."""

from typing import Any, ClassVar

import asyncpg
import psycopg
import sqlalchemy
import sqlalchemy.orm
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from elihu import Elihu, Enqueued, Job
from tests.features.caller import Caller, with_driver


class AsyncCaller(Caller):
    """Everything happens in the running loop."""

    async def commit(self) -> None:
        await self.conn.commit()

    async def rollback(self) -> None:
        await self.conn.rollback()

    async def close(self) -> None:
        await self.conn.rollback()
        await self.conn.close()

    async def enqueue(self, task: Any, *args: Any, **options: Any) -> Job:
        job: Job = await task.using(conn=self.conn, **options).aenqueue(*args)
        return job

    async def enqueue_many(self, app: Elihu, jobs: Any, **options: Any) -> Enqueued:
        return await app.enqueue_many(jobs, conn=self.conn, **options)


class AsyncPsycopg(AsyncCaller):
    engine = "postgres"

    async def open(self, url: str) -> None:
        from psycopg.rows import dict_row

        self.conn = await psycopg.AsyncConnection.connect(url, row_factory=dict_row)

    async def execute(self, sql: str) -> list[tuple[Any, ...]]:
        cursor = await self.conn.execute(sql)
        return (
            [tuple(row.values()) for row in await cursor.fetchall()] if cursor.description else []
        )


class Asyncpg(AsyncCaller):
    """With codecs by which the driver writes and reads JSON itself."""

    engine = "postgres"

    async def open(self, url: str) -> None:
        self.conn = await asyncpg.connect(url)
        await self._use(self.conn)

    async def _use(self, connection: Any) -> None:
        import json

        for kind in ("json", "jsonb"):
            await connection.set_type_codec(
                kind, encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
            )
        await self._begin()

    async def _begin(self) -> None:
        self._transaction = self.conn.transaction()
        await self._transaction.start()

    async def execute(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in await self.conn.fetch(sql)]

    async def commit(self) -> None:
        await self._transaction.commit()
        await self._begin()

    async def rollback(self) -> None:
        await self._transaction.rollback()
        await self._begin()

    async def close(self) -> None:
        await self._transaction.rollback()
        await self.conn.close()


class AsyncpgPool(Asyncpg):
    """A connection out of a pool."""

    async def open(self, url: str) -> None:
        self._pool = await asyncpg.create_pool(url, min_size=1, max_size=1)
        self.conn = await self._pool.acquire()
        await self._use(self.conn)

    async def close(self) -> None:
        await self._transaction.rollback()
        await self._pool.release(self.conn)
        await self._pool.close()


class AsyncSession(AsyncCaller):
    driver: ClassVar[str]

    async def open(self, url: str) -> None:
        self.made = create_async_engine(
            with_driver(url, self.driver), poolclass=sqlalchemy.NullPool
        )
        self.conn = await self.session()

    async def session(self) -> Any:
        return async_sessionmaker(self.made)()

    async def execute(self, sql: str) -> list[tuple[Any, ...]]:
        result = await self.conn.execute(sqlalchemy.text(sql))
        return [tuple(row) for row in result] if result.returns_rows else []

    async def close(self) -> None:
        await super().close()
        await self.made.dispose()


class AsyncSessionAsyncpg(AsyncSession):
    engine = "postgres"
    driver = "asyncpg"


class AsyncSessionPsycopg(AsyncSession):
    engine = "postgres"
    driver = "psycopg"


class AsyncSessionSqlite(AsyncSession):
    engine = "sqlite"
    driver = "aiosqlite"


class AsyncConnectionAsyncpg(AsyncSessionAsyncpg):
    async def session(self) -> Any:
        return await self.made.connect()


class AsyncConnectionSqlite(AsyncSessionSqlite):
    async def session(self) -> Any:
        return await self.made.connect()
