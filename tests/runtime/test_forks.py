"""A task that forks leaves its node, or its process, and the forked child sound."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime.test_started_programs import Program, until

pytestmark = pytest.mark.sqlite_first

TASKS = """
import multiprocessing as mp

def crunch():
    child = mp.get_context("fork").Process(target=time.sleep, args=(300,), daemon=True)
    child.start()
    time.sleep(0.2)
    child.terminate()
    child.join(10)
    return child.exitcode

def raw():
    pid = os.fork()
    if not pid:
        time.sleep(300)
        os._exit(0)
    time.sleep(0.2)
    os.kill(pid, signal.SIGINT)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

@app.task(name="thread", max_attempts=1)
def thread() -> None:
    write("forked", f"{crunch()} {raw()}")

@app.task(name="loop", max_attempts=1)
async def loop() -> None:
    write("forked", f"{crunch()} {raw()}")

@app.task(name="process", run_in="process", max_attempts=1)
def process() -> None:
    write("forked", f"{crunch()} {raw()}")
"""


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    program = Program(tmp_path, TASKS)
    yield program
    program.close()


@pytest.mark.parametrize("task", ["thread", "loop", "process"])
def test_the_child_ends_by_the_signal_and_the_node_continues(program: Program, task: str):
    program.cli("enqueue", task)
    path = program.folder / "forked"
    until(path.exists, "the task wrote nothing")
    terminated, interrupted = path.read_text().split()
    assert terminated == "-15"
    assert interrupted == "-2"
    assert program.node.poll() is None
    program.node.terminate()
    assert program.node.wait(20) == 0


def test_handlers_of_the_program_itself_are_inherited():
    """Only those of event loops and of the node are undone."""
    code = """
import asyncio, os, signal
from elihu.processes.forks import guard_forks

async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, print)
    signal.signal(signal.SIGUSR1, own)
    guard_forks()
    guard_forks()
    pid = os.fork()
    if not pid:
        kept = signal.getsignal(signal.SIGUSR1) is own
        undone = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        os._exit(0 if kept and undone else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL

def own(*_): ...

asyncio.run(main())
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
