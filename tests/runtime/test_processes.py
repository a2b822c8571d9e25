"""The child processes of one node, asked directly."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from elihu import NotImportable, ProcessDied, Tasks
from elihu.outcome import Complete, Failed
from elihu.processes.memory import asked, resident
from elihu.runtime.attempts.execution import Cause
from elihu.runtime.attempts.processes import pool
from elihu.runtime.attempts.processes.node_logging import describe_logging
from elihu.runtime.attempts.processes.protocol import frame
from elihu.runtime.attempts.processes.tickets import Tickets
from tests.features import process_tasks as p
from tests.runtime.processes_support import Stations, pids, until


async def test_a_child_is_kept_and_replaced_after_so_many_jobs(stations: Stations):
    station = await stations(max_jobs_per_child=2)
    first, second, third = [await station.value(p.pid) for _ in range(3)]
    assert first == second != third
    assert first not in (os.getpid(), third)
    assert pids() == [third]


async def test_as_many_children_as_jobs_at_once_and_what_they_inherit(stations: Stations):
    station = await stations()
    inherited = await asyncio.gather(*(station.value(p.inherited) for _ in range(2)))
    own_loop = ["anon_inode", "socket", "socket"]
    assert inherited == [["", sorted([*own_loop, "socket", "pipe"])]] * 2
    kept = set(pids())
    assert len(kept) == 2
    assert {await station.value(p.pid) for _ in range(3)} <= kept


async def test_a_child_that_has_grown_is_replaced(
    stations: Stations, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pool, "LOOK", 3_600)
    limit = 96 * 2**20
    station = await stations(max_memory=limit)
    first = await station.value(p.grows, size=limit)
    assert await station.value(p.pid) != first


async def test_a_job_that_takes_too_much_memory_fails(
    stations: Stations, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(pool, "LOOK", 0.1)
    station = await stations(max_memory=96 * 2**20)
    ending = await station.run(p.eats, size=96 * 2**20)
    assert isinstance(ending, Failed)
    assert isinstance(ending.error, ProcessDied)
    assert "more than max_memory (96 MiB), and was ended" in str(ending.error)


def test_memory_is_known_with_and_without_proc():
    size = resident(os.getpid())
    other = asked(os.getpid())
    assert size is not None
    assert other is not None
    assert 0.5 < size / other < 2
    assert resident(2**22 + 1) is None


async def test_a_job_sees_its_cancellation_without_being_interrupted(
    stations: Stations, tmp_path: Path
):
    station = await stations()
    for how in ("look", "wait"):
        execution = station.execution(p.waits_to_be_told, folder=str(tmp_path), how=how)
        running = asyncio.create_task(station.children.run(execution, wanted=True))
        await until((tmp_path / f"{how} began").exists)
        execution.end(Cause.STOP)
        answer = await running
        assert isinstance(answer.ending, Complete)
        assert answer.ending.value == '"stop"', "the cause"
    (child,) = pids()
    assert await station.value(p.pid) == child


@pytest.mark.parametrize("how", ["look", "wait"])
async def test_a_job_that_has_not_begun_sees_its_cancellation(
    stations: Stations, tmp_path: Path, how: str
):
    station = await stations()
    execution = station.execution(p.waits_to_be_told, folder=str(tmp_path), how=how)
    running = asyncio.create_task(station.children.run(execution, wanted=True))
    await until(lambda: execution.context.on_cancel is not None)
    execution.context.cancel()
    async with asyncio.timeout(30):
        answer = await running
    assert answer.ending == Complete('"told"')


async def test_a_waiter_gets_the_child_that_another_no_longer_needs(
    stations: Stations, tmp_path: Path
):
    station = await stations()
    execution = station.execution(p.all_wait, folder=str(tmp_path))
    running = asyncio.create_task(station.children.run(execution, wanted=True))
    await until((tmp_path / "all wait").exists)
    execution.context.cancel()
    async with asyncio.timeout(30):
        answer = await running
    assert answer.ending == Complete('"told"')


async def test_a_thread_that_a_job_left_behind_takes_no_job_from_the_line(stations: Stations):
    station = await stations()
    child = await station.value(p.leaves_a_thread)
    async with asyncio.timeout(30):
        assert {await station.value(p.pid) for _ in range(30)} == {child}


async def test_a_child_that_dies_before_it_begins_costs_no_attempt(stations: Stations):
    station = await stations()
    idle = await station.value(p.pid)
    os.kill(idle, signal.SIGSTOP)
    running = asyncio.create_task(station.value(p.pid))
    await asyncio.sleep(0)
    os.kill(idle, signal.SIGKILL)
    async with asyncio.timeout(30):
        assert await running != idle
    assert isinstance(ending := await station.run(p.dies, how="kill"), Failed)
    assert isinstance(ending.error, ProcessDied)


async def test_what_does_not_end_is_ended_by_force_within_the_grace(
    stations: Stations, tmp_path: Path
):
    station = await stations(kill_grace=0.3)
    execution = station.execution(p.deaf, folder=str(tmp_path))
    running = asyncio.create_task(station.children.run(execution, wanted=True))
    await until(lambda: bool(list(tmp_path.iterdir())))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert pids() == []


async def test_an_attempt_given_back_has_little_time(stations: Stations, tmp_path: Path):
    station = await stations(kill_grace=3_600)
    execution = station.execution(p.deaf, folder=str(tmp_path))
    running = asyncio.create_task(station.children.run(execution, wanted=True))
    await until(lambda: bool(list(tmp_path.iterdir())))
    execution.cause = Cause.RELEASE
    running.cancel()
    async with asyncio.timeout(10):
        with pytest.raises(asyncio.CancelledError):
            await running
    assert pids() == []


async def test_closing_ends_what_nobody_waits_for(stations: Stations, tmp_path: Path):
    station = await stations(kill_grace=3_600)
    running = asyncio.create_task(station.run(p.deaf, folder=str(tmp_path)))
    await until(lambda: bool(list(tmp_path.iterdir())))
    running.cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await station.children.close()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert pids() == []


def test_the_end_of_the_line_ends_a_child(tmp_path: Path):
    """Where the kernel has no parent-death signal, this is what a killed node leaves."""
    ours, theirs = socket.socketpair()
    tickets = Tickets()
    tickets.issue([1])
    inherited = [theirs.fileno(), tickets.descriptor]
    command = [sys.executable, "-m", "elihu.runtime.attempts.processes", *map(str, inherited)]
    with ours, theirs, subprocess.Popen(command, pass_fds=inherited) as child:
        theirs.close()
        tickets.close()
        call = {
            "task": "deaf",
            "module": p.__name__,
            "qualname": "deaf",
            "args": json.dumps({"folder": str(tmp_path)}),
            "wanted": False,
            "log_fields": {},
            "carrier": {},
        }
        ours.sendall(
            frame(
                "setup",
                {
                    "node": os.getpid(),
                    "path": sys.path,
                    "argv": [],
                    "first": None,
                    "app": None,
                    "logging": describe_logging(),
                    "settings": {},
                },
            )
        )
        ours.sendall(frame("perform", 1, call))
        while not list(tmp_path.iterdir()):
            time.sleep(0.02)
        ours.close()
        assert child.wait(timeout=20) == -signal.SIGKILL


async def test_a_task_that_no_import_finds(stations: Stations):
    station = await stations()

    @Tasks().task(name="inner", run_in="process")
    def inner() -> None: ...

    ending = await station.run(inner)
    assert isinstance(ending, Failed)
    assert isinstance(ending.error, NotImportable)
    assert "<locals>" in str(ending.error)


async def test_an_app_with_a_lifespan_must_be_found(stations: Stations):
    station = await stations(object(), needed=True)
    with pytest.raises(NotImportable, match="must be an attribute of a module"):
        await station.run(p.pid)
