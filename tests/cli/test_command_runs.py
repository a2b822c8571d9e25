"""``elihu commands`` beside a node that runs commands."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from subprocess import CompletedProcess
from typing import Any

import pytest

from elihu import Elihu
from elihu.commands import CommandScheduler
from tests.cli.shell import Shell
from tests.support import BUSY_MACHINE, QUICK

pytestmark = pytest.mark.sqlite_first


class Served:
    """A shell whose database has a node that runs commands."""

    def __init__(self, shell: Shell) -> None:
        self.shell = shell

    async def __call__(self, *arguments: str, status: int = 0) -> str:
        return await asyncio.to_thread(self.shell, "commands", *arguments, status=status)

    async def run(self, *arguments: str) -> CompletedProcess[str]:
        return await asyncio.to_thread(self.shell.run, "commands", *arguments)

    async def json(self, *arguments: str) -> Any:
        return await asyncio.to_thread(self.shell.json, "commands", *arguments)


@pytest.fixture
async def served(shell: Shell, database_url: str) -> AsyncIterator[Served]:
    await asyncio.to_thread(shell, "migrate", "--commands")
    app = Elihu(database_url, **{**QUICK, **BUSY_MACHINE, "kill_grace": 0.5})
    async with app, CommandScheduler(app), app.running(queues={"commands": 4}):
        yield Served(shell)


async def test_run_follow_and_read_again(served: Served) -> None:
    await served(
        "add", "hello", "echo out; echo err >&2; sleep 0.3; echo $NAME", "--cron", "@daily"
    )
    done = await served.run("run", "hello", "--follow")
    assert (done.returncode, done.stdout) == (0, "out\n\n")
    begin, *rest = done.stderr.splitlines()
    assert begin.startswith("elihu: run ")
    assert rest == ["err"]
    run_id = begin.split()[-1]
    again = await served.run("output", run_id)
    assert (again.stdout, again.stderr) == ("out\n\n", "err\n")
    (row,) = (await served.json("runs", "HELLO"))["items"]
    assert (row["id"], row["status"], row["exit_code"], row["source"]) == (
        run_id,
        "succeeded",
        0,
        "now",
    )
    head, line = (await served("runs", "--status", "succeeded")).splitlines()
    assert head.split() == [
        *("id", "command", "environment", "status", "attempt", "started_at", "duration", "reason")
    ]
    assert line.split()[:5] == [run_id, "hello", "default", "succeeded", "1"]
    assert (await served("runs", "--status", "failed")).count("\n") == 1


async def test_a_failed_run(served: Served) -> None:
    await served("add", "bad", "echo no; exit 3", "--environment", "prod")
    done = await served.run("run", "bad", "--follow")
    assert (done.returncode, done.stdout) == (1, "no\n")
    assert done.stderr.endswith("failed: exit status 3\n")
    assert (await served.run("retry", "--last-failed", "bad", "--follow")).returncode == 1
    rows = (await served.json("runs", "bad"))["items"]
    assert [row["source"] for row in rows] == ["retry", "now"]
    again = await served.json("retry", rows[-1]["id"])
    assert again["command_name"] == "bad"


async def test_kill(served: Served) -> None:
    await served("add", "long", "echo begins; sleep 60", "--environment", "prod")
    run_id = (await served("run", "long")).strip()
    following = served.shell.begin("commands", "output", run_id, "--follow")
    await asyncio.to_thread(following.wait_for, "begins")
    skipped = await served.run("run", "long")
    assert skipped.returncode == 1
    assert " skipped: " in skipped.stderr
    killed = await served("kill", run_id, "--reason", "enough")
    assert killed == f"run {run_id} is being killed\n"
    assert await asyncio.to_thread(following.end) == 0
    assert following.seen == ["begins\n"]
    row = (await served.json("runs", "--status", "killed"))["items"][0]
    assert (row["id"], row["reason"], row["signal"]) == (run_id, "enough", signal.SIGTERM)
    ended = await served.run("kill", run_id)
    assert (ended.returncode, ended.stderr) == (
        1,
        f"elihu: no run killed: {run_id} has ended, killed\n",
    )


async def test_run_later_and_kill_it_before(served: Served) -> None:
    await served("add", "later", "true", "--environment", "prod", "--disabled")
    assert "command is disabled" in (await served.run("run", "later")).stderr
    row = await served.json("run", "later", "--in", "3600", "--force")
    assert (row["status"], row["source"], row["forced"]) == ("queued", "later", True)
    assert await served("kill", row["id"]) == f"run {row['id']} cancelled\n"
    (killed,) = (await served.json("runs", "--status", "cancelled"))["items"]
    assert killed["id"] == row["id"]


def test_follow_says_why_nothing_comes_where_no_node_runs_commands(shell: Shell) -> None:
    shell("migrate", "--commands")
    shell("commands", "add", "x", "echo out", "--environment", "prod")
    following = shell.begin("commands", "run", "x", "--follow")
    deadline = time.monotonic() + 30
    while "elihu: the run is queued" not in following.errors:
        assert time.monotonic() < deadline, following.errors
        time.sleep(0.05)
    assert "on a node that serves the queue commands" in following.errors
