"""Runs nodes inside this program: ``app.running``, ``app.serve`` and ``app.tick``."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from elihu.api.cron_entries import entry_of
from elihu.clients.clients import Clients
from elihu.clock import Clock
from elihu.config import Config, changed_config
from elihu.config.slots import QueueSlots
from elihu.errors import DatabaseError, InvalidOption
from elihu.options import check_range
from elihu.runtime.attempts.middleware import Middleware
from elihu.runtime.attempts.surroundings import Around
from elihu.runtime.queue.start_budget import StartBudget
from elihu.runtime.timers import when
from elihu.system_queues import DISPATCH_QUEUE, SYSTEM_QUEUES
from elihu.task import Registry, tasks_left_out
from elihu.telemetry.bus import Bus

if TYPE_CHECKING:
    from elihu.runtime.node import Node
    from elihu.runtime.single_tick import TickCounts

MOST_STARTED: Final = 10_000

logger = logging.getLogger("elihu")


@dataclass(slots=True, kw_only=True)
class NodeRunner:
    """Makes the nodes of one app from what the app declares."""

    app: object
    config: Callable[[], Config]
    clients: Clients
    registry: Registry
    bus: Bus
    clock: Clock
    lifespan: Callable[[], AbstractAsyncContextManager[Any]] | None
    middlewares: list[Middleware] = field(default_factory=list)
    arounds: list[Around] = field(default_factory=list)

    def add_middleware(self, function: Middleware) -> None:
        """Add a middleware inside the others. Raises ``InvalidOption``."""
        if not _is_async(function):
            raise InvalidOption(
                f"middleware: expected a function written with async def, got {function!r}"
            )
        self.middlewares.append(function)

    def add_around(self, function: Around) -> None:
        """Add a context manager inside the others. Raises ``InvalidOption``."""
        written = inspect.unwrap(function) if callable(function) else None
        if written is None or _is_async(written) or inspect.isasyncgenfunction(written):
            raise InvalidOption(
                "around: expected a function that returns a context manager (for async code use "
                f"@app.middleware), got {function!r}"
            )
        self.arounds.append(function)

    @asynccontextmanager
    async def running(
        self, queues: QueueSlots | None, start_budget: StartBudget | None = None
    ) -> "AsyncIterator[Node]":
        """Run a node while the context is open."""
        if queues is None or queues:
            self._report_missing_tasks()
        node = self.node(queues, start_budget)
        await node.start()
        if queues is None:
            if self.config().require_queues:
                self._report_unserved(node)
            await self._report_undeclared(node)
        try:
            yield node
        finally:
            await node.stop()

    async def serve(
        self,
        queues: QueueSlots | None,
        stopping: asyncio.Event,
        stop_now: asyncio.Event,
        started: "Callable[[Node], None]",
    ) -> None:
        """Run a node until ``stopping`` is set."""
        async with self.running(queues) as node:
            started(node)
            await stopping.wait()
            hurry = asyncio.create_task(when(stop_now, node.hurry))
            try:
                await node.stop()
            finally:
                hurry.cancel()

    async def tick(
        self, limit: int, stopping: asyncio.Event | None, stop_now: asyncio.Event | None
    ) -> "TickCounts":
        """Do one bounded round of all of a node's work."""
        from elihu.runtime.single_tick import SingleTick

        check_range("limit", limit, 1, MOST_STARTED)
        self._report_missing_tasks()
        once = SingleTick(
            self.config(), partial(self.node, None), self.registry.timetable, self.bus
        )
        return await once.run(
            limit, stopping=stopping or asyncio.Event(), stop_now=stop_now or asyncio.Event()
        )

    def node(self, queues: QueueSlots | None, start_budget: StartBudget | None = None) -> "Node":
        """A new node, not started, for these queues or the configured ones."""
        from elihu.runtime.node import Node, Program

        config = self.config()
        if queues is not None:
            config = changed_config(config, {"queues": queues})
        program = Program(
            registry=self.registry,
            middlewares=tuple(self.middlewares),
            arounds=tuple(self.arounds),
            lifespan=self.lifespan,
            app=self.app,
            queues=config.queues,
            split=queues is not None,
        )
        return Node(
            config,
            program,
            bus=self.bus,
            clock=self.clock,
            hub=self.clients.hub,
            start_budget=start_budget,
        )

    def _report_missing_tasks(self) -> None:
        """Warn of an app without tasks, and of imported groups that no app includes."""
        left_out = tasks_left_out()
        names = f" (not included: {', '.join(left_out[:5])})" if left_out else ""
        if not len(self.registry):
            logger.warning(
                "this app has no tasks: import the modules that declare them where the app is "
                "made, or in the module that --app names, and include groups by app.include()%s",
                names,
            )
        elif left_out:
            logger.warning("no app includes the group of these tasks: %s", ", ".join(left_out[:5]))

    def _report_unserved(self, node: "Node") -> None:
        known = {*node.queues.served, *node.queues.stopped}
        unserved: dict[str, list[str]] = {}
        for task in self.registry:
            if task.options.queue not in known:
                unserved.setdefault(task.options.queue, []).append(repr(task.name))
        for queue, tasks in unserved.items():
            logger.warning(
                "queue %r of task%s %s is not served by this node: add it to queues, such as "
                "default=10,%s=10",
                queue,
                "s" * (len(tasks) > 1),
                ", ".join(tasks[:5]) + ", …" * (len(tasks) > 5),
                queue,
            )

    async def _report_undeclared(self, node: "Node") -> None:
        """Warn of cron entries that were declared by code and are no longer."""
        try:
            table = await node.engine.crons()
        except DatabaseError:
            return
        commands_wait = False
        for row in table.rows:
            if row.declared is None or row.live or row.paused:
                continue
            if entry_of(row, table.now).queue in SYSTEM_QUEUES:
                commands_wait = True
            else:
                logger.warning(
                    "cron entry %r is declared neither by this app nor by another living node, and "
                    "does not fire: if it is gone for good, delete it with elihu crons delete",
                    row.name,
                )
        if commands_wait:
            logger.info(
                "no living node runs commands: elihu up does, or a node that serves the queue %r",
                DISPATCH_QUEUE,
            )


def _is_async(function: Any) -> bool:
    return callable(function) and (
        inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(function.__call__)
    )
