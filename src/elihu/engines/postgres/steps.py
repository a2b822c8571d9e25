"""The migrations as statements, for scripts and for connections of callers."""

import re
from pathlib import Path
from typing import Final

from elihu.engines.postgres.queries import in_schema
from elihu.engines.protocol import CORE
from elihu.engines.schema_steps import Migration, load

MIGRATIONS: Final = load(Path(__file__).parent)

LOCK_TIMEOUT: Final = 2.0
"""Seconds for which a step waits for a lock. Behind a step that waits for a strong lock,
all other statements on that table wait too.
"""
SET_LOCK_TIMEOUT: Final = f"SET LOCAL lock_timeout = {round(LOCK_TIMEOUT * 1_000)}"
COMMENTS: Final = re.compile(r"^--.*\n", re.MULTILINE)


def statements(step: Migration, schema: str) -> tuple[str, ...]:
    """What a step executes: one after the other in a transaction, or outside of any for a
    step of another kind.
    """
    sql = COMMENTS.sub("", step.sql).strip().rstrip(";")
    match step.kind:
        case "transaction":
            first = step.chain == CORE and step.version == 1
            make = [f'CREATE SCHEMA IF NOT EXISTS "{schema}";'] if first else []
            return (
                f"{SET_LOCK_TIMEOUT};",
                f"{lock(schema, 'pg_advisory_xact_lock')};",
                *make,
                in_schema(step.sql, schema) + stamp(step, schema),
            )
        case "concurrently":
            return (f"{in_schema(sql, schema)};", stamp(step, schema))
        case _:
            batch = (
                "DO $migration$ DECLARE changed bigint; BEGIN LOOP\n"
                f"EXECUTE $batch$ {in_schema(sql, schema)} $batch$ INTO changed;\n"
                "EXIT WHEN changed = 0; COMMIT; END LOOP; END $migration$;"
            )
            return (batch, stamp(step, schema))


def stamp(step: Migration, schema: str) -> str:
    """The statement that records a step as done."""
    return in_schema(step.stamp("elihu.meta"), schema)


def lock(schema: str, function: str = "pg_try_advisory_xact_lock") -> str:
    """The statement that takes the lock of all migrations."""
    return f"SELECT {function}(hashtextextended('elihu migrate {schema}', 0))"
