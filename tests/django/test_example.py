"""The example examples/django_shop: its own tests, and a node on each engine."""

import json
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.django.support import ROOT, environ, run

PREPARE = """
from django.core.management import call_command
call_command("makemigrations", check_changes=True, dry_run=True, verbosity=0)
call_command("migrate", verbosity=0)
call_command("check", databases=["default"], fail_level="WARNING")
"""
ORDER = """
from django.test import Client
from shop.models import Article, Order
from shop.tasks import report, restock
Article.objects.create(name="tea", stock=3)
posted = {"article": "tea", "amount": 2, "email": "ada@example.com"}
answer = Client().post("/orders/", posted, headers={"host": "localhost"})
assert answer.json() == {"order": 1, "job": 1}, answer.content
restock.enqueue()
print(report.enqueue().id)
"""
LOOK = """
from elihu.contrib.django.models import Job
from shop.models import Article, Order
assert Order.objects.get().receipt == "2 x tea"
assert Article.objects.get().stock == 101
print(Job.objects.get(task="shop.tasks.report").result)
"""

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.sqlite_first,
]  # each test starts several processes


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A copy of the example."""
    return shutil.copytree(ROOT / "examples" / "django_shop", tmp_path / "shop")


def environment_for(database: str, folder: Path) -> dict[str, str]:
    found = environ(database, folder)
    for name in ("DJANGO_SETTINGS_MODULE", "PYTHONPATH"):
        del found[name]
    if database.startswith("postgresql"):
        at = urlsplit(database)
        found |= {"PGHOST": str(at.hostname), "PGPORT": str(at.port), "PGUSER": str(at.username)}
        found["PGDATABASE"] = at.path.lstrip("/")
    return found


def test_its_own_tests(database: str, shop: Path) -> None:
    environment = environment_for(database, shop)
    assert "OK" in run("manage.py", "test", folder=shop, environ=environment)


def test_a_node_runs_its_jobs(database: str, shop: Path) -> None:
    environment = environment_for(database, shop)

    def manage(*arguments: str) -> str:
        return run("manage.py", *arguments, folder=shop, environ=environment)

    assert manage("shell", "-v", "0", "-c", PREPARE + ORDER).splitlines()[-1] == "3"
    tick = json.loads(manage("elihu", "tick").splitlines()[-1])
    assert tick["start"] == {"ok": 3, "error": 0}
    assert manage("shell", "-v", "0", "-c", LOOK).strip() == "{'tea': 2}"
