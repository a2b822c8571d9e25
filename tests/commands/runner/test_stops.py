"""A command is ended from outside: it is killed, its node stops, its node dies."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.commands.runner.support import GRACE, Run, living, until

ROOT = Path(__file__).parents[3]
TREE = f"""
trap '' TERM
setsid sh -c "trap '' TERM; sleep 60; sleep 60" &
sleep 60 &
{sys.executable} -c 'import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0: time.sleep(60)
    os._exit(0)'
echo ready
sleep 60; sleep 60
"""
"""A command whose processes hide in each way, and of which some ignore SIGTERM."""


async def test_a_cancelled_run() -> None:
    run = Run(TREE)
    running = asyncio.create_task(run.end())
    await run.sink.until(b"ready")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert run.left == []
    assert run.command.end
    assert (run.command.end.status, run.command.end.reason) == ("killed", "killed")
    assert run.command.end.signal == signal.SIGKILL
    assert run.sink.out == b"ready\n"


async def test_a_cancellation_before_the_command_starts() -> None:
    run = Run("sleep 60")
    running = asyncio.create_task(run.end())
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert run.left == []
    assert run.command.end
    assert run.command.end.status == "killed"


async def test_a_stop_with_a_reason() -> None:
    run = Run("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.02; done")
    running = asyncio.create_task(run.end())
    await run.sink.until(b"ready")
    run.command.stop("killed by anna")
    end = await running
    assert (end.status, end.reason, end.exit_code) == ("killed", "killed by anna", 0)
    assert run.sink.out == b"ready\nbye\n"


async def test_a_cancelled_command_is_gone_before_its_node_gives_it_up() -> None:
    run = Run("trap '' TERM; echo ready; while :; do sleep 0.02; done", kill_grace=2.0)
    running = asyncio.create_task(run.end())
    await run.sink.until(b"ready")
    asked = time.monotonic()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert 1.3 < time.monotonic() - asked < 2.0


async def test_a_second_stop_can_shorten_the_grace() -> None:
    run = Run("trap '' TERM; echo ready; while :; do sleep 0.02; done", kill_grace=30.0)
    running = asyncio.create_task(run.end())
    await run.sink.until(b"ready")
    run.command.stop("first")
    run.command.stop("second", grace=0.1)
    end = await running
    assert (end.status, end.reason) == ("killed", "first")
    assert end.duration < 20


async def test_a_stop_after_the_end_changes_nothing() -> None:
    run = Run("true")
    end = await run.end()
    run.command.stop("too late")
    assert run.command.end is end
    assert end.status == "succeeded"


@contextmanager
def node(
    text: str, *, grace: float, timeout: float = 60, fork: bool = False
) -> Iterator[tuple[int, str]]:
    """A process that runs a command; its id, and the mark of both."""
    mark = f"NODE_MARK={uuid.uuid4().hex}"
    name, _, value = mark.partition("=")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.commands.runner.node", text),
            *(str(grace), str(timeout)),
            *(["fork"] if fork else []),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], name: value},
    )
    assert process.stdout
    try:
        assert process.stdout.readline() == b"ready\n"
        yield process.pid, mark
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        for pid in living(mark):
            os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("fork", [False, True], ids=["alone", "with a forked child"])
async def test_the_node_is_killed(fork: bool) -> None:
    with node(TREE, grace=GRACE, fork=fork) as (pid, mark):
        assert len(living(mark)) > 5
        os.kill(pid, signal.SIGKILL)
        await until(lambda: len(living(mark)) <= fork, within=10)


async def test_a_command_has_its_grace_when_its_node_is_killed(tmp_path: Path) -> None:
    text = f"trap 'sleep 0.2; : > {tmp_path}/done; exit' TERM; echo ready; sleep 60 & wait"
    with node(text, grace=20) as (pid, mark):
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not living(mark))
    assert (tmp_path / "done").exists()


async def test_a_frozen_node_does_not_keep_a_command_over_its_timeout() -> None:
    with node("echo ready; sleep 60", grace=GRACE, timeout=1.5) as (pid, mark):
        os.kill(pid, signal.SIGSTOP)
        await until(lambda: living(mark) == [pid])


async def test_the_secrets_are_in_no_command_line() -> None:
    secret = uuid.uuid4().hex
    run = Run("echo ready; sleep 60", variables={"SECRET": secret}, secret_values=[secret])
    running = asyncio.create_task(run.end())
    await run.sink.until(b"ready")
    lines = [" ".join(each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])]
    assert any("supervisor" in line for line in lines)
    assert not any(secret in line for line in lines)
    run.command.stop("done")
    await running
