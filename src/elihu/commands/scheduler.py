"""The scheduler of an app: its tasks, its sessions, its queues."""

import asyncio
from datetime import datetime
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID
from weakref import WeakKeyDictionary

from elihu import Context, Elihu, Tasks
from elihu.commands.attempts import Begun, begin, finish, interrupted
from elihu.commands.deliveries import deliver
from elihu.commands.dispatch import dispatch, dispatch_boot
from elihu.commands.ending import JOB_STOPPED
from elihu.commands.host import ALERT_TASK, DISPATCH_TASK, RUN_TASK, Host
from elihu.commands.kills import Kills
from elihu.commands.pruning import prune
from elihu.commands.runner import CommandRun
from elihu.commands.sink import DatabaseSink
from elihu.commands.watch import watch
from elihu.orm.sessions import Sessions
from elihu.system_queues import ALERT_QUEUE, DISPATCH_QUEUE, RUN_QUEUE

MOST_ATTEMPTS: Final = 1_000_000
"""Runs count their own attempts: the job of one has as many as it needs."""
DISPATCH_SLOTS: Final = 4
ALERT_SLOTS: Final = 4


class CommandScheduler:
    """Declares the scheduler's tasks on an app. A node that serves ``queues`` does its
    work. ``host`` is what rules take.
    """

    def __init__(self, app: Elihu) -> None:
        self.app = app
        self.sessions = Sessions(app)
        self.host = Host(app, self.sessions)
        self._kills = Kills(self.host)
        app.include(self._tasks())
        _schedulers[app] = self

    @property
    def queues(self) -> dict[str, int]:
        """The queues of the scheduler, and how many jobs of each a node runs at once."""
        return {
            DISPATCH_QUEUE: DISPATCH_SLOTS,
            RUN_QUEUE: self.app.config.commands.slots,
            ALERT_QUEUE: ALERT_SLOTS,
        }

    async def aclose(self) -> None:
        """Close the scheduler's connections."""
        await self._kills.aclose()
        await self.sessions.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def _run(self, run_id: UUID, ctx: Context) -> Any:
        begun = await begin(self.host, run_id, ctx)
        if not isinstance(begun, Begun):
            return begun
        sink = DatabaseSink(self.host, begun.run_id, begun.attempt)
        running = CommandRun(begun.spec, sink)
        self._kills.add(begun.token, running)

        async def kill_stopped() -> None:
            """A job that was taken from the node may run elsewhere at once."""
            await ctx.wait_cancelled()
            if ctx.cause == "stop":
                running.stop(JOB_STOPPED)

        watching = asyncio.create_task(kill_stopped())
        try:
            end = await running.run()
        except asyncio.CancelledError:
            await interrupted(self.host, begun, running.end, sink, ctx.cause)
            raise
        finally:
            watching.cancel()
            self._kills.remove(begun.token)
            sink.close()
        if end.status == "killed" and end.reason == JOB_STOPPED:
            await interrupted(self.host, begun, end, sink, ctx.cause)
            return None
        return await finish(self.host, begun, end, sink)

    def _tasks(self) -> Tasks:
        tasks = Tasks()
        host = self.host

        @tasks.schedule(
            "* * * * *",
            name=DISPATCH_TASK,
            queue=DISPATCH_QUEUE,
            priority=0,
            max_attempts=1_000,
            backoff=2,
            record=True,
        )
        async def dispatch_due(*, ctx: Context) -> dict[str, int]:
            return await dispatch(host, _occurrence(ctx))

        @tasks.schedule(
            "@reboot",
            name="commands.dispatch_boot",
            queue=DISPATCH_QUEUE,
            priority=0,
            max_attempts=1_000,
            backoff=2,
            record=True,
        )
        async def boot(*, ctx: Context) -> dict[str, int]:
            return await dispatch_boot(host, _occurrence(ctx))

        @tasks.schedule(
            "* * * * *",
            name="commands.watch",
            queue=DISPATCH_QUEUE,
            catch_up="none",
            expires=60,
            record=True,
        )
        async def watch_runs() -> dict[str, int]:
            return await watch(host)

        @tasks.schedule(
            "*/10 * * * *",
            name="commands.prune",
            queue=DISPATCH_QUEUE,
            priority=5,
            catch_up="none",
            expires=600,
            record=True,
        )
        async def prune_runs() -> int:
            return await prune(host)

        @tasks.task(name=RUN_TASK, queue=RUN_QUEUE, max_attempts=MOST_ATTEMPTS)
        async def run(run_id: UUID, *, ctx: Context) -> Any:
            return await self._run(run_id, ctx)

        @tasks.task(name=ALERT_TASK, queue=ALERT_QUEUE, max_attempts=10, timeout=60)
        async def alert(alert_id: UUID, event: str, run_id: UUID | None, held: int) -> Any:
            return await deliver(host, alert_id, event, run_id, held)

        return tasks


_schedulers: Final[WeakKeyDictionary[Elihu, CommandScheduler]] = WeakKeyDictionary()


def scheduler_of(app: Elihu) -> CommandScheduler:
    """The scheduler that a program has made for its app, else a new one."""
    return _schedulers.get(app) or CommandScheduler(app)


def _occurrence(ctx: Context) -> datetime:
    """The tick that the job is for. One that was enqueued by hand is for the minute
    in which it was.
    """
    at = ctx.occurrence or ctx.job.inserted_at
    return at.replace(second=0, microsecond=0) if ctx.occurrence is None else at
