"""One experiment: a database with a recorder, the processes at work on it, what was done to them, and the verdict."""

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from elihu import Elihu
from elihu.config import load_config
from oracle import journal, mutants
from oracle.checker import Findings, check, first_runs_after
from oracle.evidence import Answer, Attempt, Burial, Evidence, Harm, Injury, Recovery
from oracle.programs.plan import Plan
from oracle.programs.tasks import declare
from oracle.recording import Database

ROOT: Final = Path(__file__).parents[1]
LOOK: Final = 0.05
READY: Final = 60.0

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


class Missed(Exception):
    """What was waited for did not come in time."""


class Worker:
    """A process of the experiment."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log
        self.expected: set[int] = {0}

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.returncode is None


class Arena:
    """Starts, breaks and ends processes on one database; ``close`` ends what is left."""

    def __init__(self, url: str, folder: Path, *, seed: int, settings: Mapping[str, str] = QUICK, mutant: str | None = None) -> None:
        self.database = Database(url)
        self.folder = folder
        self.seed = seed
        self.chance = random.Random(seed)
        self.settings = dict(settings)
        self.mutant = mutant
        self.evidence = Evidence()
        self.injections = 0
        self.first_run_bound: float | None = None
        self.workers: list[Worker] = []
        self.url_of_nodes = url
        self._watchers: list[asyncio.Task[None]] = []
        self._reader = journal.Reader(folder)
        self._app: Elihu | None = None
        self._journal: journal.Journal | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def engine(self) -> str:
        """``sqlite`` or ``postgres``."""
        return "sqlite" if self.database.is_sqlite else "postgres"

    async def open(self) -> None:
        """Make the tables and begin to record."""
        config = load_config(keywords={"database_url": self.database.url}, read_files=False, read_environment=False)
        async with Elihu(config=config) as app:
            await app.migrate()
        await self.database.record()
        await mutants.break_tables(self.mutant, self.database)

    async def node(self, *, wrap: str = "", failpoint: str = "", plan: Plan | None = None, ready: bool = True, **settings: str) -> Worker:
        """Start a node; returns when it fetches."""
        environ = {"ORACLE_WRAP": wrap, "ELIHU_TEST_FAILPOINT": failpoint, "ORACLE_PLAN": plan.text() if plan else ""}
        return await self._start("node", environ, settings, ready=ready)

    async def nodes(self, number: int, *, wrap: str = "", **settings: str) -> list[Worker]:
        """Start some at once."""
        return list(await asyncio.gather(*(self.node(wrap=wrap, plan=None, ready=True, **settings) for _ in range(number))))

    async def producer(self, plan: Plan, *, failpoint: str = "", **settings: str) -> Worker:
        """Start a producer; returns when it begins."""
        program = {"transactions": "transactions", "awaited": "waiter"}.get(plan.how, "producer")
        return await self._start(program, {"ORACLE_PLAN": plan.text(), "ELIHU_TEST_FAILPOINT": failpoint}, settings)

    async def produce(self, plan: Plan) -> None:
        """Store all of a plan."""
        await self.end_of(await self.producer(plan), within=120 + plan.jobs / 100)

    async def produce_here(self, key: str, *, task: str = "oracle.wait", **arguments: object) -> int:
        """Store one job from this process; its id."""
        if self._app is None:
            config = load_config(keywords={"database_url": self.database.url}, read_files=False, read_environment=False)
            self._app = Elihu(config=config)
            self._journal = journal.Journal(self.folder, "arena")
            declare(self._app)
        assert self._journal is not None
        self._journal.write("intent", key=key)
        stored = await self._app.aenqueue(self._app.task_named(task).build(key=key, **arguments))
        self._journal.write("acknowledged", key=key, id=stored.id)
        return stored.id

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
        """Note that all were without their database for longer than it takes to be taken for dead."""
        self.evidence.injuries.append(Injury(Harm.CUT, None, time.time()))

    def injected(self, number: int = 1) -> None:
        """Count faults that hurt no process."""
        self.injections += number

    def recovered(self, what: str, seconds: float, bound: float) -> None:
        """Note how long something took to work again."""
        self.evidence.recoveries.append(Recovery(what, seconds, bound))

    # waiting

    async def until(self, done: Callable[[], bool] | Callable[[], Awaitable[bool]], *, within: float, what: str) -> None:
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
        """Return when no job is unfinished, or after ``within`` seconds all the same: the checker tells."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if not await self.database.unfinished():
                return
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
        self.recovered(what, min(line["at"] for line in self.lines("elected") if line["at"] > since) - since, bound)

    async def begun_again(self, since: float, what: str, bound: float) -> None:
        """Note how long after ``since`` the next attempt began."""
        await self.until(lambda: any(line["at"] > since for line in self.lines("begin")), within=bound * 2 + 5, what=what)
        self.recovered(what, min(line["at"] for line in self.lines("begin") if line["at"] > since) - since, bound)

    # the end

    async def verdict(self) -> Findings:
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
        await self._gather()
        if self.first_run_bound is not None:
            for _, seconds in first_runs_after(self.evidence, {Harm.KILL, Harm.DIED}):
                self.recovered("the first time that a job's node died, its next attempt", seconds, self.first_run_bound)
        return check(self.evidence)

    async def close(self) -> None:
        """Kill what still runs."""
        if self._app is not None:
            await self._app.aclose()
        for worker in self.workers:
            if worker.alive:
                worker.process.kill()
                await worker.process.wait()

    async def _gather(self) -> None:
        evidence = self.evidence
        evidence.intended |= {line["key"] for line in self.lines("intent")}
        evidence.bound |= {line["key"] for line in self.lines("intent") if line.get("beside")}
        evidence.awaited |= {line["key"] for line in self.lines("intent") if line.get("awaited")}
        evidence.answers += [Answer(line["key"], line["right"], line["got"]) for line in self.lines("answer")]
        evidence.acknowledged += [(line["key"], line["id"]) for line in self.lines("acknowledged")]
        evidence.nodes |= {line["node"]: line["pid"] for kind in ("node", "reborn") for line in self.lines(kind)}
        evidence.burials += [Burial(line["dead"], line["at"]) for line in self.lines("buried")]
        evidence.burials += [Burial(line["buried"], line["at"]) for line in self.lines("reborn")]
        evidence.elections += [(line["at"], line["node"]) for line in self.lines("elected")]
        ends = {(line["id"], line["claim"]): line["at"] for line in self.lines("end")}
        evidence.attempts += [
            Attempt(line["id"], line["claim"], line["key"], line["pid"], line["node"], line["at"], ends.get((line["id"], line["claim"])))
            for line in self.lines("begin")
        ]
        for path in self.folder.glob("effects-*.db"):
            with closing(sqlite3.connect(path)) as connection:
                evidence.effects += connection.execute("SELECT id, claim, key FROM effect").fetchall()
        await self.database.read(evidence)

    async def _watch(self, worker: Worker) -> None:
        """Note that a process killed itself, as it was asked to."""
        if await worker.process.wait() == -signal.SIGKILL and worker.pid not in {injury.pid for injury in self.evidence.injuries}:
            self._injure(Harm.DIED, worker)

    def _look_at(self, worker: Worker) -> None:
        status = worker.process.returncode
        if status not in worker.expected:
            self.evidence.problems.append(f"process {worker.pid} ended with {status}, expected {sorted(worker.expected)}")
        said = worker.log.read_text(errors="replace")
        if "Traceback" in said and status not in worker.expected - {0}:
            self.evidence.problems.append(f"process {worker.pid} logged: {said[said.index('Traceback') :][:2_000]}")

    def _injure(self, harm: str, worker: Worker) -> None:
        if harm in {Harm.KILL, Harm.DIED}:
            worker.expected = {-signal.SIGKILL}
        self.injections += 1
        self.evidence.injuries.append(Injury(harm, worker.pid, time.time()))

    async def _start(self, program: str, environ: Mapping[str, str], settings: Mapping[str, str], *, ready: bool = True) -> Worker:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("ELIHU_", "ORACLE_"))}
        own = {f"ELIHU_{name}": value for name, value in {**self.settings, **settings}.items()}
        fixed = {
            "ELIHU_DATABASE_URL": self.url_of_nodes,
            "ORACLE_FOLDER": str(self.folder),
            "ORACLE_MUTANT": self.mutant or "",
            "ORACLE_SEED": str(self.chance.randrange(2**31)),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]),
        }
        log = self.folder / f"{program}-{len(self.workers)}.log"
        with log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", f"oracle.programs.{program}"),
                cwd=self.folder,
                env=inherited | own | fixed | dict(environ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
            )
        worker = Worker(process, log)
        if any(worker.pid == other.pid for other in self.workers):
            process.kill()  # the journals tell processes apart by their numbers, and the system has begun to give them again
            await process.wait()
            return await self._start(program, environ, settings, ready=ready)
        self.workers.append(worker)
        if environ.get("ELIHU_TEST_FAILPOINT"):
            self._watchers.append(asyncio.create_task(self._watch(worker)))
        if ready:
            await self.ready(worker)
        return worker

    async def ready(self, worker: Worker) -> None:
        """Return when the process says that it works, or has killed itself before that. Raises ``Missed``."""
        assert worker.process.stdout
        line = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READY):
                line = await worker.process.stdout.readline()
                if not line:
                    await worker.process.wait()
        if line.strip() != b"ready" and worker.process.returncode != -signal.SIGKILL:
            raise Missed(
                f"expected process {worker.pid} to work within {READY:g} s; it says:\n{worker.log.read_text(errors='replace')[-2_000:]}"
            )
