"""What a process task started ends with its attempt, unless the attempt completed."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from elihu.processes.proc import read_stat
from elihu.processes.tree import MARK, kill_started_by, started_by

pytestmark = [
    pytest.mark.skipif(
        not Path("/proc/self").exists(), reason="needs /proc to look at other processes"
    ),
    pytest.mark.sqlite_first,
]

APP = """
import multiprocessing, os, signal, subprocess, sys, time
from elihu import Elihu

app = Elihu("sqlite:///jobs.db", kill_grace=0.5, grace=0.5, poll=0.2, heartbeat=0.3)

def write(name, pid):
    with open(f"{name}.new", "w") as file:
        file.write(str(pid))
    os.rename(f"{name}.new", name)

def in_group():
    return subprocess.Popen(["sleep", "300"]).pid

def in_own_session():
    return subprocess.Popen(["sleep", "300"], start_new_session=True).pid

def through_shell():
    shell = subprocess.run("sleep 300 >/dev/null 2>&1 & echo $!", shell=True, capture_output=True)
    return int(shell.stdout)

def forked():
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(300,))
    child.start()
    return child.pid

WAYS = {way.__name__: way for way in (in_group, in_own_session, through_shell, forked)}

@app.task(name="timed", run_in="process", timeout=5, max_attempts=1)
def timed(way: str) -> None:
    write("started", WAYS[way]())
    time.sleep(300)

@app.task(name="endless", run_in="process", max_attempts=1)
def endless(way: str) -> None:
    write("started", WAYS[way]())
    time.sleep(300)

@app.task(name="deaf", run_in="process", max_attempts=1)
def deaf(way: str) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    write("started", WAYS[way]())
    while True:
        time.sleep(300)

@app.task(name="crash", run_in="process", max_attempts=1)
def crash(way: str) -> None:
    write("started", WAYS[way]())
    os.kill(os.getpid(), signal.SIGSEGV)

@app.task(name="completes", run_in="process", max_attempts=1)
def completes(way: str) -> None:
    write("started", WAYS[way]())

@app.task(name="waits", run_in="process", max_attempts=1)
def waits() -> str:
    subprocess.Popen(["true"])
    os.wait()
    try:
        os.wait()
    except ChildProcessError:
        write("done", os.getpid())
"""


class Program:
    """A node in a process of its own, and what its tasks wrote."""

    def __init__(self, folder: Path, more_tasks: str = "") -> None:
        self.folder = folder
        (folder / "jobs.py").write_text(APP + more_tasks)
        self._env = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ELIHU_")},
            "PYTHONPATH": str(folder),
        }
        self.cli("migrate")
        self.node = subprocess.Popen(
            [sys.executable, "-m", "elihu", "--app", "jobs:app", "start"],
            cwd=folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def cli(self, *argv: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "elihu", "--app", "jobs:app", *argv],
            cwd=self.folder,
            env=self._env,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout

    def pid(self, name: str = "started") -> int:
        """The process that a task wrote down."""
        path = self.folder / name
        until(path.exists, "the task wrote nothing")
        return int(path.read_text())

    def close(self) -> None:
        self.node.terminate()
        try:
            self.node.wait(20)
        finally:
            self.node.kill()
            self.node.wait()
        with suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int((self.folder / "started").read_text()), signal.SIGKILL)


def until(done: Callable[[], bool], failure: str, within: float = 30) -> None:
    """Poll, since the processes are not children of the test."""
    end = time.monotonic() + within
    while not done():
        assert time.monotonic() < end, failure
        time.sleep(0.05)


def gone(pid: int) -> bool:
    return read_stat(pid) is None


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path)
    yield program
    program.close()


@pytest.mark.parametrize("way", ["in_group", "in_own_session", "through_shell", "forked"])
def test_it_ends_with_a_time_limit(program: Program, way: str):
    program.cli("enqueue", "timed", "--args", f'["{way}"]')
    pid = program.pid()
    until(lambda: gone(pid), f"{way} still runs")


@pytest.mark.parametrize("verb", ["kill", "cancel"])
@pytest.mark.parametrize("task", ["endless", "deaf"])
def test_it_ends_with_a_kill_and_a_cancellation(program: Program, verb: str, task: str):
    program.cli("enqueue", task, "--args", '["in_own_session"]')
    pid = program.pid()
    program.cli("jobs", verb, "1")
    until(lambda: gone(pid), f"it still runs after {verb}")


def test_it_ends_with_a_crash(program: Program):
    program.cli("enqueue", "crash", "--args", '["in_own_session"]')
    pid = program.pid()
    until(lambda: gone(pid), "it still runs after the crash")


@pytest.mark.parametrize("way", ["in_group", "in_own_session", "forked"])
def test_it_ends_with_a_killed_node(program: Program, way: str):
    program.cli("enqueue", "endless", "--args", f'["{way}"]')
    pid = program.pid()
    program.node.kill()
    program.node.wait()
    until(lambda: gone(pid), f"{way} still runs after kill -9 of the node")


def test_it_may_continue_after_a_job_that_completed(program: Program):
    """Also when a later job of the same process is ended by force."""
    program.cli("enqueue", "completes", "--args", '["in_group"]', "--wait")
    first = program.pid()
    (program.folder / "started").unlink()
    program.cli("enqueue", "timed", "--args", '["in_group"]')
    second = program.pid()
    until(lambda: gone(second), "the second still runs")
    try:
        assert not gone(first)
    finally:
        os.kill(first, signal.SIGKILL)


def test_a_task_that_waits_for_all_its_children_does_not_wait_for_the_guardian(program: Program):
    program.cli("enqueue", "waits", "--wait")
    assert program.pid("done")


async def test_only_what_has_the_mark_or_is_new_in_the_session_is_found(tmp_path: Path):
    marked = await asyncio.create_subprocess_exec(
        "sleep", "60", env={**os.environ, MARK: "mine"}, start_new_session=True
    )
    other = await asyncio.create_subprocess_exec("sleep", "60", env={**os.environ, MARK: "theirs"})
    try:
        found = started_by("mine", -1, 0, frozenset())
        assert found == [marked.pid]
        kill_started_by("mine", -1, 0, frozenset())
        assert await marked.wait() == -signal.SIGKILL
        assert other.returncode is None
    finally:
        other.kill()
        await other.wait()
