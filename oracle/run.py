"""Runs experiments one after the other, prints each as it ends and the table of all."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from elihu.testing.postgres import PostgresServer
from oracle.mutants import MUTANTS
from oracle.scenario import Result, Scenario, Size, perform
from oracle.scenarios.safeguards import BY_MUTANT
from oracle.table import HEAD, TIMES_HEAD, markdown, row, times

MUTANT_HEAD = ("mutant", "engine", "found by", "what the checker says", "true build")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line asks for."""

    engines: Sequence[str]
    size: Size
    seed: int
    server: PostgresServer | None


async def faults(scenarios: Iterable[Scenario], asked: Asked) -> bool:
    """Run the experiments on the true build; whether every promise was kept."""
    chosen = [(scenario, engine) for scenario in scenarios for engine in asked.engines if engine in scenario.engines]
    results = [await one(scenario, engine, asked) for scenario, engine in chosen]
    print("\n" + markdown(HEAD, [row(result) for result in results]))
    if slow := [line for result in results for line in times(result)]:
        print("\n" + markdown(TIMES_HEAD, slow))
    return not any(result.findings.broken() for result in results)


async def one(scenario: Scenario, engine: str, asked: Asked, mutant: str | None = None) -> Result:
    """Run one experiment and say what came of it."""
    result = await perform(scenario, engine, seed=asked.seed, size=asked.size, server=asked.server, mutant=mutant, keep=mutant is None)
    verdict = "broken" if result.findings.broken() else "kept"
    build = f" ({mutant})" if mutant else ""
    print(f"{scenario.name} on {engine}{build}: {verdict} in {result.seconds:.1f} s, seed {result.seed}", file=sys.stderr, flush=True)
    for kind, found in result.findings.broken().items():
        for text in found[: 2 if mutant else 5]:
            print(f"    {kind}: {text}", file=sys.stderr, flush=True)
        if len(found) > 5:
            print(f"    {kind}: {len(found)} in all", file=sys.stderr, flush=True)
    if result.kept:
        print(f"    kept in {result.kept}", file=sys.stderr, flush=True)
    return result


async def mutants(names: Iterable[str], asked: Asked) -> bool:
    """Run each mutant's experiment, broken and true; whether the first is always found out and the second never."""
    rows = []
    good = True
    for name in names:
        mutant, scenario = MUTANTS[name], BY_MUTANT[name]
        for engine in asked.engines:
            if engine not in mutant.engines:
                rows.append([name, engine, scenario.name, f"cannot be: {mutant.why_not}", "-"])
                continue
            broken = (await one(scenario, engine, asked, name)).findings.broken()
            true = (await one(scenario, engine, asked)).findings.broken()
            said = ", ".join(f"{kind} {len(found)}" for kind, found in broken.items()) or "nothing: NOT FOUND"
            rows.append([name, engine, scenario.name, said, "broken" if true else "nothing"])
            good = good and bool(set(broken) - {"problems"}) and not true
    print("\n" + markdown(MUTANT_HEAD, rows))
    return good
