"""Apps under test, on each engine. A test of what no engine knows runs on SQLite alone:
``ONE_ENGINE``.
"""

import pytest


@pytest.fixture(params=["sqlite", "postgres"])
def elihu_database_url(request: pytest.FixtureRequest) -> str:
    """Each test runs once on each engine."""
    if request.param == "postgres":
        return str(request.getfixturevalue("shared_postgres_url"))
    return f"sqlite:///{request.getfixturevalue('tmp_path')}/elihu.db"
