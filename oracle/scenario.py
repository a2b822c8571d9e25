"""What a scenario is, and how each is run."""

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from elihu.testing.postgres import PostgresServer
from oracle.checks.findings import Findings
from oracle.experiment import QUICK, Experiment
from oracle.waiting import WaitTimeout

BOTH: Final = ("sqlite", "postgres")


@dataclass(frozen=True, slots=True)
class Size:
    """How much of a scenario is run: as little as shows anything, the usual, or all."""

    full: bool = False
    quick: bool = False

    def pick(self, quick: float, usual: float, full: float) -> float:
        """The number for this size."""
        return full if self.full else quick if self.quick else usual

    def count(self, quick: int, usual: int, full: int) -> int:
        """The same for whole numbers."""
        return full if self.full else quick if self.quick else usual


@dataclass(frozen=True, slots=True)
class Scenario:
    """``run`` starts processes in an open experiment, breaks something and returns when
    all jobs should be finished.

    A scenario that is ``alone`` measures what users will see: no other runs beside it.
    """

    name: str
    run: Callable[[Experiment, Size, PostgresServer | None], Awaitable[None]]
    engines: tuple[str, ...] = BOTH
    settings: Mapping[str, str] = field(default_factory=lambda: QUICK)
    full_only: bool = False
    alone: bool = False


@dataclass(slots=True)
class Result:
    """What one experiment found on one engine."""

    scenario: str
    engine: str
    seed: int
    injections: int
    seconds: float
    findings: Findings
    kept: Path | None = None


_numbers = iter(range(1, 1_000_000))


async def perform(
    scenario: Scenario,
    engine: str,
    *,
    seed: int,
    size: Size,
    server: PostgresServer | None = None,
    mutant: str | None = None,
    keep: bool = True,
) -> Result:
    """Run one experiment on a new database. Its folder is kept if something was found
    and ``keep`` is true.
    """
    folder = Path(tempfile.mkdtemp(prefix="elihu-oracle-"))
    number = next(_numbers)
    if engine == "sqlite":
        url = f"sqlite:///{folder}/elihu.db"
    else:
        assert server is not None
        server.start()
        url = await asyncio.to_thread(server.create_database, f"oracle_{number}")
    experiment = Experiment(
        url, folder / "logs", seed=seed, settings=scenario.settings, mutant=mutant
    )
    begun = time.monotonic()
    try:
        await experiment.open()
        try:
            await scenario.run(experiment, size, server)
        except WaitTimeout as error:
            experiment.evidence.problems.append(str(error))
        if server is not None:
            await asyncio.to_thread(server.start)
        findings = await experiment.judge()
    finally:
        await experiment.close()
        if engine == "postgres" and server is not None:
            server.start()
            await asyncio.to_thread(server.drop_database, f"oracle_{number}")
    result = Result(
        scenario.name, engine, seed, experiment.injections, time.monotonic() - begun, findings
    )
    if findings.broken() and keep:
        result.kept = folder
        (folder / "evidence.json").write_text(
            json.dumps(asdict(experiment.evidence), default=sorted)
        )
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return result
