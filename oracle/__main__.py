"""``python -m oracle``: runs experiments by name, or all of them. The exit status is 1
if a promise was broken or a mutant was not found.
"""

import argparse
import random
import sys

from oracle.mutants import MUTANTS
from oracle.run import Trial, faults, mutants, run
from oracle.scenario import BOTH, Size
from oracle.scenarios import SCENARIOS
from oracle.scenarios.safeguards import BY_MUTANT


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m oracle",
        description="Break things while nodes work, and check every promise.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="experiments, by a part of their names (all)",
    )
    parser.add_argument("--engine", action="append", choices=BOTH, help="only this engine")
    parser.add_argument("--seed", type=int, help="repeat the run of this seed")
    parser.add_argument("--jobs", type=int, default=4, metavar="N", help="experiments at once (4)")
    parser.add_argument("--full", action="store_true", help="everything, and all mutants")
    parser.add_argument("--quick", action="store_true", help="as little as shows anything")
    parser.add_argument(
        "--mutants",
        action="store_true",
        help="only show that the checker finds each mutant",
    )
    parser.add_argument("--list", action="store_true", help="print the names")
    given = parser.parse_args()
    known = (
        list(MUTANTS)
        if given.mutants
        else [scenario.name for scenario in SCENARIOS if given.full or not scenario.full_only]
    )
    names = [name for name in known if not given.names or any(part in name for part in given.names)]
    if given.list:
        print("\n".join(names))
        return
    if not names:
        parser.error(f"expected names out of: {', '.join(known)}")
    if given.jobs < 1:
        parser.error(f"expected --jobs to be at least 1, got {given.jobs}")
    engines = given.engine or BOTH
    seed = random.randrange(1_000_000) if given.seed is None else given.seed
    print(f"seed {seed}", file=sys.stderr, flush=True)
    size = Size(full=given.full, quick=given.quick)
    broken = names if given.mutants else list(MUTANTS) if given.full and not given.names else []
    experiments = dict.fromkeys(BY_MUTANT[name].name for name in names) if given.mutants else names
    trials = [
        Trial(BY_MUTANT[name].name, engine, seed, Size(quick=given.quick), name)
        for name in broken
        for engine in engines
        if engine in MUTANTS[name].engines
    ]
    true = [
        Trial(scenario.name, engine, seed, size)
        for scenario in SCENARIOS
        if scenario.name in experiments
        for engine in engines
        if engine in scenario.engines
    ]
    results = run([*trials, *true], given.jobs)
    good = given.mutants or faults({trial: results[trial] for trial in true})
    if broken:
        good = mutants(broken, engines, results) and good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
