"""``elihu check``: declarations, settings, and names in the database."""

import json
from typing import Any

import pytest

from tests.cli.shell import Shell

pytestmark = pytest.mark.sqlite_first

APP = """
from elihu import Elihu, Tasks

app = Elihu(queues={"default": 2})

@app.task
async def unnamed() -> None: ...

@app.task(name="mailed", queue="mail", aliases=["posted"])
async def mailed() -> None: ...
"""


@pytest.fixture
def checked(bare: Shell) -> Shell:
    """An app whose task serves a queue that is not configured."""
    (bare.folder / "own.py").write_text(APP)
    bare.environ |= {
        "ELIHU_APP": "own:app",
        "ELIHU_DATABASE_URL": f"sqlite:///{bare.folder}/x.db",
    }
    return bare


def problems(shell: Shell, *arguments: str, status: int = 1) -> list[tuple[str, str]]:
    done = shell.run("check", "--json", *arguments)
    assert done.returncode == status, done.stderr + done.stdout
    report: Any = json.loads(done.stdout)
    assert report["ok"] is (status == 0)
    return [(each["kind"], each["what"]) for each in report["problems"]]


def test_declarations_and_tables(checked: Shell) -> None:
    assert problems(checked) == [
        ("error", "task mailed"),
        ("warning", "task own.unnamed"),
        ("error", "database"),
    ]
    checked("migrate")
    lines = checked("check", status=1).splitlines()
    assert lines[0].startswith("error: task mailed: its queue 'mail' is not configured")
    assert lines[1].startswith("warning: task own.unnamed: its name follows its module")
    checked.environ["ELIHU_REQUIRE_QUEUES"] = "false"
    assert problems(checked, status=0) == [("warning", "task own.unnamed")]
    assert problems(checked, "--strict") == [("warning", "task own.unnamed")]


def test_names_that_nothing_answers_to(checked: Shell) -> None:
    checked("migrate")
    checked.environ["ELIHU_REQUIRE_QUEUES"] = "false"
    (checked.folder / "own.py").write_text(APP.replace('name="mailed"', 'name="sent"'))
    checked("enqueue", "sent")
    checked("enqueue", "sent", "--delay", "1h")
    checked("crons", "create", "nightly", "@daily", "sent")
    checked("templates", "create", "T1", "--name", "x", "--task", "sent", "--json-schema", "{}")
    assert problems(checked, status=0) == [("warning", "task own.unnamed")]
    (checked.folder / "own.py").write_text(APP)
    assert problems(checked)[1:] == [
        ("error", "task sent"),
        ("error", "cron nightly"),
        ("error", "template T1"),
    ]
    assert "task sent: 2 unfinished jobs in queue mail" in checked("check", status=1)


def test_an_app_without_problems_and_one_without_tasks(checked: Shell) -> None:
    (checked.folder / "own.py").write_text(
        "from elihu import Elihu\napp = Elihu()\n\n@app.task(name='a')\ndef a() -> None: ...\n"
    )
    checked("migrate")
    assert checked("check") == "1 tasks, 0 triggers: no problem found\n"
    (checked.folder / "own.py").write_text("from elihu import Elihu\napp = Elihu()\n")
    assert problems(checked) == [("error", "app")]
    (checked.folder / "own.py").write_text("import nothing_like_this\n")
    assert "nothing_like_this" in checked.refused("check", status=1)
    del checked.environ["ELIHU_APP"]
    assert "--app" in checked.refused("check", status=2)
