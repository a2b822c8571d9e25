"""The tables as a connection of Django's sees them: their names, their version, and how a
test leaves them.
"""

from typing import Any

from django.db import Error, connections
from django.db.transaction import atomic

from elihu.contrib.django.project import project_app


def table(name: str) -> str:
    """A table of the jobs, as ``db_table`` and SQL take it: on PostgreSQL it is in the
    schema of the setting.
    """
    app = project_app()
    if app.refusal is not None or connections[app.database].vendor != "postgresql":
        return name
    return f'"{app.config.schema}"."{name}"'


def stored_version(connection: Any) -> int:
    """The version of the tables, 0 without tables."""
    if not _exists(connection):
        return 0
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT value FROM {table('meta')} WHERE key = 'schema_version'")
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def _exists(connection: Any) -> bool:
    """Whether the table that holds the version is there, and is Elihu's."""
    try:
        with atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute(f"SELECT key, value FROM {table('meta')} LIMIT 1")
    except Error:
        return False
    return True


def empty_after_flush(*, using: str, **_signal: Any) -> None:
    """Remove the jobs of a test that Django's ``flush`` ends. Their tables belong to no
    managed model, so it leaves them. Outside of a test database nothing is removed.
    """
    app = project_app()
    if app.refusal is None and using == app.database and app.in_test_database:
        connection = connections[using]
        if stored_version(connection):
            with connection.cursor() as cursor:
                cursor.execute(f"DELETE FROM {table('run')}")
                cursor.execute(f"DELETE FROM {table('job')}")
