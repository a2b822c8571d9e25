"""The child processes of a node without a database to speak of."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import psutil

from elihu import Task
from elihu.engines.protocol import ClaimedJob
from elihu.outcome import Complete, Ending
from elihu.runtime.attempts.complete_in_transaction import Completer
from elihu.runtime.attempts.execution import Execution
from elihu.runtime.attempts.processes.pool import ProcessPool
from elihu.runtime.attempts.progress import Progress

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Station:
    """The children of a node that has no database to speak of, and executions for them."""

    def __init__(self, progress: Progress, children: ProcessPool) -> None:
        self.children = children
        self._progress = progress
        self._number = 0

    def execution(self, task: Task[..., Any], **args: Any) -> Execution:
        self._number += 1
        claim = ClaimedJob(
            id=self._number, claim=1, task=task.name, args=json.dumps(args), attempt=1,
            max_attempts=1, orphans=0, priority=0, scheduled_at=NOW,
            inserted_at=NOW, started_at=NOW, tags=(), options=None,
            meta=None, unique_key=None, awaited=True,
            template=None, identifier=None, expires_at=None, occurrence=None,
        )  # fmt: skip
        return Execution(
            claim,
            "default",
            "node",
            task,
            None,
            self._progress,
            0.0,
            Completer(self._progress.scope),
        )

    async def run(self, task: Task[..., Any], **args: Any) -> Ending:
        return (await self.children.run(self.execution(task, **args), wanted=True)).ending

    async def value(self, task: Task[..., Any], **args: Any) -> Any:
        ending = await self.run(task, **args)
        assert isinstance(ending, Complete), ending
        return json.loads(ending.value or "null")


Stations = Callable[..., Awaitable[Station]]


def pids() -> list[int]:
    return [
        child.pid
        for child in psutil.Process().children()
        if "elihu.runtime.attempts.processes" in child.cmdline()
    ]


async def until(found: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not found():  # noqa: ASYNC110 - another process makes it so
            await asyncio.sleep(0.02)
