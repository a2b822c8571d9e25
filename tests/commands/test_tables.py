"""The tables of the scheduler: made where they are asked for, and as the models say."""

import sqlite3

import asyncpg
import pytest

from elihu import Elihu, SchemaOutdated
from elihu.commands.models import Base


async def columns(app: Elihu) -> dict[str, dict[str, bool]]:
    """The columns of every table that belongs to commands, and which may be NULL."""
    url = app.config.database_url
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            rows = connection.execute(
                'SELECT m.name, c.name, c."notnull" = 0 AND c.pk = 0 FROM sqlite_schema m '
                "JOIN pragma_table_info(m.name) c WHERE m.type = 'table'"
            ).fetchall()
        connection.close()
    else:
        connected = await asyncpg.connect(url)
        rows = [
            tuple(row)
            for row in await connected.fetch(
                "SELECT table_name, column_name, is_nullable = 'YES' "
                "FROM information_schema.columns WHERE table_schema = $1",
                app.config.schema,
            )
        ]
        await connected.close()
    found: dict[str, dict[str, bool]] = {}
    for table, column, nullable in rows:
        if table.startswith("command"):
            found.setdefault(table, {})[column] = bool(nullable)
    return found


async def test_the_models_fit_the_tables(database_url: str, schema: str) -> None:
    async with Elihu(database_url, schema=schema) as app:
        assert await app.migrate("commands") == [1, 2]
        assert await columns(app) == {
            table.name: {column.name: bool(column.nullable) for column in table.columns}
            for table in Base.metadata.tables.values()
        }


async def test_who_only_uses_the_queue_has_none_of_them(database_url: str, schema: str) -> None:
    async with Elihu(database_url, schema=schema) as app:
        await app.migrate()
        assert await columns(app) == {}
        with pytest.raises(SchemaOutdated, match=r"tables of commands.*migrate --commands"):
            await app.tables.check("commands")


async def test_they_are_made_once_and_before_them_those_of_jobs(
    database_url: str, schema: str
) -> None:
    async with Elihu(database_url, schema=schema) as app:
        assert await app.migrate("commands") == [1, 2]
        assert await app.migrate("commands") == []
        assert await app.migrate() == []
        await app.tables.check("commands")
        assert await app.jobs.count(state="available") == 0
