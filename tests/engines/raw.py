"""The database behind an engine's back: what other hands wrote, and time that passes
without waiting.
"""

import sqlite3
from abc import ABC, abstractmethod
from typing import Any, NamedTuple, Self

import asyncpg

TIMES = frozenset(
    {
        "inserted_at",
        "scheduled_at",
        "expires_at",
        "occurrence",
        "started_at",
        "finished_at",
        "keep_until",
        "prune_at",
    }
)


class Ago(NamedTuple):
    """A moment, so many seconds before the database's now."""

    seconds: float


class Raw(ABC):
    """A connection of its own to the engine's database."""

    def __init__(self, url: str, schema: str) -> None:
        self.url = url
        self.schema = schema

    @abstractmethod
    async def open(self) -> Self: ...

    @abstractmethod
    async def close(self) -> None: ...

    @abstractmethod
    async def execute(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """All rows of a statement, whose parameters are ``%s`` and whose tables stand
        without a schema.
        """

    @abstractmethod
    def moment(self, seconds_ago: float) -> str:
        """The SQL of a moment."""

    @abstractmethod
    def time(self, column: str) -> str:
        """The SQL of a time in Unix seconds."""

    async def put(self, job_id: int, **columns: Any) -> None:
        """Set columns of a job."""
        parts, values = [], []
        for column, value in columns.items():
            if isinstance(value, Ago):
                parts.append(f"{column} = {self.moment(value.seconds)}")
            else:
                parts.append(f"{column} = %s")
                values.append(value)
        await self.execute(f"UPDATE job SET {', '.join(parts)} WHERE id = %s", *values, job_id)

    async def look(self, job_id: int, *columns: str) -> tuple[Any, ...]:
        """Columns of a job, times in Unix seconds."""
        names = ", ".join(self.time(column) if column in TIMES else column for column in columns)
        (row,) = await self.execute(f"SELECT {names} FROM job WHERE id = %s", job_id)
        return tuple(
            float(value) if column in TIMES and value is not None else value
            for column, value in zip(columns, row, strict=True)
        )

    async def number(self, sql: str, *values: Any) -> int:
        """The one number that a statement returns."""
        ((value,),) = await self.execute(sql, *values)
        return int(value)


class RawSqlite(Raw):
    async def open(self) -> Self:
        self.connection = sqlite3.connect(
            self.url.removeprefix("sqlite:///"), isolation_level=None, timeout=5
        )
        return self

    async def close(self) -> None:
        self.connection.close()

    async def execute(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql.replace("%s", "?"), values).fetchall()

    def moment(self, seconds_ago: float) -> str:
        now = "CAST((julianday('now') - 2440587.5) * 86400000.0 + 0.5 AS INTEGER) / 1000.0"
        return f"({now} - ({seconds_ago}))"

    def time(self, column: str) -> str:
        return column


class RawPostgres(Raw):
    async def open(self) -> Self:
        self.connection: Any = await asyncpg.connect(
            self.url, server_settings={"search_path": self.schema}
        )
        return self

    async def close(self) -> None:
        await self.connection.close()

    async def execute(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        for number in range(1, len(values) + 1):
            sql = sql.replace("%s", f"${number}", 1)
        return [tuple(row) for row in await self.connection.fetch(sql, *values)]

    def moment(self, seconds_ago: float) -> str:
        return f"(now() - make_interval(secs => {seconds_ago}))"

    def time(self, column: str) -> str:
        return f"extract(epoch FROM {column})::float8"


def raw_for(url: str, schema: str) -> Raw:
    """Unopened."""
    return RawSqlite(url, schema) if url.startswith("sqlite") else RawPostgres(url, schema)
