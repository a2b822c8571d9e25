"""Nodes without the tasks that they are meant for, and children that need a set-up."""

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from elihu import Elihu, Tasks, WrongLoop

pytestmark = pytest.mark.sqlite_first

SET_UP = {
    "site_a/__init__.py": "ready = False\n",
    "site_a/jobs.py": "from elihu import Elihu\njobs = Elihu({url!r})\n",
    "site_a/worker.py": "import site_a\nsite_a.ready = True\n"
    "import a_shop.tasks\nfrom site_a.jobs import jobs\n",
    "a_shop/__init__.py": "",
    "a_shop/tasks.py": "import site_a\nfrom site_a.jobs import jobs\n"
    "assert site_a.ready, 'imported before the set-up'\n"
    "@jobs.task(name='pack', run_in='process', record=True)\n"
    "def pack() -> str:\n    return 'packed'\n",
}

PROGRAM = """
import asyncio
from elihu.cli.load_app import import_app
{load}

async def main():
    async with jobs, jobs.running():
        print(await (await jobs.task_named("pack").asubmit()).aresult(30))

jobs.run(jobs.migrate())
jobs.run(jobs.aclose())
asyncio.run(main())
"""


async def test_a_node_without_tasks_says_so(app: Elihu, caplog: pytest.LogCaptureFixture):
    group = Tasks(prefix="mail.")

    @group.task(name="welcome")
    async def welcome() -> None: ...

    with caplog.at_level(logging.WARNING, "elihu"):
        async with app.running():
            pass
    (text,) = [r.getMessage() for r in caplog.records if "no tasks" in r.getMessage()]
    assert "--app" in text
    assert "mail.welcome" in text


async def test_a_node_names_tasks_that_no_app_includes(
    app: Elihu, caplog: pytest.LogCaptureFixture
):
    group = Tasks(prefix="mail.")

    @group.task(name="bye")
    async def bye() -> None: ...

    @app.task(name="t")
    async def t() -> None: ...

    def left_out() -> bool:
        return any("mail.bye" in record.getMessage() for record in caplog.records)

    with caplog.at_level(logging.WARNING, "elihu"):
        async with app.running():
            pass
        assert left_out()
        caplog.clear()
        app.include(group)
        async with app.running():
            pass
    assert not left_out()


@pytest.mark.parametrize(
    "load",
    [
        "from site_a.worker import jobs\njobs.override(app='site_a.worker:jobs')",
        (
            "jobs = import_app('site_a.worker:jobs', 'flag --app')\n"
            "jobs.override(app='site_a.worker:jobs')"
        ),
    ],
)
def test_a_child_imports_first_what_the_app_setting_names(
    database_url: str, tmp_path: Path, load: str
):
    for name, text in SET_UP.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text.replace("{url!r}", repr(database_url)))
    (tmp_path / "program.py").write_text(PROGRAM.format(load=load))
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.stdout == "packed\n", done.stderr


@pytest.mark.parametrize(
    ("module", "verb", "library"),
    [
        ("gevent.monkey", "is_module_patched", "gevent"),
        ("eventlet.patcher", "is_monkey_patched", "eventlet"),
    ],
)
def test_synchronous_calls_refuse_patched_threads(
    database_url: str, monkeypatch: pytest.MonkeyPatch, module: str, verb: str, library: str
):
    patched = type(sys)(module)
    vars(patched)[verb] = lambda name: name.startswith("thread")
    monkeypatch.setitem(sys.modules, module, patched)
    app = Elihu(database_url)

    @app.task(name="t")
    async def t() -> None: ...

    relay = app.relay(1)
    for call in (t.enqueue, t.submit, relay.result, lambda: app.run(app.jobs.counts())):
        with pytest.raises(WrongLoop, match=f"{library} has patched threading"):
            call()
