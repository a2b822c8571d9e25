"""Commands: the dispatch of due schedules, their start after the minute, and many at once.

The dispatch is compared with plain statements that store the same rows and jobs, the
start with that of the package's own cron entries, and commands at once with processes
that nobody watches.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, insert, select

from bench.subject import Case, Figures, Options, Subject, expect
from bench.tables import Tables
from elihu import Context
from elihu.commands import CommandScheduler
from elihu.commands.dispatch import dispatch
from elihu.commands.models import Command, CommandJob
from elihu.commands.rules import commands, crons, environments, schedules
from elihu.orm.columns import new_id

SCHEDULES = 1_000
STARTED = 50
AT_ONCE = 50
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
TICK = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


@asynccontextmanager
async def scheduler_on(tables: Tables, slots: int) -> AsyncIterator[CommandScheduler]:
    """A scheduler with tables of its own."""
    async with tables.app(commands={"slots": slots}, call_timeout=60, dead_after=120) as app:
        await app.migrate("commands")
        async with CommandScheduler(app) as scheduler:
            yield scheduler


async def fill(scheduler: CommandScheduler, number: int, text: str) -> list[Command]:
    """So many commands, each with a schedule for every minute in one environment."""
    made = []
    async with scheduler.sessions.begin(deadline=120) as session:
        place = await environments.create(session, name="bench")
        place.active_since = LONG_AGO
        cron = await crons.create(session, name="minute", expression="* * * * *")
        cron.active_since = LONG_AGO
        for count in range(number):
            command = await commands.create(session, name=f"c{count}", shell_command=text)
            schedule = await schedules.create(
                session, command_id=command.id, environment_ids=[place.id], cron_ids=[cron.id]
            )
            command.active_since = schedule.active_since = LONG_AGO
            schedule.environments[0].since = schedule.crons[0].since = LONG_AGO
            made.append(command)
    return made


async def dispatched(tables: Tables, case: Case) -> Figures:
    """Dispatch one minute in which every schedule is due."""
    async with scheduler_on(tables, 1) as scheduler:
        await fill(scheduler, case.jobs, "true")
        began = time.perf_counter()
        done = await dispatch(scheduler.host, TICK)
        seconds = time.perf_counter() - began
        expect("runs", case.jobs, done["stored"])
    return {"seconds": seconds}


async def stored(tables: Tables, case: Case) -> Figures:
    """Store as many rows and jobs in one transaction."""
    async with scheduler_on(tables, 1) as scheduler:
        task = scheduler.app.task_named("commands.run")
        began = time.perf_counter()
        async with scheduler.sessions.begin(deadline=120) as session:
            rows = [
                {
                    "id": new_id(),
                    "command_name": "c",
                    "environment_name": "bench",
                    "shell_command": "true",
                    "mode": "shell",
                    "source": "schedule",
                    "status": "queued",
                    "attempt": 0,
                    "max_attempts": 1,
                    "created_at": TICK,
                    "due_at": TICK,
                }
                for _ in range(case.jobs)
            ]
            jobs = [task.build(str(row["id"])) for row in rows]
            done = await scheduler.app.enqueue_many(jobs, conn=session, ids=True)
            for row, job_id in zip(rows, done.ids or (), strict=True):
                row["job_id"] = job_id
            await session.execute(insert(CommandJob), rows)
        seconds = time.perf_counter() - began
    return {"seconds": seconds}


async def started(tables: Tables, case: Case) -> Figures:
    """How long after their minute due commands start."""
    async with scheduler_on(tables, case.slots or STARTED) as scheduler:
        await fill(scheduler, case.jobs, "true")
        async with scheduler.app.running(queues=scheduler.queues):
            tick = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
            await _until(scheduler, tick, case.jobs)
        statement = select(CommandJob.started_at).where(CommandJob.occurrence == tick)
        async with scheduler.sessions.read() as session:
            found = await session.scalars(statement)
            late = [(at - tick).total_seconds() * 1_000 for at in found if at is not None]
    return _percentiles(late)


async def entries_started(tables: Tables, case: Case) -> Figures:
    """How long after their minute as many of the package's own cron entries start."""
    late: list[float] = []
    done = asyncio.Event()
    async with tables.app(case.slots or STARTED) as app:

        async def note(number: int, *, ctx: Context) -> None:
            assert ctx.occurrence is not None
            late.append((datetime.now(UTC) - ctx.occurrence).total_seconds() * 1_000)
            if len(late) == case.jobs:
                done.set()

        task = app.task(name="bench.note")(note)
        for number in range(case.jobs):
            app.cron("* * * * *", name=f"bench {number}", args={"number": number})(task)
        async with app.running(), asyncio.timeout(100):
            await done.wait()
    return _percentiles(late)


async def run_at_once(tables: Tables, case: Case) -> Figures:
    """Run many commands at the same time, from the request to the end of the last one."""
    from elihu.commands.rules import runs

    async with scheduler_on(tables, case.jobs) as scheduler:
        made = await fill(scheduler, case.jobs, "sleep 0.2")
        async with scheduler.app.running(queues={"commands": case.jobs}):
            began = time.perf_counter()
            async with scheduler.sessions.begin() as session:
                for command in made:
                    await runs.run(session, scheduler.host, command.id)
            while await _count(scheduler, CommandJob.status == "succeeded") < case.jobs:  # noqa: ASYNC110 (the node writes it)
                await asyncio.sleep(0.02)
            seconds = time.perf_counter() - began
    return {"seconds": seconds}


async def spawn_at_once(_tables: Tables, case: Case) -> Figures:
    """Start as many shells that nobody watches, and wait for them."""

    async def one() -> None:
        process = await asyncio.create_subprocess_shell("sleep 0.2")
        expect("status", 0, await process.wait())

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(case.jobs)))
    return {"seconds": time.perf_counter() - began}


async def _until(scheduler: CommandScheduler, tick: datetime, number: int) -> None:
    async with asyncio.timeout(110):
        while (  # noqa: ASYNC110 (the node writes it)
            await _count(
                scheduler, CommandJob.occurrence == tick, CommandJob.started_at.is_not(None)
            )
            < number
        ):
            await asyncio.sleep(0.5)


async def _count(scheduler: CommandScheduler, *where: object) -> int:
    statement = select(func.count()).select_from(CommandJob).where(*where)  # type: ignore[arg-type]
    async with scheduler.sessions.read() as session:
        return await session.scalar(statement) or 0


def _percentiles(found: list[float]) -> Figures:
    cuts = statistics.quantiles(found, n=100, method="inclusive")
    return {"p50_ms": cuts[49], "p99_ms": cuts[98]}


def dispatch_cases(options: Options) -> list[Case]:
    """A thousand schedules."""
    return [Case(jobs=options.jobs or SCHEDULES)]


def start_cases(options: Options) -> list[Case]:
    """Fifty commands that are due in the same minute, and a slot for each."""
    return [Case(jobs=options.jobs or STARTED, slots=options.slots or STARTED)]


def at_once_cases(options: Options) -> list[Case]:
    """Fifty commands."""
    return [Case(jobs=options.jobs or AT_ONCE)]


DISPATCH = Subject("dispatch", dispatch_cases, dispatched, stored, beside="plain rows")
START = Subject("start", start_cases, started, entries_started, beside="cron entries")
AT_ONCE_SUBJECT = Subject("at_once", at_once_cases, run_at_once, spawn_at_once, beside="processes")
