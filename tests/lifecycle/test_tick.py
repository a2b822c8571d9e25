"""Rounds in processes of their own: one that is killed in the middle leaves its jobs to
the next.
"""

import json
import signal
from functools import partial

import pytest

from elihu import Elihu, JobState
from tests.lifecycle.nodes import Process, Processes, job

pytestmark = pytest.mark.sqlite_first


def began(process: Process) -> bool:
    return any("began lasting" in line for line in process.lines)


def began_or_ended(process: Process) -> bool:
    return began(process) or any('"expire"' in line for line in process.lines)


async def test_a_round_that_is_killed_is_made_good_by_the_next(
    app: Elihu, processes: Processes
) -> None:
    lasting = await app.aenqueue(job("lasting", args={"seconds": 600}))
    killed = await processes.run("tick")
    await processes.printed(killed, f"began lasting {lasting.id}")
    assert [node.info["once"] for node in await app.nodes.list()] == [True]
    killed.send(signal.SIGKILL)
    assert await killed.end() == -signal.SIGKILL
    expired = {"ok": 0}
    while not expired["ok"]:
        again = await processes.run("tick", GRACE="0.1")
        await processes.until(partial(began_or_ended, again))
        if began(again):
            again.send(signal.SIGTERM)
        assert await again.end() == 0
        expired = json.loads(again.lines[-1])["expire"]
    assert expired == {"ok": 1, "error": 0}
    assert [run.outcome and run.outcome.value for run in await app.jobs.runs(lasting.id)] == [
        "orphaned",
        "returned",
    ]
    assert (await app.jobs.get(lasting.id)).state is JobState.AVAILABLE
    assert await app.nodes.list() == []
