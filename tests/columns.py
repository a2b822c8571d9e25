"""The columns of a database, as its tables have them."""

import sqlite3

import asyncpg

from elihu import Elihu


async def columns(app: Elihu, prefix: str) -> dict[str, dict[str, bool]]:
    """The columns of every table whose name begins so, and which may be NULL."""
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
        if table.startswith(prefix):
            found.setdefault(table, {})[column] = bool(nullable)
    return found
