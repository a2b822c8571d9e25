"""Tables of a later release: a migration that only adds something."""

from tests.engines.raw import Raw

FUTURE = "ELIHU_TEST_FUTURE"
"""With this variable in the environment the engine's tests run on such tables."""

TABLES = ("meta", "node", "job", "run", "queue", "node_queue", "cron", "cron_tick", "template")


async def migrate_to_the_future(raw: Raw) -> None:
    """Add columns to each table, a table and an index, and raise the version. What the
    tables need stays as it is.
    """
    for table in TABLES:
        await raw.execute(f"ALTER TABLE {table} ADD COLUMN later text")
        await raw.execute(f"ALTER TABLE {table} ADD COLUMN later_too integer NOT NULL DEFAULT 7")
    await raw.execute("CREATE TABLE later (id integer PRIMARY KEY)")
    await raw.execute("CREATE INDEX job_later ON job (later)")
    await raw.execute(
        "UPDATE meta SET value = CAST(CAST(value AS integer) + 1 AS text) "
        "WHERE key = 'schema_version'"
    )
