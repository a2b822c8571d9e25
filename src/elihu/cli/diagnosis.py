"""What ``elihu doctor`` looks at: one function for each check, which says what it found
and what to do.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal

from elihu.api.queues import Queue
from elihu.app import Elihu
from elihu.engines.protocol import Engine, NodeRow
from elihu.engines.protocol.diagnosis import Vitals
from elihu.errors import ElihuError, SchemaError

State = Literal["ok", "warning", "failed", "skipped"]

CLOCK_FAILED: Final = 5.0
CLOCK_WARNING: Final = 1.0
"""Seconds by which the clock of the database may differ from this machine's."""
STUCK: Final = 60.0
"""Seconds that a due job may wait in a queue with free slots."""
FULL: Final = 0.9
"""The share of the connections that may be in use."""
DEAD_ROWS: Final = 100_000
SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check. ``advice`` says what to do, None where nothing is to do."""

    check: str
    state: State
    text: str
    advice: str | None = None


@dataclass(frozen=True, slots=True)
class Patient:
    """What the checks look at. ``nodes`` live; nobody has removed the row of ``dead`` ones."""

    app: Elihu
    engine: Engine
    vitals: Vitals
    off: float
    nodes: list[NodeRow]
    dead: list[NodeRow]
    queues: list[Queue]


Check = Callable[[Patient], Awaitable[Finding]]


async def diagnose(app: Elihu) -> list[Finding]:
    """The findings of all checks, in their order. Where the database or its tables fail,
    the others are skipped.
    """
    client = app._clients.client()
    began = time.monotonic()
    try:
        engine = await client.connect(make=False)
        version = await engine.schema_version()
    except SchemaError as error:
        return [_tables(error), *_skipped("the tables are not usable")]
    except ElihuError as error:
        advice = "check database_url, the network and the server"
        return [
            Finding("database", "failed", str(error), advice),
            *_skipped("the database does not answer", "tables"),
        ]
    took = time.monotonic() - began
    found = [Finding("database", "ok", f"{app.config.describe_database()} answers in {took:.2g} s")]
    try:
        if version == 0:
            raise SchemaError("expected the tables of Elihu, got none")
        await engine.check_schema()
    except ElihuError as error:
        return [*found, _tables(error), *_skipped("the tables are not usable")]
    found.append(Finding("tables", "ok", f"version {version}"))
    patient = await _patient(app, engine)
    return [*found, *[await check(patient) for check in CHECKS.values()]]


async def _patient(app: Elihu, engine: Engine) -> Patient:
    before = time.time()
    vitals = await engine.vitals()
    off = vitals.now.timestamp() - (before + time.time()) / 2
    nodes = [node for node in await engine.nodes() if not node.info.get("once")]
    living = [node for node in nodes if not node.dead]
    dead = [node for node in nodes if node.dead]
    return Patient(app, engine, vitals, off, living, dead, await app.queues.list(most=1_000))


async def clock(patient: Patient) -> Finding:
    """The clock of the database against this machine's."""
    text = f"the database's clock is {abs(patient.off):.1f} s "
    text += "ahead of this machine's" if patient.off > 0 else "behind this machine's"
    if abs(patient.off) >= CLOCK_WARNING:
        state: State = "failed" if abs(patient.off) >= CLOCK_FAILED else "warning"
        return Finding("clock", state, text, "synchronise both machines by NTP")
    return Finding("clock", "ok", text)


async def notifications(patient: Patient) -> Finding:
    """Whether an announcement comes back."""
    notifier = patient.engine.notifier()
    await notifier.start(lambda signal: None)
    try:
        arrived = await notifier.probe()
    finally:
        await notifier.stop()
    if arrived:
        return Finding("notifications", "ok", "an announcement came back")
    return Finding(
        "notifications",
        "failed",
        "an announcement did not come back within 2 s: nodes poll instead",
        "let listen_url (or database_url) lead to the same database without a pooler in "
        "transaction mode",
    )


async def leader(patient: Patient) -> Finding:
    """Whether a node leads."""
    leading = [node for node in patient.nodes if node.leader]
    if leading:
        return Finding("leader", "ok", f"node {leading[0].name} ({leading[0].id[:8]}) leads")
    if not patient.nodes:
        return Finding(
            "leader",
            "warning",
            "no node runs: jobs wait",
            'start one with "elihu start", or run "elihu tick" by cron',
        )
    return Finding(
        "leader",
        "failed",
        f"{len(patient.nodes)} nodes run and none leads: nothing is staged, fired or rescued",
        "look into the logs of the nodes for failures of the leader service, and restart one",
    )


async def nodes(patient: Patient) -> Finding:
    """Whether every registered node lives."""
    if patient.dead:
        names = ", ".join(f"{node.name} ({node.id[:8]})" for node in patient.dead[:SHOWN])
        sign = f"no heartbeat within {patient.app.config.dead_after:g} s of"
        if patient.dead[0].beat_at is None:
            sign = "nobody holds the lock of"
        return Finding(
            "nodes",
            "failed",
            f"{sign} {names}",
            "a living node removes them and rescues their jobs; if none runs, start one",
        )
    return Finding("nodes", "ok", f"{len(patient.nodes)} run")


async def abandoned(patient: Patient) -> Finding:
    """Attempts that did not end when they were asked to."""
    counts = {node.id: count for node in patient.nodes if (count := _abandoned(node))}
    if not counts:
        return Finding("abandoned", "ok", "no attempt is abandoned")
    worst = max(counts.values())
    full = worst >= patient.app.config.max_abandoned
    names = ", ".join(
        f"{node.name}: {counts[node.id]}" for node in patient.nodes if node.id in counts
    )
    return Finding(
        "abandoned",
        "failed" if full else "warning",
        f"abandoned attempts still run ({names})"
        + ("; such a node fetches no more jobs of their kind" if full else ""),
        "give blocking calls time limits of their own, or use run_in='process'; restart the node",
    )


def _abandoned(node: NodeRow) -> int:
    count = node.info.get("abandoned", 0)
    return count if isinstance(count, int) else 0


async def queues(patient: Patient) -> Finding:
    """Queues in which due jobs wait though they could run."""
    problems: list[str] = []
    for queue in patient.queues:
        waited = queue.longest_wait or 0.0
        if not queue.available or waited < STUCK:
            continue
        serving = [each for each in queue.nodes if not each.paused]
        free = sum(max(0, each.limit - each.executing) for each in serving)
        waits = f"{queue.name}: {queue.available:,} jobs wait up to {waited:,.0f} s"
        if queue.paused:
            problems.append(f"{waits}, it is paused (elihu queues resume {queue.name})")
        elif not queue.nodes:
            problems.append(
                f"{waits}, no node serves it (elihu start --queues {queue.name}=10, or elihu "
                f"queues start {queue.name})"
            )
        elif free:
            problems.append(f"{waits} beside {free} free slots (restart its nodes)")
        else:
            problems.append(
                f"{waits}, all slots are taken (elihu queues scale {queue.name}, or more nodes)"
            )
    if problems:
        return Finding("queues", "failed", "; ".join(problems[:SHOWN]), "as each line says")
    return Finding("queues", "ok", f"no due job waits longer than {STUCK:g} s")


async def tasks(patient: Patient) -> Finding:
    """Jobs of tasks that no living node and not this app knows."""
    known = {name for node in patient.nodes for name in _tasks_of(node)}
    if not patient.nodes and not patient.app.task_names():
        return Finding("tasks", "skipped", "no node runs and no app is loaded: name one by --app")
    known.update(patient.app.task_names())
    waiting = await patient.engine.waiting_tasks()
    unknown: dict[str, int] = {}
    for row in waiting:
        if row.task not in known:
            unknown[row.task] = unknown.get(row.task, 0) + row.jobs
    if unknown:
        names = ", ".join(f"{name} ({jobs:,} jobs)" for name, jobs in list(unknown.items())[:SHOWN])
        return Finding(
            "tasks",
            "failed",
            f"no node knows {names}",
            "start nodes whose code declares them, or keep the old names as aliases=, or delete "
            "the jobs",
        )
    return Finding("tasks", "ok", f"all {len({row.task for row in waiting})} are known")


def _tasks_of(node: NodeRow) -> list[str]:
    names = node.info.get("tasks")
    return names if isinstance(names, list) else []


async def connections(patient: Patient) -> Finding:
    """How many connections of the server are in use."""
    used, most = patient.vitals.connections, patient.vitals.most_connections
    if used is None or most is None:
        return Finding("connections", "skipped", "SQLite has none")
    text = f"{used} of {most} are in use"
    if used >= FULL * most:
        return Finding(
            "connections",
            "failed",
            text,
            "raise max_connections, lower the setting connections, or put a pooler before it",
        )
    return Finding("connections", "ok", text)


async def storage(patient: Patient) -> Finding:
    """The file system, or the table of jobs."""
    vitals = patient.vitals
    if vitals.network_file_system is not None:
        return Finding(
            "storage",
            "failed",
            f"the database is on a network file system ({vitals.network_file_system}): locks and "
            "WAL do not work there, and it may be damaged",
            "move it to a local disk, or use PostgreSQL",
        )
    if vitals.dead_rows is None or vitals.live_rows is None:
        return Finding("storage", "ok", "a local file system")
    text = f"{vitals.dead_rows:,} dead and {vitals.live_rows:,} living rows of jobs"
    if vitals.dead_rows > max(DEAD_ROWS, 5 * vitals.live_rows):
        return Finding(
            "storage",
            "warning",
            text,
            "end transactions that are open for long, and look whether autovacuum runs",
        )
    return Finding("storage", "ok", text)


async def secrets(patient: Patient) -> Finding:
    """Whether the key of the command scheduler's secrets is there, if one is stored."""
    if not await patient.engine.schema_version("commands"):
        return Finding("secrets", "skipped", "the command scheduler is not used")
    try:
        from elihu.commands.rules.secrets import any_stored
        from elihu.commands.secrets import load_keyring
        from elihu.orm.sessions import Sessions
    except ModuleNotFoundError:
        return Finding("secrets", "skipped", "elihu[commands] is not installed here")
    try:
        keyring = load_keyring(patient.app.config)
    except ElihuError as error:
        return Finding("secrets", "failed", str(error), "mend the file, or set ELIHU_SECRET_KEY")
    if keyring.current is None:
        sessions = Sessions(patient.app)
        try:
            async with sessions.read() as session:
                stored = await any_stored(session)
        finally:
            await sessions.aclose()
        if not stored:
            return Finding("secrets", "ok", "none is stored, and there is no key")
        return Finding(
            "secrets",
            "failed",
            "there is no key: secrets can be neither stored nor read",
            "copy the key file of the other machines, or set ELIHU_SECRET_KEY; elihu up makes one",
        )
    return Finding("secrets", "ok", f"key {keyring.current}")


CHECKS: Final[dict[str, Check]] = {
    "clock": clock,
    "notifications": notifications,
    "leader": leader,
    "nodes": nodes,
    "abandoned": abandoned,
    "queues": queues,
    "tasks": tasks,
    "connections": connections,
    "storage": storage,
    "secrets": secrets,
}


def _tables(error: ElihuError) -> Finding:
    return Finding("tables", "failed", str(error), 'run "elihu migrate" of the newest release')


def _skipped(why: str, *first: str) -> list[Finding]:
    return [Finding(name, "skipped", why) for name in (*first, *CHECKS)]
