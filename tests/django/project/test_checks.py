"""System checks, and the settings that they check."""

from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.checks import run_checks
from django.core.management import call_command
from django.db import connection, connections
from django.test import override_settings

from elihu import ConfigError
from elihu.contrib.django import app
from elihu.contrib.django.checks import check_settings
from elihu.contrib.django.project import ProjectApp
from elihu.contrib.django.settings import MEMORY, database_url
from elihu.contrib.django.tables import stored_version, table
from elihu.contrib.django.testing import all_enqueued
from tests.django.project.shop.tasks import ship

POSTGRES = {"ENGINE": "django.db.backends.postgresql", "NAME": "shop"}


def ids(messages: list[Any]) -> list[str]:
    return [each.id for each in messages if str(each.id).startswith("elihu.")]


def url_of(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> str:
    given = {**POSTGRES, **settings}
    monkeypatch.setitem(connections.settings, "jobs", given)
    if hasattr(connections._connections, "jobs"):
        del connections["jobs"]
    return database_url("jobs")


def test_a_right_project_has_no_message() -> None:
    assert ids(run_checks()) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"database": "unknown"}, "'unknown'"),
        ({"database_url": "sqlite:///x.db"}, "database_url"),
        ({"join_transactions": "yes"}, "join_transactions"),
        ({"queues": {"default": 0}}, "queues"),
        ({"unknown": 1}, "unknown"),
        ("sqlite:///x.db", "dictionary"),
    ],
)
def test_wrong_settings_are_an_error_of_the_check(
    given: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(django_settings, "ELIHU", given)
    wrong = ProjectApp()
    assert words in str(wrong.refusal)
    with pytest.raises(ConfigError, match=words):
        _ = wrong.config
    monkeypatch.setattr("elihu.contrib.django.checks.project_app", lambda: wrong)
    (message,) = check_settings()
    assert (message.id, message.msg) == ("elihu.E001", wrong.refusal)

    @wrong.task(name="still")
    def still() -> None: ...

    with pytest.raises(ConfigError, match=words):
        still.enqueue()


def test_settings_that_a_test_overrides_apply() -> None:
    before = app.config.database_url
    with override_settings(ELIHU={"queues": {"mail": 3}, "join_transactions": False}):
        assert dict(app.config.queues) == {"mail": 3}
        assert not app.project_settings.join_transactions
    with (
        override_settings(ELIHU={"queues": {"mail": 0}}),
        pytest.raises(ConfigError, match=r"queues\.mail"),
    ):
        _ = app.config
    assert app.config.database_url == before
    assert app.project_settings.join_transactions


def test_a_database_without_jobs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(connections["other"]), "vendor", "mysql")
    with pytest.raises(ConfigError, match="mysql"):
        database_url("other")


def test_a_queue_that_no_node_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    queues = {"default": 10}
    monkeypatch.setattr(app, "_config", app.config.__class__(queues=queues))
    monkeypatch.setattr(app, "_follows", False)
    messages = [each for each in run_checks() if each.id == "elihu.W001"]
    assert any("'mail' of task" in each.msg for each in messages)
    assert any("TASKS['default']" in each.msg for each in messages)
    assert any("'mail': 10" in str(each.hint) for each in messages)


@pytest.mark.django_db
def test_absent_tables_are_a_warning_of_the_database(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ids(run_checks(tags=["database"], databases=["default"])) == []
    monkeypatch.setattr("elihu.contrib.django.checks.stored_version", lambda _connection: 0)
    (found,) = run_checks(tags=["database"], databases=["default"])
    assert (found.id, "got none" in found.msg) == ("elihu.W002", True)
    assert ids(run_checks(tags=["database"], databases=["other"])) == []


def test_options_of_postgresql_make_a_url(monkeypatch: pytest.MonkeyPatch) -> None:
    assert url_of(monkeypatch) == "postgresql:///shop"
    assert (
        url_of(monkeypatch, USER="a b", PASSWORD="p@s/s?[:", HOST="db", PORT=5433)
        == "postgresql://a%20b:p%40s%2Fs%3F%5B%3A@db:5433/shop"
    )
    assert (
        url_of(monkeypatch, USER="ada", HOST="/var/run/db", PORT="5433")
        == "postgresql://ada@:5433/shop?host=/var/run/db"
    )
    assert url_of(monkeypatch, HOST="one,two", PORT="1,2") == "postgresql://one:1,two:2/shop"
    assert url_of(monkeypatch, HOST="one,two", PORT="1") == "postgresql://one:1,two:1/shop"
    assert url_of(monkeypatch, HOST="::1") == "postgresql://[::1]/shop"
    options = {"sslmode": "require", "pool": True, "isolation_level": 2, "assume_role": "jobs"}
    url = url_of(monkeypatch, HOST="db", OPTIONS={**options, "options": "-c search_path=x"})
    assert url == "postgresql://db/shop?options=-c%20search_path%3Dx&sslmode=require&role=jobs"
    assert (
        url_of(monkeypatch, NAME="", OPTIONS={"service": "jobs"}) == "postgresql:///?service=jobs"
    )


def test_the_files_of_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = {"ENGINE": "django.db.backends.sqlite3"}
    assert url_of(monkeypatch, **engine, NAME="/a/b.db") == "sqlite:////a/b.db"
    assert url_of(monkeypatch, **engine, NAME=":memory:") == MEMORY
    assert url_of(monkeypatch, **engine, NAME="file:m?mode=memory&cache=shared") == MEMORY


@pytest.mark.django_db(transaction=True)
def test_the_app_uses_the_database_of_the_test() -> None:
    job = ship.enqueue(1)
    assert app.run(app.jobs.get(job.id)).task == ship.name
    assert app.in_test_database
    name = connection.settings_dict["NAME"]
    assert name in app.config.database_url
    assert [each.pk for each in all_enqueued()] == [job.id]


@pytest.mark.django_db
def test_the_tables_are_those_of_elihu_itself() -> None:
    assert stored_version(connection) == app.tables.steps()[-1].version
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table('job')}")
    call_command("makemigrations", "elihu", "--check", "--dry-run", verbosity=0)


@pytest.mark.django_db(transaction=True)
def test_each_migration_of_elihu_is_one_of_djangos() -> None:
    from django.db.migrations.loader import MigrationLoader

    own = [name for label, name in MigrationLoader(connection).disk_migrations if label == "elihu"]
    assert sorted(own) == [step.name for step in app.tables.steps()]
    assert app.run(app.migrate()) == []
