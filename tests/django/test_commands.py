"""Commands of Django's and of Elihu's in a Django project."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.django.support import environ, run

MANAGE = ("-m", "tests.django.project.manage")
SHIP = "tests.django.project.shop.tasks.ship"
WHERE = "tests.django.project.shop.tasks.where"

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.sqlite_first,
]  # each test starts several processes


class Shell:
    """Commands in the project on one database."""

    def __init__(self, database: str, folder: Path) -> None:
        self.environ = environ(database, folder)
        self.folder = folder

    def manage(self, *arguments: str, status: int = 0) -> str:
        return run(*MANAGE, *arguments, folder=self.folder, environ=self.environ, status=status)

    def elihu(self, *arguments: str, status: int = 0) -> str:
        return run(
            "-m", "elihu", *arguments, folder=self.folder, environ=self.environ, status=status
        )


def test_commands_need_no_name_of_the_app(database: str, tmp_path: Path) -> None:
    shell = Shell(database, tmp_path)
    assert "elihu.W002" in shell.manage("check", "--database", "default")
    migrated = shell.manage("migrate", "--no-color")
    assert "Applying elihu.0001_initial... OK" in migrated
    assert "elihu.W002" not in migrated
    assert shell.elihu("enqueue", SHIP, "--args", "[7]").strip() == "1"
    call = json.dumps({"args": [], "kwargs": {}})
    assert shell.manage("elihu", "enqueue", WHERE, "--args", call).strip() == "2"
    tick = shell.manage("elihu", "tick", "--settings=tests.django.project.settings")
    assert json.loads(tick.splitlines()[-1])["start"] == {"ok": 2, "error": 0}
    jobs: Any = json.loads(shell.elihu("jobs", "ls", "--json"))["items"]
    assert {each["state"] for each in jobs} == {"completed"}


def test_the_sql_of_a_migration_is_printed(database: str, tmp_path: Path) -> None:
    shell = Shell(database, tmp_path)
    first = shell.manage("sqlmigrate", "elihu", "0001")
    assert "CREATE TABLE" in first
    assert "'schema_version', '1'" in first
    assert "CREATE TABLE" not in shell.manage("sqlmigrate", "elihu", "0002")


def test_tables_that_elihu_made_are_left(database: str, tmp_path: Path) -> None:
    shell = Shell(database, tmp_path)
    assert "migrated to version" in shell.elihu("migrate")
    shell.elihu("enqueue", SHIP, "--args", "[7]")
    shell.manage("migrate", "-v", "0")
    assert len(json.loads(shell.elihu("jobs", "ls", "--json"))["items"]) == 1


IN_ANOTHER = """
from django.db import transaction
from elihu.contrib.django.models import Job
from tests.django.project.shop.models import Order
from tests.django.project.shop.tasks import ship
with transaction.atomic():
    job = ship.enqueue(Order.objects.create(item="tea").pk)
    assert (job.id, Job.objects.count()) == (0, 0)
print(job.id, Job.objects.get().task)
"""


def test_jobs_in_another_database_than_the_models(sqlite_url: str, tmp_path: Path) -> None:
    shell = Shell(sqlite_url.removeprefix("sqlite:///"), tmp_path)
    shell.environ["DJANGO_JOBS_IN"] = "other"
    shell.manage("migrate", "-v", "0")
    shell.manage("migrate", "-v", "0", "--database", "other")
    assert shell.manage("shell", "-v", "0", "-c", IN_ANOTHER).strip() == f"1 {SHIP}"
    assert "other.db" in shell.elihu("migrate")
    assert json.loads(shell.elihu("tick").splitlines()[-1])["start"] == {"ok": 1, "error": 0}
    shipped = (
        "from tests.django.project.shop.models import Order; print(Order.objects.get().shipped)"
    )
    assert shell.manage("shell", "-v", "0", "-c", shipped).strip() == "True"


def test_a_project_without_the_application(tmp_path: Path) -> None:
    (tmp_path / "bare.py").write_text("SECRET_KEY = 'x'\nINSTALLED_APPS = []\n")
    shell = Shell("unused.db", tmp_path)
    shell.environ |= {"DJANGO_SETTINGS_MODULE": "bare", "PYTHONPATH": str(tmp_path)}
    output = shell.elihu("start", status=1)
    assert 'INSTALLED_APPS: expected "elihu.contrib.django"' in output
    assert "Traceback" not in output
    with (tmp_path / "bare.py").open("a") as settings:
        settings.write("TASKS = {'default': {'BACKEND': 'elihu.contrib.django.Backend'}}\n")
    use = "import django; django.setup(); from elihu.contrib.django import Backend"
    refused = run("-c", use, folder=tmp_path, environ=shell.environ, status=1)
    assert 'ConfigError: INSTALLED_APPS: expected "elihu.contrib.django"' in refused
