"""The migrations as statements, for scripts and for connections of callers."""

import sqlite3
from pathlib import Path
from typing import Final

from elihu.engines.schema_steps import Migration, load

MIGRATIONS: Final = load(Path(__file__).parent)


def statements(step: Migration, _schema: str) -> tuple[str, ...]:
    """What a step executes, one after the other in a transaction. A file holds one app,
    so the schema is ignored.
    """
    found, text = [], ""
    for line in f"{step.sql}{stamp(step)}".splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            found.append(text)
            text = ""
    return tuple(found)


def stamp(step: Migration, _schema: str = "") -> str:
    """The statement that records a step as done."""
    return step.stamp()
