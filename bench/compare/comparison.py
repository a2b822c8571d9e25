"""One run of the comparison: who takes part, in which order, and what came out."""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncpg

from bench.compare import servers
from bench.compare.contestants import BOUND, ELIHU, PLAIN_SQL, Contestant
from bench.compare.environments import Interpreter, Unavailable, python_of, version_of
from bench.compare.measure import Figures
from bench.compare.processes import Failed, Side
from bench.compare.report import Figure, Run
from bench.compare.servers import Postgres, Server, Sqlite
from bench.compare.subjects import Case, cases
from elihu import ElihuError
from elihu.testing.postgres import PostgresServer

MEASURED_WITHIN: Final = 300.0
"""The most seconds of one measurement with all that it needs."""
EXPECTED: Final = (
    *(Failed, TimeoutError, ElihuError),
    *(OSError, ValueError, asyncpg.PostgresError, subprocess.SubprocessError),
)
"""What makes one measurement fail, and not the run."""


def say(text: str) -> None:
    """Progress."""
    print(text, file=sys.stderr, flush=True)


class Comparison:
    """The figures, and all that the report says of the run."""

    def __init__(self, rounds: int, most_jobs: int | None) -> None:
        self.figures: list[Figure] = []
        self.failed = False
        self._rounds = rounds
        self._most_jobs = most_jobs
        self._versions: dict[str, str] = {}
        self._contestants: list[tuple[str, str, str]] = []
        self._left_out: list[str] = []

    async def run(
        self, subjects: Sequence[str], base: Interpreter, peers: Sequence[Contestant]
    ) -> None:
        """Install the contestants, start the servers, and measure these subjects. Raises
        ``Unavailable`` if Elihu cannot be installed.
        """
        self._versions["Python"] = base.text
        pythons = await asyncio.to_thread(self._install, base, peers)
        pythons[BOUND] = pythons[ELIHU]
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="elihu-bench-")))
            postgres = Postgres(stack.enter_context(PostgresServer(durable=True)))
            by_engine: dict[str, Server] = {"postgresql": postgres, "sqlite": Sqlite(folder)}
            self._versions["PostgreSQL"] = await postgres.version()
            self._versions["SQLite"] = servers.sqlite_version(pythons[ELIHU])
            if any("redis" in contestant.engines for contestant in pythons):
                try:
                    redis = await stack.enter_async_context(servers.redis_server(folder))
                except Unavailable as error:
                    self._leave_out("celery", str(error))
                else:
                    by_engine["redis"] = redis
                    self._versions["Redis"] = servers.redis_version()
            await self.measure(subjects, by_engine, pythons)

    async def measure(
        self,
        subjects: Sequence[str],
        by_engine: Mapping[str, Server],
        pythons: Mapping[Contestant, str],
    ) -> None:
        """Each case round by round, and in each round one side after the other."""
        for subject in subjects:
            for case in cases(subject, self._most_jobs):
                sides = [
                    Side(contestant, by_engine[case.engine_of(contestant)], python)
                    for contestant, python in pythons.items()
                    if case.takes_part(contestant) and case.engine_of(contestant) in by_engine
                ]
                for number in range(1, self._rounds + 1):
                    await self._round(case, number, sides)

    def described(self) -> Run:
        """What the report says beside the figures."""
        return Run(
            date=datetime.now(UTC).date().isoformat(),
            machine=servers.shape(),
            versions=self._versions,
            rounds=self._rounds,
            contestants=self._contestants,
            left_out=self._left_out,
        )

    def _install(self, base: Interpreter, peers: Sequence[Contestant]) -> dict[Contestant, str]:
        """The Python of each contestant that can take part."""
        pythons: dict[Contestant, str] = {}
        for contestant in (ELIHU, PLAIN_SQL, *peers):
            say(f"environment of {contestant.name}")
            try:
                pythons[contestant] = python_of(contestant, base)
            except Unavailable as error:
                if contestant is ELIHU:
                    raise
                self._leave_out(contestant.name, str(error))
                continue
            version = "" if contestant is PLAIN_SQL else version_of(contestant, pythons[contestant])
            self._contestants.append((contestant.name, version, contestant.settings))
        return pythons

    async def _round(self, case: Case, number: int, sides: Sequence[Side]) -> None:
        if case.together:
            await asyncio.gather(*(self._once(case, number, side) for side in sides))
        else:
            for side in sides:
                await self._once(case, number, side)

    async def _once(self, case: Case, number: int, side: Side) -> None:
        name = side.contestant.name
        what = f"{case.name} ({case.engine}), round {number}, {name}"
        try:
            async with asyncio.timeout(MEASURED_WITHIN):
                figures: Figures = await case.measure(side)
        except EXPECTED as error:
            self.failed = True
            self._leave_out(what, str(error) or type(error).__name__)
            return
        say(f"{what}: {', '.join(f'{value:,.2f} {unit}' for unit, value in figures.items())}")
        for unit, value in figures.items():
            figure = Figure(
                subject=case.subject,
                engine=case.engine,
                setting=case.setting,
                unit=unit,
                of=name,
                round=number,
                value=value,
            )
            self.figures.append(figure)
            print(json.dumps(figure.as_json()), flush=True)

    def _leave_out(self, what: str, why: str) -> None:
        say(f"{what}: not measured: {why}")
        self._left_out.append(f"{what}: {why}")
