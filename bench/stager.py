"""Staging: how long many due jobs take to become available, and how late jobs with a delay
start. It is compared with what is wanted: two seconds for 100,000 jobs, and a start no
later than one interval of the stager and 50 ms.
"""

import asyncio
import sqlite3
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Final

import asyncpg

from bench.subject import Case, Figures, Options, Subject, expect
from bench.tables import SQLITE, Tables
from elihu import Context
from elihu.cli.benchmark.subjects import percentiles
from elihu.config import Config
from elihu.engines.postgres.url import driver_url
from elihu.engines.select import engine_for
from elihu.telemetry.bus import Bus

DUE: Final = 100_000
DELAYED: Final = 200
AHEAD: Final = 1.5
"""Seconds until the first job with a delay is due."""
SPAN: Final = 2.5
"""Seconds in which the others become due."""
WANTED: Final = 2.0
SLACK: Final = 0.05
FILL: Final = {
    "postgresql": """
        INSERT INTO {schema}.job (state, task, args, scheduled_at)
        SELECT 'scheduled', 'bench.noop', '{{}}', now() - interval '1 minute'
        FROM generate_series(1, {jobs})""",
    "sqlite": """
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {jobs})
        INSERT INTO job (state, task, args, scheduled_at)
        SELECT 'scheduled', 'bench.noop', '{{}}', unixepoch() - 60 FROM n""",
}
ANALYZE: Final = {"postgresql": "VACUUM ANALYZE {schema}.job", "sqlite": "ANALYZE"}


def due_cases(options: Options) -> list[Case]:
    """A hundred thousand."""
    return [Case(jobs=options.jobs or DUE)]


def delayed_cases(options: Options) -> list[Case]:
    """A hundred slots."""
    return [Case(slots=options.slots or 100, jobs=options.jobs or DELAYED)]


async def staged(tables: Tables, case: Case) -> Figures:
    """The calls that a leader makes until no job is due, in batches of the default size."""
    for text in (FILL[tables.engine], ANALYZE[tables.engine]):
        await execute(tables, text.format(schema=tables.schema, jobs=case.jobs))
    config = Config(database_url=tables.url, schema=tables.schema, call_timeout=60)
    engine = engine_for(config, Bus())
    await engine.open()
    done, last = 0, 1
    began = time.perf_counter()
    while last:
        last = sum((await engine.stage(config.stager.limit)).queues.values())
        done += last
    seconds = time.perf_counter() - began
    await engine.close()
    expect("jobs staged", case.jobs, done)
    return {"seconds": seconds}


async def execute(tables: Tables, sql: str) -> None:
    """Run one statement beside Elihu."""
    if tables.engine == "sqlite":
        with closing(sqlite3.connect(tables.url.removeprefix(SQLITE), timeout=60)) as file, file:
            file.execute(sql)
        return
    connection = await asyncpg.connect(driver_url(tables.url))
    await connection.execute(sql)
    await connection.close()


async def delayed(tables: Tables, case: Case) -> Figures:
    """Jobs that become due one after another, on an idle node: from the moment at which
    each is due to its start.
    """
    late: list[float] = []
    done = asyncio.Event()
    async with tables.app(slots=case.slots or 1) as app:

        @app.task(name="bench.late")
        async def note(*, ctx: Context = Context()) -> None:
            late.append((datetime.now(UTC) - ctx.job.scheduled_at).total_seconds())
            if len(late) == case.jobs:
                done.set()

        async with app.running():
            first = datetime.now(UTC) + timedelta(seconds=AHEAD)
            step = timedelta(seconds=SPAN) / case.jobs
            await app.enqueue_many(
                note.using(run_at=first + step * number).build() for number in range(case.jobs)
            )
            await done.wait()
    return {"p50_ms": percentiles(late)[0] * 1_000, "latest_ms": max(late) * 1_000}


async def wanted(_tables: Tables, _case: Case) -> Figures:
    """Two seconds, which is wanted for 100,000 jobs."""
    return {"seconds": WANTED}


async def wanted_start(_tables: Tables, _case: Case) -> Figures:
    """One interval of the stager and 50 ms."""
    return {"latest_ms": (Config().stager.interval + SLACK) * 1_000}


STAGE = Subject("stage", due_cases, staged, wanted, beside="wanted")
DELAY = Subject("delay", delayed_cases, delayed, wanted_start, beside="wanted")
