"""Streams of runs: another process writes, and signals tell of it at once."""

import asyncio
import importlib
import time
from collections.abc import AsyncIterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from fastapi import FastAPI

from elihu import Elihu
from elihu.commands import CommandScheduler
from elihu.commands.secrets import new_key
from elihu.commands.signals import OutputSignals
from elihu.system_queues import DISPATCH_QUEUE
from elihu.web import streams
from tests.commands.workshop import Workshop
from tests.support import BUSY_MACHINE, QUICK
from tests.web.test_streams import opened

SOON = 1.0


@pytest.fixture(autouse=True)
def no_polling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a signal nothing is read within the time of a test."""
    monkeypatch.setattr(streams, "INTERVAL", 60.0)
    monkeypatch.setattr(importlib.import_module("elihu.web.api.output"), "POLL", 60.0)


@pytest.fixture
async def node(app: Elihu, database_url: str, schema: str) -> AsyncIterator[Workshop]:
    """A node as another process has it: an app of its own."""
    async with (
        Elihu(database_url, schema=schema, secret_key=new_key(), **QUICK | BUSY_MACHINE) as other,
        CommandScheduler(other) as scheduler,
    ):
        queues = {name: n for name, n in scheduler.queues.items() if name != DISPATCH_QUEUE}
        async with other.running(queues=queues):
            yield Workshop(scheduler)


async def test_a_line_and_the_end_are_seen_within_a_second(
    web: FastAPI, node: Workshop, tmp_path: Path
) -> None:
    # Each line says when it was written.
    line = f'until [ -e "{tmp_path}/$n" ]; do sleep 0.02; done; date +%s.%N'
    text = f"for n in 1 2 3 4; do {line}; done"
    command, environment = await node.command(text), await node.environment()
    run = await node.run(command, environment_id=environment.id)
    await node.until(run, ["running"])
    async with (
        opened(web, f"/api/runs/{run.id}/output/stream") as chunks,
        opened(web, f"/api/stream?topic=run:{run.id}") as states,
    ):
        assert (await states())["data"]["status"] == "running"
        assert (await chunks())["status"] == "running"
        delays = []
        for name in "123":
            (tmp_path / name).touch()
            delays.append(-float((await chunks())["text"]) + time.time())
        # The machine may be busy for one of them.
        assert min(delays) < SOON, delays
        (tmp_path / "4").touch()
        ended = await states()
        delay = time.time() - datetime.fromisoformat(ended["data"]["finished_at"]).timestamp()
        assert ended["data"]["status"] == "succeeded"
        assert delay < 5 * SOON
        while (await chunks())["event"] != "end":
            pass


async def test_the_overview_sees_a_run_begin(web: FastAPI, node: Workshop, tmp_path: Path) -> None:
    waits = tmp_path / "go"
    command = await node.command(f"until [ -e {waits} ]; do sleep 0.02; done")
    environment = await node.environment()
    async with opened(web, "/api/stream?topic=overview") as get:
        assert (await get())["data"]["runs"]["running"] == 0
        await node.run(command, environment_id=environment.id)
        async with asyncio.timeout(20):
            while (await get())["data"]["runs"]["running"] != 1:
                pass
        waits.touch()


async def test_a_fast_writer_announces_four_times_a_second(
    node: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced: list[float] = []

    async def announce(*_topics: str) -> None:
        announced.append(time.monotonic())

    monkeypatch.setattr(node.app.topics, "announce", announce)
    signals = OutputSignals(node.host, (await node.command()).id)
    until = time.monotonic() + 0.6
    while time.monotonic() < until:
        signals.written()
        await asyncio.sleep(0)
    signals.close()
    assert 2 <= len(announced) <= 3
    assert all(later - earlier >= 0.25 for earlier, later in pairwise(announced))


async def test_a_signal_of_one_run_wakes_its_streams_alone() -> None:
    mine, other = streams.Subscription(["run:1"]), streams.Subscription(["overview"])

    async def woken(mine: streams.Subscription, topic: str) -> bool:
        mine.clear()
        mine.tell(topic)
        begun = time.monotonic()
        await mine.wait(0.05)
        return time.monotonic() < begun + 0.05

    seen = {topic: [await woken(each, topic) for each in (mine, other)]
            for topic in ("run:1", "run:2", "runs", "jobs", "")}  # fmt: skip
    assert seen == {
        "run:1": [True, False],
        "run:2": [False, False],
        "runs": [False, True],
        "jobs": [False, True],
        "": [True, True],
    }
