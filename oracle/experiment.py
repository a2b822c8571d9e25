"""One experiment: a database with a recorder, the processes at work on it, what was
done to them, and the verdict.
"""

import asyncio
import contextlib
import math
import os
import random
import signal
import sqlite3
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from elihu import Elihu
from elihu.config import load_config
from elihu.errors import InvalidTransition
from elihu.job import JobState
from oracle import journal, mutants
from oracle.checker import CLOCKS, Findings, check, ends_after_wishes, first_runs_after
from oracle.evidence import Answer, Attempt, Burial, Evidence, Harm, Injury, Recovery, Wish
from oracle.fork_server import Forge, Forked
from oracle.programs.plan import Plan
from oracle.programs.tasks import declare
from oracle.recording import Database, tick_key

ROOT: Final = Path(__file__).parents[1]
LOOK: Final = 0.05
READY: Final = 180.0
LEAVING: Final = 5.0
"""Seconds in which children of processes that are gone must be gone too."""

QUICK: Final[Mapping[str, str]] = {
    "POLL": "2",
    "POLL_FALLBACK": "0.5",
    "HEARTBEAT": "0.4",
    "DEAD_AFTER": "4",
    "CALL_TIMEOUT": "2",
    "LEASE": "2",
    "GRACE": "5",
    "STAGER__INTERVAL": "0.1",
    "LIFELINE__INTERVAL": "1",
}
"""Settings that make a node's services quick; without them it has its defaults."""

ENDED: Final = 10.0
"""Seconds within which, with the quick settings, an attempt ends whose end was asked
for, of its own accord or by force.
"""

SETTLED: Final = 3.0
"""Seconds after a tick from which on it must have been fired, with the quick settings,
if a node leads.
"""


class Missed(Exception):
    """What was waited for did not come in time."""


class Worker:
    """A process of the experiment."""

    def __init__(self, process: asyncio.subprocess.Process | Forked, log: Path) -> None:
        self.process = process
        self.log = log
        self.expected: set[int] = {0}

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.returncode is None


class Experiment:
    """Starts, breaks and ends processes on one database; ``close`` ends what is left."""

    def __init__(
        self,
        url: str,
        folder: Path,
        *,
        seed: int,
        settings: Mapping[str, str] = QUICK,
        mutant: str | None = None,
    ) -> None:
        self.database = Database(url)
        self.folder = folder
        self.seed = seed
        self.chance = random.Random(seed)
        self.settings = dict(settings)
        self.mutant = mutant
        self.evidence = Evidence()
        self.injections = 0
        self.first_run_bound: float | None = None
        self.entries: dict[str, int] = {}
        self.workers: list[Worker] = []
        self.url_of_nodes = url
        self._watchers: list[asyncio.Task[None]] = []
        self._reader = journal.Reader(folder)
        self._forge = Forge()
        self._app: Elihu | None = None
        self._journal: journal.Journal | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def engine(self) -> str:
        """``sqlite`` or ``postgres``."""
        return "sqlite" if self.database.is_sqlite else "postgres"

    async def open(self) -> None:
        """Make the tables and begin to record."""
        config = load_config(
            keywords={"database_url": self.database.url}, read_files=False, read_environment=False
        )
        async with Elihu(config=config) as app:
            await app.migrate()
        await self.database.record()
        await mutants.break_tables(self.mutant, self.database)

    async def node(
        self,
        *,
        wrap: str = "",
        failpoint: str = "",
        plan: Plan | None = None,
        ready: bool = True,
        **settings: str,
    ) -> Worker:
        """Start a node; returns when it fetches."""
        environ = {
            "ORACLE_WRAP": wrap,
            "ELIHU_TEST_FAILPOINT": failpoint,
            "ORACLE_PLAN": plan.text() if plan else "",
        }
        return await self._start("node", environ, settings, ready=ready)

    async def nodes(self, number: int, *, wrap: str = "", **settings: str) -> list[Worker]:
        """Start some at once."""
        return list(
            await asyncio.gather(
                *(self.node(wrap=wrap, plan=None, ready=True, **settings) for _ in range(number))
            )
        )

    async def producer(self, plan: Plan, *, failpoint: str = "", **settings: str) -> Worker:
        """Start a producer; returns when it begins."""
        program = {"transactions": "transactions", "awaited": "waiter"}.get(plan.how, "producer")
        return await self._start(
            program, {"ORACLE_PLAN": plan.text(), "ELIHU_TEST_FAILPOINT": failpoint}, settings
        )

    async def produce(self, plan: Plan) -> None:
        """Store all of a plan."""
        await self.end_of(await self.producer(plan), within=120 + plan.jobs / 100)

    async def produce_here(
        self, key: str, *, task: str = "oracle.wait", **arguments: object
    ) -> int:
        """Store one job from this process; its id."""
        app, lines = self._here()
        lines.write("intent", key=key)
        stored = await app.aenqueue(app.task_named(task).build(key=key, **arguments))
        lines.write("acknowledged", key=key, id=stored.id)
        return stored.id

    async def entry(self, name: str, *, behind: int = 0) -> None:
        """Make a cron entry that fires every minute and catches up on all that it
        missed; ``behind`` of them it has missed already.
        """
        app, _ = self._here()
        await app.crons.create(
            name, "* * * * *", "oracle.wait", args={"key": name}, catch_up="all", paused=True
        )
        first = math.floor(time.time() / 60 - behind) * 60 + 60
        shift = "{}" if self.engine == "sqlite" else "to_timestamp({})"
        settled = shift.format(first - 30)
        await self.database.change(
            f"UPDATE {{elihu}}cron SET paused = false, last_tick = {settled} WHERE name = '{name}'"
        )
        self.entries[name] = first

    async def ticks_fired(self, *, within: float) -> None:
        """Return when what is due of all entries has its jobs, or after ``within``
        seconds all the same; then no more are fired.
        """
        app, _ = self._here()
        deadline = time.monotonic() + within
        while True:
            minute = math.floor((time.time() - SETTLED) / 60) * 60
            self.evidence.due = {
                tick_key(name, at)
                for name, first in self.entries.items()
                for at in range(first, minute + 1, 60)
            }
            if await self.database.ticks() >= len(self.evidence.due) or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.2)
        for name, first in self.entries.items():
            await app.crons.pause(name)
            self.evidence.intended |= {
                tick_key(name, at) for at in range(first, math.ceil(time.time()) + 1, 60)
            }

    async def intent(self, verb: str, job_id: int) -> None:
        """``cancel``, ``kill`` or ``stop`` this job, from this process."""
        jobs = self._here()[0].jobs
        asked = time.time()
        changed = True
        if verb == "stop":
            try:
                await jobs.stop(job_id)
            except InvalidTransition:
                changed = False
        else:
            changed = await (jobs.kill if verb == "kill" else jobs.cancel)(job_id) > 0
        self.injections += changed
        self.evidence.wishes.append(Wish(job_id, verb, asked, time.time(), changed))

    def _is_ready(self, worker: Worker) -> bool:
        return any(line["pid"] == worker.pid for line in self.lines("ready"))

    # what is done to processes

    async def kill(self, worker: Worker) -> None:
        """SIGKILL."""
        if worker.alive:
            self._injure(Harm.KILL, worker)
            worker.process.send_signal(signal.SIGKILL)
            await worker.process.wait()

    def freeze(self, worker: Worker) -> None:
        """SIGSTOP."""
        self._injure(Harm.FREEZE, worker)
        worker.process.send_signal(signal.SIGSTOP)

    def thaw(self, worker: Worker) -> None:
        """SIGCONT."""
        worker.process.send_signal(signal.SIGCONT)

    def terminate(self, worker: Worker) -> None:
        """SIGTERM, as an injury: running attempts may be given back."""
        if worker.alive:
            self._injure(Harm.STOP, worker)
            worker.process.send_signal(signal.SIGTERM)

    @property
    def deaths(self) -> int:
        """How many processes have killed themselves."""
        return sum(injury.harm == Harm.DIED for injury in self.evidence.injuries)

    def cut(self) -> None:
        """Note that all were without their database for longer than it takes to be
        taken for dead.
        """
        self.evidence.injuries.append(Injury(Harm.CUT, None, time.time()))

    def injected(self, number: int = 1) -> None:
        """Count faults that hurt no process."""
        self.injections += number

    def recovered(self, what: str, seconds: float, bound: float) -> None:
        """Note how long something took to work again."""
        self.evidence.recoveries.append(Recovery(what, seconds, bound))

    # waiting

    async def until(
        self, done: Callable[[], bool] | Callable[[], Awaitable[bool]], *, within: float, what: str
    ) -> None:
        """Look again and again. Raises ``Missed``."""
        deadline = time.monotonic() + within
        while True:
            found = done()
            if found if isinstance(found, bool) else await found:
                return
            if time.monotonic() > deadline:
                raise Missed(f"expected {what} within {within:g} s")
            await asyncio.sleep(LOOK)

    async def drained(self, *, within: float, hurry: bool = False) -> None:
        """Return when no job is unfinished, or when for ``within`` seconds none has
        ended: the checker tells.
        """
        fewest = math.inf
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if not (left := await self.database.unfinished()):
                return
            if left < fewest:
                fewest, deadline = left, time.monotonic() + within
            if hurry:
                await self.database.hurry()
            await asyncio.sleep(0.2)

    async def end_of(self, worker: Worker, *, within: float) -> None:
        """Wait for a process's end."""
        try:
            async with asyncio.timeout(within):
                await worker.process.wait()
        except TimeoutError:
            raise Missed(f"expected process {worker.pid} to end within {within:g} s") from None

    def lines(self, kind: str) -> list[dict[str, Any]]:
        """The lines of this kind in all journals so far."""
        self._reader.look()
        return self._reader.lines[kind]

    def begun(self) -> int:
        """How many attempts have begun."""
        return len(self.lines("begin"))

    def has_begun(self, number: int) -> bool:
        """Whether as many attempts have."""
        return self.begun() >= number

    def has_begun_in(self, worker: Worker) -> bool:
        """Whether an attempt has begun in this process."""
        return any(line["pid"] == worker.pid for line in self.lines("begin"))

    def running(self) -> list[int]:
        """The jobs of which the last attempt has begun and not ended, as far as
        processes wrote.
        """
        last: dict[int, bool] = {}
        both = [
            line
            for kind in ("begin", "end", "child begin", "child end")
            for line in self.lines(kind)[-1_000:]
        ]
        for line in sorted(both, key=lambda line: line["at"]):
            last[line["id"]] = line["kind"].endswith("begin")
        return [job_id for job_id, runs in last.items() if runs]

    def ended(self, key: str) -> bool:
        """Whether an attempt of the job of this key has ended."""
        ids = {line["id"] for line in self.lines("begin") if line["key"] == key}
        return any(line["id"] in ids for line in self.lines("end"))

    def leader(self) -> Worker | None:
        """The process whose node was elected last."""
        if not (elected := self.lines("elected")):
            return None
        pid = max(elected, key=lambda line: line["at"])["pid"]
        return next((worker for worker in self.workers if worker.pid == pid and worker.alive), None)

    def elected_since(self, when: float) -> bool:
        """Whether a leader was elected after that moment."""
        return any(line["at"] > when for line in self.lines("elected"))

    async def elected_after(self, since: float, what: str, bound: float) -> None:
        """Note how long after ``since`` a new leader was elected."""
        await self.until(lambda: self.elected_since(since), within=bound * 2 + 5, what=what)
        self.recovered(
            what,
            min(line["at"] for line in self.lines("elected") if line["at"] > since) - since,
            bound,
        )

    async def begun_again(self, since: float, what: str, bound: float) -> None:
        """Note how long after ``since`` the next attempt began."""
        await self.until(
            lambda: any(line["at"] > since for line in self.lines("begin")),
            within=bound * 2 + 5,
            what=what,
        )
        self.recovered(
            what,
            min(line["at"] for line in self.lines("begin") if line["at"] > since) - since,
            bound,
        )

    # the end

    async def ack_status(self) -> Findings:
        """Stop what runs, gather everything and judge it."""
        for worker in self.workers:
            if worker.alive:
                worker.process.send_signal(signal.SIGCONT)
                worker.process.send_signal(signal.SIGTERM)
        for worker in self.workers:
            try:
                await self.end_of(worker, within=40)
            except Missed as missed:
                self.evidence.problems.append(str(missed))
                worker.process.kill()
                await worker.process.wait()
            self._look_at(worker)
        await asyncio.gather(*self._watchers)
        await self._survivors()
        await self._gather()
        if self.first_run_bound is not None:
            for _, seconds in first_runs_after(self.evidence, {Harm.KILL, Harm.DIED}):
                self.recovered(
                    "the first time that a job's node died, its next attempt",
                    seconds,
                    self.first_run_bound,
                )
        for seconds in ends_after_wishes(self.evidence):
            self.recovered("the end of an attempt after it was asked for", seconds, ENDED)
        return check(self.evidence)

    async def close(self) -> None:
        """Kill what still runs."""
        if self._app is not None:
            await self._app.aclose()
        for worker in self.workers:
            if worker.alive:
                worker.process.kill()
                await worker.process.wait()
        await self._forge.close()

    def _here(self) -> tuple[Elihu, journal.Journal]:
        if self._app is None or self._journal is None:
            config = load_config(
                keywords={"database_url": self.database.url},
                read_files=False,
                read_environment=False,
            )
            self._app = Elihu(config=config)
            self._journal = journal.Journal(self.folder, "arena")
            declare(self._app)
        return self._app, self._journal

    async def _gather(self) -> None:
        evidence = self.evidence
        evidence.intended |= {line["key"] for line in self.lines("intent")}
        evidence.bound |= {line["key"] for line in self.lines("intent") if line.get("beside")}
        evidence.once |= {line["key"] for line in self.lines("intent") if line.get("once")}
        evidence.timed |= {line["key"] for line in self.lines("intent") if line.get("timed")}
        evidence.awaited |= {line["key"] for line in self.lines("intent") if line.get("awaited")}
        evidence.answers += [
            Answer(line["key"], line["right"], line["got"]) for line in self.lines("answer")
        ]
        evidence.acknowledged += [(line["key"], line["id"]) for line in self.lines("acknowledged")]
        evidence.nodes |= {
            line["node"]: line["pid"] for kind in ("node", "reborn") for line in self.lines(kind)
        }
        evidence.burials += [Burial(line["dead"], line["at"]) for line in self.lines("buried")]
        evidence.burials += [Burial(line["buried"], line["at"]) for line in self.lines("reborn")]
        evidence.elections += [(line["at"], line["node"]) for line in self.lines("elected")]
        ends = {(line["id"], line["claim"]): line["at"] for line in self.lines("end")}
        evidence.attempts += [
            Attempt(
                line["id"],
                line["claim"],
                line["key"],
                line["pid"],
                line["node"],
                line["at"],
                ends.get((line["id"], line["claim"])),
            )
            for line in self.lines("begin")
        ]
        for path in self.folder.glob("effects-*.db"):
            with closing(sqlite3.connect(path)) as connection:
                evidence.effects += connection.execute(
                    "SELECT id, claim, key FROM effect"
                ).fetchall()
        await self.database.read(evidence)
        self._gather_children()

    def _gather_children(self) -> None:
        """What children wrote, with the claims of their attempts: of those that their
        node had made, the last that nobody else wrote of. An attempt that was stopped
        while its child started begins after the next one may have begun.
        """
        made: defaultdict[tuple[int, int | None], list[tuple[float, int, str]]] = defaultdict(list)
        for change in self.evidence.changes:
            if change.after == JobState.EXECUTING and change.node:
                made[change.job_id, self.evidence.nodes.get(change.node)].append(
                    (change.at, change.claim, change.node)
                )
        ends = {
            (line["id"], line["pid"], line["begun"]): line["at"] for line in self.lines("child end")
        }
        claims: dict[tuple[int, int, float], int] = {}
        for line in sorted(self.lines("child begin"), key=lambda line: line["at"]):
            which = line["id"], line["pid"], line["begun"]
            mine = made[line["id"], line["node_pid"]]
            _, claim, node = before = next(
                each for each in reversed(mine) if each[0] <= line["at"] + CLOCKS
            )
            mine.remove(before)
            claims[which] = claim
            self.evidence.attempts.append(
                Attempt(
                    line["id"],
                    claim,
                    line["key"],
                    line["node_pid"],
                    node,
                    line["at"],
                    ends.get(which),
                )
            )
        self.evidence.effects += [
            (line["id"], claims[line["id"], line["pid"], line["begun"]], line["key"])
            for line in self.lines("child effect")
        ]

    async def _survivors(self) -> None:
        """Note the processes of this experiment that live on when those which it
        started are gone.
        """
        mark = f"ORACLE_FOLDER={self.folder}"
        with contextlib.suppress(Missed):
            await self.until(lambda: not _processes_with(mark), within=LEAVING, what="nobody left")
        left = _processes_with(mark)
        self.evidence.problems += [
            f"process {pid} lives on: {command}" for pid, command in left.items()
        ]
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    async def _watch(self, worker: Worker) -> None:
        """Note that a process killed itself, as it was asked to."""
        if await worker.process.wait() == -signal.SIGKILL and worker.pid not in {
            injury.pid for injury in self.evidence.injuries
        }:
            self._injure(Harm.DIED, worker)

    def _look_at(self, worker: Worker) -> None:
        status = worker.process.returncode
        if status not in worker.expected:
            self.evidence.problems.append(
                f"process {worker.pid} ended with {status}, expected {sorted(worker.expected)}"
            )
        said = worker.log.read_text(errors="replace")
        if "Traceback" in said and status not in worker.expected - {0}:
            self.evidence.problems.append(
                f"process {worker.pid} logged: {said[said.index('Traceback') :][:2_000]}"
            )

    def _injure(self, harm: str, worker: Worker) -> None:
        if harm in {Harm.KILL, Harm.DIED}:
            worker.expected = {-signal.SIGKILL}
        self.injections += 1
        self.evidence.injuries.append(Injury(harm, worker.pid, time.time()))

    async def _start(
        self,
        program: str,
        environ: Mapping[str, str],
        settings: Mapping[str, str],
        *,
        ready: bool = True,
    ) -> Worker:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("ELIHU_", "ORACLE_"))
        }
        own = {f"ELIHU_{name}": value for name, value in {**self.settings, **settings}.items()}
        fixed = {
            "ELIHU_DATABASE_URL": self.url_of_nodes,
            "ORACLE_FOLDER": str(self.folder),
            "ORACLE_MUTANT": self.mutant or "",
            "ORACLE_SEED": str(self.chance.randrange(2**31)),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
        }
        log = self.folder / f"{program}-{len(self.workers)}.log"
        process: asyncio.subprocess.Process | Forked
        if program == "transactions":  # whose imports are too many for the others
            with log.open("wb") as stderr:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", f"oracle.programs.{program}"),
                    cwd=self.folder,
                    env=inherited | own | fixed | dict(environ),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=stderr,
                )
        else:
            process = await self._forge.start(
                program, inherited | own | fixed | dict(environ), self.folder, log
            )
        worker = Worker(process, log)
        if any(worker.pid == other.pid for other in self.workers):
            # the journals tell processes apart by their numbers, and the system has
            # begun to give them again
            process.kill()
            await process.wait()
            return await self._start(program, environ, settings, ready=ready)
        self.workers.append(worker)
        if environ.get("ELIHU_TEST_FAILPOINT"):
            self._watchers.append(asyncio.create_task(self._watch(worker)))
        if ready:
            await self.ready(worker)
        return worker

    async def ready(self, worker: Worker) -> None:
        """Return when the process says that it works, or has killed itself before that.
        Raises ``Missed``.
        """
        with contextlib.suppress(Missed):
            await self.until(
                lambda: not worker.alive or self._is_ready(worker), within=READY, what="readiness"
            )
        if not self._is_ready(worker) and worker.process.returncode != -signal.SIGKILL:
            raise Missed(
                f"expected process {worker.pid} to work within {READY:g} s; it "
                f"says:\n{worker.log.read_text(errors='replace')[-2_000:]}"
            )


def _processes_with(variable: str) -> dict[int, str]:
    """The living processes that have this variable in their environment, with what they
    run.
    """
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if variable.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found[int(folder.name)] = (
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
    return found
