"""One experiment: a database with a recorder, the processes that use it, the faults
injected into them, and the findings.
"""

import asyncio
import math
import random
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from elihu import Elihu
from elihu.config import load_config
from elihu.errors import InvalidTransition
from oracle import mutants
from oracle.checker import check
from oracle.checks.attempts import first_runs_after
from oracle.checks.findings import Findings
from oracle.checks.requests import ends_after_requests
from oracle.evidence import Evidence, Fault, FaultKind, Recovery, Request
from oracle.gathering import gather
from oracle.journal import Journal
from oracle.processes import Processes, Worker
from oracle.programs.plan import Plan
from oracle.programs.tasks import declare
from oracle.progress import Progress
from oracle.recording import Database, tick_key
from oracle.waiting import until

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
"""Settings that make a node's services quick; without them a node has its defaults."""

END_BOUND: Final = 10.0
"""Seconds within which, with the quick settings, an attempt ends after a request to end
it, by itself or by force.
"""

CRON_DELAY: Final = 3.0
"""Seconds after a tick within which a leader has fired it, with the quick settings."""


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
        folder.mkdir(parents=True, exist_ok=True)
        self.database = Database(url)
        self.folder = folder
        self.seed = seed
        self.rng = random.Random(seed)
        self.settings = dict(settings)
        self.mutant = mutant
        self.evidence = Evidence()
        self.progress = Progress(folder)
        self.injections = 0
        self.with_triggers = False
        self.first_run_bound: float | None = None
        self.cron_entries: dict[str, int] = {}
        self.url_of_nodes = url
        self._processes = Processes(folder, self.rng, self.progress, mutant=mutant)
        self._app: Elihu | None = None
        self._journal: Journal | None = None

    @property
    def engine(self) -> str:
        """``sqlite`` or ``postgres``."""
        return "sqlite" if self.database.is_sqlite else "postgres"

    @property
    def workers(self) -> list[Worker]:
        """All processes so far."""
        return self._processes.workers

    async def open(self) -> None:
        """Make the tables and begin to record."""
        config = load_config(
            keywords={"database_url": self.database.url}, read_files=False, read_environment=False
        )
        async with Elihu(config=config) as app:
            await app.migrate()
        await self.database.record()
        await mutants.break_tables(self.mutant, self.database)

    # processes

    async def node(
        self,
        *,
        interceptor: str = "",
        failpoint: str = "",
        plan: Plan | None = None,
        stop: str = "",
        wait: bool = True,
        **settings: str,
    ) -> Worker:
        """Start a node; returns when it fetches, or at once without ``wait``. With
        ``stop="cancelled"`` the process cancels its own stops.
        """
        environ = {
            "ORACLE_STOP": stop,
            "ORACLE_INTERCEPTOR": interceptor,
            "ELIHU_TEST_FAILPOINT": failpoint,
            "ORACLE_PLAN": plan.text() if plan else "",
            "ORACLE_TRIGGERS": "1" if self.with_triggers else "",
        }
        return await self._start("node", environ, settings, wait=wait)

    async def nodes(self, number: int, *, interceptor: str = "", **settings: str) -> list[Worker]:
        """Start several at once."""
        return list(
            await asyncio.gather(
                *(
                    self.node(interceptor=interceptor, plan=None, stop="", wait=True, **settings)
                    for _ in range(number)
                )
            )
        )

    async def ticker(self, *, user: str | None = None, **settings: str) -> Worker:
        """Start a process that does one ``elihu tick`` after the other, as this user of
        PostgreSQL if one is given.
        """
        url = self.database.url_of(user) if user else self.url_of_nodes
        return await self._start("ticker", {"ELIHU_DATABASE_URL": url}, settings)

    async def enqueuer(
        self, plan: Plan, *, failpoint: str = "", wait: bool = True, **settings: str
    ) -> Worker:
        """Start an enqueuer; returns when it begins, or at once without ``wait``."""
        programs = {"transactions": "transactions", "awaited": "waiter", "records": "records"}
        program = programs.get(plan.how, "enqueuer")
        return await self._start(
            program,
            {"ORACLE_PLAN": plan.text(), "ELIHU_TEST_FAILPOINT": failpoint},
            settings,
            wait=wait,
        )

    async def enqueue(self, plan: Plan) -> None:
        """Store all jobs of a plan."""
        await (await self.enqueuer(plan)).end(within=120 + plan.jobs / 100)

    async def enqueue_here(
        self,
        key: str,
        *,
        task: str = "oracle.wait",
        queue: str | None = None,
        delay: float | None = None,
        **arguments: object,
    ) -> int:
        """Store one job from this process; its id. Raises ``DatabaseError``."""
        app, lines = self._here()
        lines.write("intent", key=key)
        options: dict[str, Any] = {"queue": queue, "delay": delay}
        given = {name: value for name, value in options.items() if value is not None}
        which = app.task_named(task)
        job = (which.using(**given) if given else which).build(key=key, **arguments)
        stored = await app.aenqueue(job)
        lines.write("acknowledged", key=key, id=stored.id)
        return stored.id

    # faults

    async def kill(self, worker: Worker) -> None:
        """SIGKILL."""
        if worker.alive:
            self._add_fault(FaultKind.KILL, worker)
            worker.process.send_signal(signal.SIGKILL)
            await worker.process.wait()

    def freeze(self, worker: Worker) -> None:
        """SIGSTOP."""
        self._add_fault(FaultKind.FREEZE, worker)
        worker.process.send_signal(signal.SIGSTOP)

    def thaw(self, worker: Worker) -> None:
        """SIGCONT."""
        worker.process.send_signal(signal.SIGCONT)

    def terminate(self, worker: Worker) -> None:
        """SIGTERM, as a fault: running attempts may be returned."""
        if worker.alive:
            self._add_fault(FaultKind.STOP, worker)
            worker.process.send_signal(signal.SIGTERM)

    def cut_off(self, worker: Worker) -> None:
        """Note that the process has no way to its database, for longer than
        ``dead_after``.
        """
        self._add_fault(FaultKind.CUT, worker)

    @property
    def deaths(self) -> int:
        """The number of processes that have killed themselves."""
        return sum(fault.kind == FaultKind.DIED for fault in self.evidence.faults)

    def injected(self, number: int = 1) -> None:
        """Count faults that hurt no process."""
        self.injections += number

    async def request(self, verb: str, job_id: int) -> None:
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
        self.evidence.requests.append(Request(job_id, verb, asked, time.time(), changed))

    # cron entries

    async def add_cron_entry(self, name: str, *, behind: int = 0) -> None:
        """Make a cron entry that fires every minute and catches up on all that it
        missed; ``behind`` ticks are already missed.
        """
        app, _ = self._here()
        await app.crons.create(
            name, "* * * * *", "oracle.wait", args={"key": name}, catch_up="all", paused=True
        )
        first = math.floor(time.time() / 60 - behind) * 60 + 60
        await self.database.start_cron_entry(name, first - 30)
        self.cron_entries[name] = first

    async def ticks_fired(self, *, within: float) -> None:
        """Return when every due tick of all entries has its job, or after ``within``
        seconds; then pause the entries.
        """
        app, _ = self._here()
        deadline = time.monotonic() + within
        while True:
            minute = math.floor((time.time() - CRON_DELAY) / 60) * 60
            self.evidence.due = {
                tick_key(name, at)
                for name, first in self.cron_entries.items()
                for at in range(first, minute + 1, 60)
            }
            if await self.database.ticks() >= len(self.evidence.due) or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.2)
        for name, first in self.cron_entries.items():
            await app.crons.pause(name)
            self.evidence.intended |= {
                tick_key(name, at) for at in range(first, math.ceil(time.time()) + 1, 60)
            }

    # waiting and timing

    async def drained(self, *, within: float, hurry: bool = False) -> None:
        """Return when every job is finished, or when none has finished for ``within``
        seconds: the checker reports those. ``hurry`` makes retries due at once.
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

    def recovered(self, what: str, seconds: float, bound: float) -> None:
        """Note how long something took to work again."""
        self.evidence.recoveries.append(Recovery(what, seconds, bound))

    def leader(self) -> Worker | None:
        """The living process whose node was elected last."""
        pid = self.progress.last_elected()
        return next((worker for worker in self.workers if worker.pid == pid and worker.alive), None)

    async def elected_after(self, since: float, what: str, bound: float) -> None:
        """Note how long after ``since`` a new leader was elected."""
        await until(
            lambda: bool(self.progress.elected_since(since)), within=bound * 2 + 5, what=what
        )
        self.recovered(what, min(self.progress.elected_since(since)) - since, bound)

    async def begun_again(self, since: float, what: str, bound: float) -> None:
        """Note how long after ``since`` the next attempt began."""
        await until(lambda: bool(self.progress.begun_since(since)), within=bound * 2 + 5, what=what)
        self.recovered(what, min(self.progress.begun_since(since)) - since, bound)

    # the end

    async def judge(self) -> Findings:
        """Stop the processes, gather the evidence and check it."""
        self.evidence.problems += await self._processes.stop()
        await gather(self.evidence, self.progress, self.folder, self.database)
        if self.first_run_bound is not None:
            for _, seconds in first_runs_after(self.evidence, {FaultKind.KILL, FaultKind.DIED}):
                self.recovered(
                    "the next attempt of a job whose node died", seconds, self.first_run_bound
                )
        for seconds in ends_after_requests(self.evidence):
            self.recovered("the end of an attempt after the request", seconds, END_BOUND)
        return check(self.evidence)

    async def close(self) -> None:
        """Kill what still runs."""
        if self._app is not None:
            await self._app.aclose()
        await self._processes.close()

    def _here(self) -> tuple[Elihu, Journal]:
        if self._app is None or self._journal is None:
            config = load_config(
                keywords={"database_url": self.database.url},
                read_files=False,
                read_environment=False,
            )
            self._app = Elihu(config=config)
            self._journal = Journal(self.folder, "experiment")
            declare(self._app)
        return self._app, self._journal

    def _died(self, worker: Worker) -> None:
        if worker.pid not in {fault.pid for fault in self.evidence.faults}:
            self._add_fault(FaultKind.DIED, worker)

    def _add_fault(self, kind: str, worker: Worker) -> None:
        if kind in {FaultKind.KILL, FaultKind.DIED}:
            worker.expected = {-signal.SIGKILL}
        self.injections += 1
        self.evidence.faults.append(Fault(kind, worker.pid, time.time()))

    async def _start(
        self,
        program: str,
        environ: Mapping[str, str],
        settings: Mapping[str, str],
        *,
        wait: bool = True,
    ) -> Worker:
        return await self._processes.start(
            program,
            self.url_of_nodes,
            environ,
            {**self.settings, **settings},
            died=self._died,
            wait=wait,
        )
