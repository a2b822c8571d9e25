"""Runs experiments, several at once, each in a process and on a database server of its
own; prints each result, and the tables.
"""

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache

from elihu.testing.postgres import PostgresServer
from oracle.checks.findings import Findings
from oracle.mutants import MUTANTS
from oracle.scenario import Result, Size, perform
from oracle.scenarios import BY_NAME
from oracle.scenarios.safeguards import BY_MUTANT
from oracle.table import HEAD, TIMES_HEAD, markdown, row, times

MUTANT_HEAD = ("mutant", "engine", "found by", "findings", "true build")

CLEARING = 30.0
"""Seconds that an interrupted experiment has to end its processes."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One experiment to run, as it passes to its process."""

    scenario: str
    engine: str
    seed: int
    size: Size
    mutant: str | None = None


def run(trials: Iterable[Trial], jobs: int) -> dict[Trial, Result]:
    """Run all trials, ``jobs`` at once. Scenarios that are ``alone`` run first,
    without the others.
    """
    waiting = list(trials)
    results: dict[Trial, Result] = {}
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _end_with_parent) as pool:
        try:
            for alone in (True, False):
                for trial, result in _submit(
                    pool, [each for each in waiting if BY_NAME[each.scenario].alone == alone]
                ):
                    results[trial] = result
                    _report(trial, result)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results


def faults(results: Mapping[Trial, Result]) -> bool:
    """Print the table of the true build; returns whether every promise was kept."""
    print("\n" + markdown(HEAD, [row(result) for result in results.values()]))
    if slow := [line for result in results.values() for line in times(result)]:
        print("\n" + markdown(TIMES_HEAD, slow))
    return not any(result.findings.broken() for result in results.values())


def mutants(names: Iterable[str], engines: Iterable[str], results: Mapping[Trial, Result]) -> bool:
    """Print the table of the mutants beside the true build; returns whether every
    mutant was found, and the true build had no finding.
    """
    found = {
        (trial.mutant, trial.scenario, trial.engine): result.findings.broken()
        for trial, result in results.items()
    }
    rows = []
    good = True
    for name in names:
        mutant, scenario = MUTANTS[name], BY_MUTANT[name].name
        for engine in engines:
            if engine not in mutant.engines:
                rows.append([name, engine, scenario, f"not possible: {mutant.why_not}", "-"])
                continue
            broken, true = found[name, scenario, engine], found[None, scenario, engine]
            findings = (
                ", ".join(f"{kind} {len(texts)}" for kind, texts in broken.items())
                or "nothing: NOT FOUND"
            )
            rows.append([name, engine, scenario, findings, "broken" if true else "nothing"])
            good = good and bool(set(broken) - {"problems"}) and not true
    print("\n" + markdown(MUTANT_HEAD, rows))
    return good


def _submit(pool: ProcessPoolExecutor, trials: Iterable[Trial]) -> Iterator[tuple[Trial, Result]]:
    submitted: dict[Future[Result], Trial] = {
        pool.submit(_perform, trial): trial for trial in trials
    }
    for future in as_completed(submitted):
        trial = submitted[future]
        if error := future.exception():
            findings = Findings(problems=[f"the experiment itself failed: {error!r}"])
            yield trial, Result(trial.scenario, trial.engine, trial.seed, 0, 0.0, findings)
        else:
            yield trial, future.result()


def _end_with_parent() -> None:
    """Interrupt this process when its parent ends, so that it ends its own processes."""
    parent = multiprocessing.parent_process()
    assert parent

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(CLEARING)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _perform(trial: Trial) -> Result:
    server = _own_server() if trial.engine == "postgres" else None
    return asyncio.run(
        perform(
            BY_NAME[trial.scenario],
            trial.engine,
            seed=trial.seed,
            size=trial.size,
            server=server,
            mutant=trial.mutant,
            keep=trial.mutant is None,
        )
    )


@cache
def _own_server() -> PostgresServer:
    """The database server of this process. Its experiments may stop it, use up its
    connections and cut them.
    """
    return PostgresServer(durable=True)


def _report(trial: Trial, result: Result) -> None:
    verdict = "broken" if result.findings.broken() else "kept"
    build = f" ({trial.mutant})" if trial.mutant else ""
    lines = [
        (
            f"{trial.scenario} on {trial.engine}{build}: {verdict} in {result.seconds:.1f} s, seed "
            f"{result.seed}"
        )
    ]
    for kind, found in result.findings.broken().items():
        lines += [f"    {kind}: {text}" for text in found[: 2 if trial.mutant else 5]]
        if len(found) > 5:
            lines.append(f"    {kind}: {len(found)} in all")
    if result.kept:
        lines.append(f"    kept in {result.kept}")
    if trial.mutant is None:
        lines += ["    " + " | ".join(row(result))]
        lines += ["    " + " | ".join(line) for line in times(result)]
    print("\n".join(lines), file=sys.stderr, flush=True)
