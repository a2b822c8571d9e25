"""The tables of the scheduler: made where they are asked for, and as the models say."""

import pytest

from elihu import Elihu, SchemaOutdated
from elihu.commands.models import Base
from tests.columns import columns


async def test_the_models_fit_the_tables(database_url: str, schema: str) -> None:
    async with Elihu(database_url, schema=schema) as app:
        assert await app.migrate("commands") == [1, 2]
        assert await columns(app, "command") == {
            table.name: {column.name: bool(column.nullable) for column in table.columns}
            for table in Base.metadata.tables.values()
        }


async def test_who_only_uses_the_queue_has_none_of_them(database_url: str, schema: str) -> None:
    async with Elihu(database_url, schema=schema) as app:
        await app.migrate()
        assert await columns(app, "command") == {}
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
