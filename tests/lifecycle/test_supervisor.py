"""Several node processes under one supervisor: replaced when they die, stopped with it,
and none survives it.
"""

import asyncio
import re
import signal
from pathlib import Path

import psutil
import pytest

from elihu import Elihu, JobState
from tests.engines.postgres_support import engine_on
from tests.engines.test_postgres_rights import drop, worker_url
from tests.lifecycle.nodes import Process, Processes, job

pytestmark = pytest.mark.sqlite_first


async def supervised(
    processes: Processes, command: str = "start", number: int = 2, **settings: str
) -> Process:
    """A supervisor whose processes all run a node."""
    process = await processes.run(command, "--processes", str(number), **settings)
    await processes.printed(process, "event NodeStarted", number)
    await processes.printed(process, f"(process {number}, pid")
    return process


def pid_of(supervisor: Process, number: int) -> int:
    """The present process of a number."""
    line = next(
        line
        for line in reversed(supervisor.lines)
        if re.search(rf" process +{number} started, pid", line)
    )
    return int(line.split()[-1])


def alive(pid: int) -> bool:
    """Whether it runs; who has ended may wait for somebody to look at its status."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_one_that_is_killed_is_replaced_and_all_stop_together(
    app: Elihu, processes: Processes, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    supervisor = await supervised(processes, "up")
    assert [supervisor.count(f"{what}  ") for what in ("app", "tables", "queues")] == [1, 1, 1]
    assert len({pid_of(supervisor, 1), pid_of(supervisor, 2), supervisor.pid}) == 3
    assert len(await app.nodes.list()) == 2
    (held,) = [await app.aenqueue(job("until_file", args={"path": str(gate)}))]
    await processes.printed(supervisor, f"began until_file {held.id}")
    (holder,) = [
        node.info["pid"]
        for node in await app.nodes.list()
        if node.id == (await app.jobs.get(held.id)).node
    ]
    killed = next(number for number in (1, 2) if pid_of(supervisor, number) == holder)
    psutil.Process(pid_of(supervisor, killed)).kill()
    await processes.printed(
        supervisor, f"{killed} (pid {holder}) was killed by SIGKILL; restarting in 0.5 s"
    )
    await processes.printed(supervisor, "event NodeStarted", 3)
    gate.touch()

    async def completed() -> bool:
        return (await app.jobs.get(held.id)).state is JobState.COMPLETED

    await processes.until_found(completed)
    supervisor.send(signal.SIGTERM)
    assert await supervisor.end() == 0
    assert supervisor.lines[-1].endswith(" stopped   all processes")
    assert supervisor.count("all jobs finished") == 2
    assert supervisor.count("stopping: running jobs have 5 s to finish") == 1
    assert await app.nodes.list() == []
    assert not any("Traceback" in line for line in supervisor.errors)


async def test_a_second_signal_gives_back_what_runs(app: Elihu, processes: Processes) -> None:
    supervisor = await supervised(processes, GRACE="1h")
    held = await app.aenqueue(job("lasting", args={"seconds": 60}))
    await processes.printed(supervisor, f"began lasting {held.id}")
    supervisor.send(signal.SIGINT)
    await processes.printed(supervisor, "stopping:")
    while not supervisor.count("second signal:"):
        supervisor.send(signal.SIGINT)
        await asyncio.sleep(0.1)
    assert await supervisor.end() == 0
    assert supervisor.count("1 job returned") == 1
    assert (await app.jobs.get(held.id)).state is JobState.AVAILABLE


async def test_none_survives_a_supervisor_that_is_killed(app: Elihu, processes: Processes) -> None:
    """Not even one whose event loop is blocked."""
    supervisor = await supervised(processes, GRACE="0.1")
    held = await app.aenqueue(job("blocking", args={"seconds": 2}))
    await processes.printed(supervisor, f"began blocking {held.id}")
    pids = [pid_of(supervisor, number) for number in (1, 2)]
    supervisor.send(signal.SIGKILL)
    assert (
        await supervisor.end() == -signal.SIGKILL
    )  # its output ends with the last process that holds it
    assert not [pid for pid in pids if alive(pid)]
    assert await app.nodes.list() == []


async def test_tables_that_are_absent_are_given_up_on(postgres_url: str, tmp_path: Path) -> None:
    processes = Processes(postgres_url, tmp_path)
    supervisor = await processes.run("start", "--processes", "2")
    assert await supervisor.end() == 1
    assert supervisor.lines[-1].endswith(" process   no process could start")
    assert sum('run "elihu migrate"' in line for line in supervisor.errors) >= 2


@pytest.mark.parametrize(
    "rights",
    [
        (),
        (
            "GRANT USAGE ON SCHEMA elihu TO restricted",
            "GRANT SELECT ON ALL TABLES IN SCHEMA elihu TO restricted",
        ),
    ],
    ids=["none", "reads"],
)
async def test_a_missing_right_is_given_up_on(
    postgres_url: str, tmp_path: Path, rights: tuple[str, ...]
) -> None:
    async with engine_on(postgres_url):
        pass
    processes = Processes(await worker_url(postgres_url, *rights), tmp_path)
    supervisor = await processes.run("start", "--processes", "2")
    assert await supervisor.end() == 1
    assert supervisor.lines[-1].endswith(" process   no process could start")
    assert sum("grant the role" in line for line in supervisor.errors) >= 2
    await drop(postgres_url)
