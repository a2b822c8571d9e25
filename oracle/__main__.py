"""``python -m oracle``: the experiments by name, or all of them; exit status 1 where a promise was broken or a mutant not noticed."""

import argparse
import asyncio
import random
import sys
from contextlib import ExitStack

from elihu.testing.postgres import PostgresServer
from oracle.mutants import MUTANTS
from oracle.run import Asked, faults, mutants
from oracle.scenario import BOTH, Size
from oracle.scenarios import SCENARIOS


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m oracle", description="Break things while nodes work, and check every promise.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="experiments (a part of the name will do); all without")
    parser.add_argument("--engine", action="append", choices=BOTH, help="only this engine")
    parser.add_argument("--seed", type=int, help="repeat the run of this seed")
    parser.add_argument("--full", action="store_true", help="the whole")
    parser.add_argument("--quick", action="store_true", help="as little as shows anything")
    parser.add_argument("--mutants", action="store_true", help="show that the checker notices each broken build")
    parser.add_argument("--list", action="store_true", help="print the names")
    given = parser.parse_args()
    known = list(MUTANTS) if given.mutants else [scenario.name for scenario in SCENARIOS if given.full or not scenario.full_only]
    names = [name for name in known if not given.names or any(part in name for part in given.names)]
    if given.list:
        print("\n".join(names))
        return
    if not names:
        parser.error(f"expected names out of: {', '.join(known)}")
    engines = given.engine or BOTH
    seed = random.randrange(1_000_000) if given.seed is None else given.seed
    print(f"seed {seed}", file=sys.stderr)
    with ExitStack() as stack:
        server = stack.enter_context(PostgresServer(durable=True)) if "postgres" in engines else None
        asked = Asked(engines=engines, size=Size(full=given.full, quick=given.quick), seed=seed, server=server)
        work = mutants(names, asked) if given.mutants else faults([each for each in SCENARIOS if each.name in names], asked)
        sys.exit(0 if asyncio.run(work) else 1)


if __name__ == "__main__":
    main()
