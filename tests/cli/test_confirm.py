"""Bulk commands with filters only ask on a terminal."""

import os
import pty

import pytest

from tests.cli.shell import BOUND, Shell
from tests.cli.test_node import read_until

pytestmark = pytest.mark.sqlite_first


def on_terminal(shell: Shell, *arguments: str, answer: str | None) -> tuple[int, str]:
    """Run a command on a terminal and answer its question, if one is expected."""
    master, slave = pty.openpty()
    process = shell.start(*arguments, streams=(slave,) * 3, TERM="dumb")
    os.close(slave)
    try:
        seen = ""
        if answer is not None:
            seen = read_until(master, "[y/N]")
            os.write(master, f"{answer}\n".encode())
        status = process.wait(BOUND)
        return status, seen + os.read(master, 65_536).decode()
    finally:
        process.kill()
        process.wait(BOUND)
        os.close(master)


@pytest.fixture
def three_jobs(shop: Shell) -> Shell:
    for _ in range(2):
        shop("enqueue", "brief", "--tag", "many")
    shop("enqueue", "mailed", "--hold")
    return shop


@pytest.mark.parametrize(
    ("arguments", "question", "done"),
    [
        (("delete", "--state", "available"), "delete 2 jobs? [y/N]", "2 jobs deleted"),
        (("delete", "--queue", "mail"), "delete 1 job? [y/N]", "1 job deleted"),
        (("cancel", "--tag", "many"), "cancel 2 jobs? [y/N]", "2 jobs cancelled"),
        (("hold", "--tag", "many"), "hold 2 jobs? [y/N]", "2 jobs held"),
        (("release", "--queue", "mail"), "release 1 job? [y/N]", "1 job released"),
        (("retry", "--queue", "mail"), "retry 1 job? [y/N]", "1 job retried"),
    ],
    ids=" ".join,
)
def test_question_names_the_number(
    three_jobs: Shell, arguments: tuple[str, ...], question: str, done: str
) -> None:
    before = three_jobs.json("jobs", "counts")
    status, seen = on_terminal(three_jobs, "jobs", *arguments, answer="")
    assert status == 1
    assert question in seen
    assert "Aborted" in seen
    assert three_jobs.json("jobs", "counts") == before
    status, seen = on_terminal(three_jobs, "jobs", *arguments, answer="y")
    assert status == 0
    assert done in seen


def test_cases_without_a_question(three_jobs: Shell) -> None:
    run = three_jobs
    assert run("jobs", "hold", "--tag", "many") == "2 jobs held\n"
    for arguments, done in (
        (("release", "--tag", "many", "--yes"), "2 jobs released"),
        (("delete", "1"), "1 job deleted"),
        (("kill", "--queue", "default"), "killing 0 running jobs"),
        (("delete", "--state", "completed"), "0 jobs deleted"),
        (("cancel", "--state", "completed"), "0 jobs cancelled"),
    ):
        status, seen = on_terminal(run, "jobs", *arguments, answer=None)
        assert status == 0, seen
        assert "[y/N]" not in seen
        assert done in seen
