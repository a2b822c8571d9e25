"""What tests need of the tables of the jobs, without a helper."""

from typing import Any

from django.db import connections

from elihu.contrib.django.project import project_app
from elihu.contrib.django.tables import stored_version, table


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
