"""An app of its own, made without the application for Django, in a process that uses Django."""

from pathlib import Path

import pytest

from tests.django.support import environ, run

pytestmark = pytest.mark.sqlite_first

MODULE = """
import sys
from urllib.parse import urlsplit
from elihu import Elihu

WHERE = sys.argv[1]
app = Elihu(WHERE)

def set_django_up():
    from django.conf import settings
    at = urlsplit(WHERE)
    kind = "postgresql" if at.hostname else "sqlite3"
    place = {"NAME": at.path.lstrip("/") if at.hostname else at.path}
    if at.hostname:
        place |= {"HOST": at.hostname, "PORT": str(at.port), "USER": at.username}
    settings.configure(DATABASES={"default": {"ENGINE": f"django.db.backends.{kind}", **place}})
    import django
    django.setup()

def is_connected():
    from django.db import connection
    before = connection.connection is not None
    connection.ensure_connection()
    return before

@app.task
def early():
    return "django" in sys.modules

@app.task
def in_thread():
    return is_connected()

@app.task
async def in_loop():
    from asgiref.sync import sync_to_async
    return await sync_to_async(is_connected)()

@app.task(run_in="process")
def in_process():
    from django.conf import settings
    settings.configured or set_django_up()
    return is_connected()

async def main():
    await app.migrate()
    async with app, app.running({"default": 1}):
        looked = [await (await early.asubmit()).aresult(timeout=30)]
        set_django_up()
        for task in (in_thread, in_loop, in_process):
            for _ in range(2):
                looked.append(await (await task.asubmit()).aresult(timeout=30))
    print(*looked)
"""


@pytest.mark.timeout(120)
def test_connections_are_closed_around_the_tasks_of_any_app(
    database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "plain.py").write_text(MODULE)
    environment = {**environ("unused.db", tmp_path), "PYTHONPATH": str(tmp_path)}
    del environment["DJANGO_SETTINGS_MODULE"]
    call = ("-c", "import asyncio, plain; asyncio.run(plain.main())", database_url)
    output = run(*call, folder=tmp_path, environ=environment)
    assert output.splitlines()[-1].split() == ["False"] * 7
