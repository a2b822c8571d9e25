"""Large tables as months of work leave them, made with SQL: what ``bench.pages`` asks for."""

import sqlite3
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from uuid import UUID, uuid5

import asyncpg

from elihu import Elihu
from elihu.commands import CommandScheduler
from elihu.commands.rules import commands, crons, environments, schedules
from elihu.engines.select import engine_for
from elihu.telemetry.bus import Bus

COMMANDS: Final = 50
ENVIRONMENTS: Final = ("production", "staging")
CRONS: Final = ("*/5 * * * *", "*/15 * * * *", "0 * * * *", "30 2 * * *", "0 6 * * mon")
NODES: Final = 3
_NODE: Final = UUID(int=0xBE9C4)

JOBS: Final = {
    "postgres": """
INSERT INTO elihu.job (state, queue, task, priority, inserted_at, scheduled_at, started_at,
  finished_at, prune_at, node, reason)
SELECT state, 'q' || n % 10, 't' || n % 20, n % 3, at, at,
  CASE WHEN state IN ('completed', 'discarded', 'executing') THEN at END,
  CASE WHEN state IN ('completed', 'discarded') THEN at + interval '1 second' END,
  CASE WHEN state IN ('completed', 'discarded') THEN at + interval '1 day' END,
  CASE WHEN state = 'executing' THEN $2::uuid END,
  CASE WHEN state = 'discarded' THEN 'ValueError: number ' || n END
FROM (SELECT n, now() - make_interval(secs => ($1 - n) / 100.0) AS at,
  CASE WHEN n % 100 < 80 THEN 'completed' WHEN n % 100 < 90 THEN 'available'
    WHEN n % 100 < 98 THEN 'scheduled' WHEN n % 100 < 99 THEN 'discarded'
    WHEN n % 10000 = 99 THEN 'executing' ELSE 'completed' END AS state
  FROM generate_series(1, $1::bigint) AS n) AS made
""",
    "sqlite": """
INSERT INTO job (state, queue, task, priority, inserted_at, scheduled_at, started_at,
  finished_at, prune_at, node, reason)
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :jobs),
made AS (SELECT n, :now - (:jobs - n) / 100.0 AS at,
  CASE WHEN n % 100 < 80 THEN 'completed' WHEN n % 100 < 90 THEN 'available'
    WHEN n % 100 < 98 THEN 'scheduled' WHEN n % 100 < 99 THEN 'discarded'
    WHEN n % 10000 = 99 THEN 'executing' ELSE 'completed' END AS state FROM number)
SELECT state, 'q' || n % 10, 't' || n % 20, n % 3, at, at,
  CASE WHEN state IN ('completed', 'discarded', 'executing') THEN at END,
  CASE WHEN state IN ('completed', 'discarded') THEN at + 1 END,
  CASE WHEN state IN ('completed', 'discarded') THEN at + 86400 END,
  CASE WHEN state = 'executing' THEN :node END,
  CASE WHEN state = 'discarded' THEN 'ValueError: number ' || n END FROM made
""",
}
RUNS: Final = {
    "postgres": f"""
INSERT INTO elihu.command_job (id, command_id, command_name, environment_id, environment_name,
  shell_command, source, forced, admitted, mode, status, attempt, max_attempts, reason, exit_code,
  created_at, due_at, started_at, finished_at)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' ||
    substr(md5(n::text), 1, 19))::uuid,
  command.id, command.name, environment.id, environment.name, 'true', 'schedule', false, true,
  'shell', CASE WHEN n % 50 = 0 THEN 'failed' WHEN n > $1 - 10 THEN 'running' ELSE 'succeeded' END,
  1, 1, CASE WHEN n % 50 = 0 THEN 'exit status 1' END, CASE WHEN n % 50 = 0 THEN 1 END,
  at, at, at, CASE WHEN n % 50 = 0 OR n <= $1 - 10 THEN at + interval '3 seconds' END
FROM (SELECT n, now() - make_interval(secs => ($1 - n)::float8) AS at
  FROM generate_series(1, $1::bigint) AS n) AS made
JOIN elihu.command ON command.name = 'command ' || n % {COMMANDS}
JOIN elihu.command_environment environment
  ON environment.name = CASE WHEN n / {COMMANDS} % 2 = 0 THEN '{ENVIRONMENTS[0]}'
    ELSE '{ENVIRONMENTS[1]}' END
""",
    "sqlite": f"""
INSERT INTO command_job (id, command_id, command_name, environment_id, environment_name,
  shell_command, source, forced, admitted, mode, status, attempt, max_attempts, reason, exit_code,
  created_at, due_at, started_at, finished_at)
WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < :runs),
made AS (SELECT n, :now - (:runs - n) AS at FROM number)
SELECT printf('%012x7%03x8%015x', CAST(at * 1000 AS INTEGER), n % 4096, n),
  command.id, command.name, environment.id, environment.name, 'true', 'schedule', 0, 1,
  'shell', CASE WHEN n % 50 = 0 THEN 'failed' WHEN n > :runs - 10 THEN 'running'
    ELSE 'succeeded' END,
  1, 1, CASE WHEN n % 50 = 0 THEN 'exit status 1' END, CASE WHEN n % 50 = 0 THEN 1 END,
  at, at, at, CASE WHEN n % 50 = 0 OR n <= :runs - 10 THEN at + 3 END
FROM made
JOIN command ON command.name = 'command ' || n % {COMMANDS}
JOIN command_environment environment
  ON environment.name = CASE WHEN n / {COMMANDS} % 2 = 0 THEN '{ENVIRONMENTS[0]}'
    ELSE '{ENVIRONMENTS[1]}' END
""",
}
EVENTS: Final = {
    "postgres": """
INSERT INTO elihu.command_event (id, command_job_id, command_id, attempt, status, started_at,
  finished_at, duration_ms, stdout, stderr)
SELECT id, id, command_id, 1, status, started_at, finished_at, 3000, '', ''
FROM elihu.command_job WHERE finished_at IS NOT NULL
""",
    "sqlite": """
INSERT INTO command_event (id, command_job_id, command_id, attempt, status, started_at,
  finished_at, duration_ms, stdout, stderr)
SELECT id, id, command_id, 1, status, started_at, finished_at, 3000, '', ''
FROM command_job WHERE finished_at IS NOT NULL
""",
}
_HISTOGRAMS: Final = tuple(f"{kind}_{number}" for kind in ("run", "wait") for number in range(14))
_COUNTED: Final = f"""(period, at, queue, task, outcome, writer, jobs, run_ms, wait_ms,
  {", ".join(_HISTOGRAMS)})"""
_NUMBERS: Final = f"40, 4000, 400, {', '.join('2' for _ in _HISTOGRAMS)}"
ROLLUPS: Final = {
    "postgres": f"""
INSERT INTO elihu.rollup {_COUNTED}
SELECT period, to_timestamp(floor(extract(epoch FROM now()) / period) * period - n * period),
  'q' || task % 10, 't' || task, CASE WHEN task = 0 THEN 'failed' ELSE 'completed' END, $1::uuid,
  {_NUMBERS}
FROM (VALUES (60, 0, 2879), (3600, 48, 2159)) AS kept (period, first, last),
  generate_series(first, last) AS n, generate_series(0, 19) AS task
""",
    "sqlite": f"""
INSERT INTO rollup {_COUNTED}
WITH RECURSIVE step(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM step WHERE n < 2879),
task(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM task WHERE n < 19),
kept(period, first, last) AS (VALUES (60, 0, 2879), (3600, 48, 2159))
SELECT period, CAST(:now / period AS INTEGER) * period - step.n * period, 'q' || task.n % 10,
  't' || task.n, CASE WHEN task.n = 0 THEN 'failed' ELSE 'completed' END, :node, {_NUMBERS}
FROM kept JOIN step ON step.n BETWEEN first AND last, task
""",
}
BEATS_AHEAD: Final = "UPDATE elihu.node SET beat_at = now() + interval '1 day'"


async def fill(app: Elihu, jobs: int, runs: int) -> None:
    """Make the tables, and fill those of jobs and, with their commands, of runs."""
    await app.migrate("commands")
    await app.migrate("accounts")
    if runs:
        await _add_commands(app)
    await _execute(app, [(JOBS, {"jobs": jobs, "node": str(_NODE)})])
    if runs:
        await _execute(app, [(RUNS, {"runs": runs})])


async def fill_history(app: Elihu) -> None:
    """Add the events of the runs, and what each node counted in two days of minutes and 90
    of hours.
    """
    counts = [(ROLLUPS, {"node": node}) for node in _nodes()]
    await _execute(app, [(EVENTS, {}), *counts])


@asynccontextmanager
async def living_nodes(app: Elihu) -> AsyncIterator[None]:
    """Let the nodes of ``fill`` and ``fill_history`` count as living: their locks are held
    (SQLite), or their last heartbeat is a day ahead (PostgreSQL).
    """
    engine = engine_for(app.config, Bus())
    await engine.open()
    try:
        info: dict[str, object] = {"queues": {f"q{number}": 100 for number in range(10)}}
        for number, node in enumerate(_nodes()):
            await engine.deregister_node(node)
            await engine.register_node(node, f"node {number}", info)
        if engine.name == "postgres":
            connected = await asyncpg.connect(app.config.database_url)
            await connected.execute(BEATS_AHEAD)
            await connected.close()
        yield
    finally:
        await engine.close()


def _nodes() -> list[str]:
    return [str(_NODE if number == 0 else uuid5(_NODE, str(number))) for number in range(NODES)]


async def _add_commands(app: Elihu) -> None:
    scheduler = CommandScheduler(app)
    async with scheduler.sessions.begin(deadline=60) as session:
        places = [await environments.create(session, name=name) for name in ENVIRONMENTS]
        times = [
            await crons.create(session, name=f"cron {number}", expression=expression)
            for number, expression in enumerate(CRONS)
        ]
        for number in range(COMMANDS):
            command = await commands.create(session, name=f"command {number}", shell_command="true")
            await schedules.create(
                session,
                command_id=command.id,
                environment_ids=[place.id for place in places],
                cron_ids=[times[number % len(times)].id],
            )
    await scheduler.aclose()


async def _execute(app: Elihu, work: list[tuple[Mapping[str, str], Mapping[str, Any]]]) -> None:
    url = app.config.database_url
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        with connection:
            for statements, values in work:
                connection.execute(statements["sqlite"], {**values, "now": time.time()})
        connection.execute("ANALYZE")
        connection.close()
        return
    connected = await asyncpg.connect(url)
    await connected.execute("SET session_replication_role = replica")
    for statements, values in work:
        await connected.execute(statements["postgres"], *values.values())
    await connected.execute("VACUUM ANALYZE")
    await connected.close()
