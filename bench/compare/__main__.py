"""`python -m bench.compare [SUBJECT…]`: Elihu beside other job queues and plain SQL.

Standard output gets one JSON line for each figure of each round; standard error gets the
progress and, at the end, the table. SIGINT ends the run; the table has what was measured
until then.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.__main__ import natural
from bench.compare.comparison import Comparison, say
from bench.compare.contestants import CONTESTANTS, PEERS
from bench.compare.environments import Unavailable, find_python
from bench.compare.report import document
from bench.compare.subjects import DEFAULT, SUBJECTS


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the command line says. The status is 1 if a measurement failed."""
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(
        prog="python -m bench.compare",
        description="Measure Elihu beside other job queues and plain SQL.",
    )
    parser.add_argument(
        "subjects",
        nargs="*",
        metavar="SUBJECT",
        help=f"{', '.join(SUBJECTS)} (all but large)",
    )
    parser.add_argument(
        "--peers", nargs="*", choices=names, default=names, metavar="PEER", help=", ".join(names)
    )
    parser.add_argument(
        "--rounds", type=natural, default=3, metavar="N", help="measurements of each (3)"
    )
    parser.add_argument(
        "--large", action="store_true", help="measure beside 1,000,000 finished jobs too"
    )
    parser.add_argument("--jobs", type=natural, metavar="N", help="the most jobs of a measurement")
    parser.add_argument("--python", metavar="FILE", help="the Python of the environments")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table to a file")
    given = parser.parse_args(arguments)
    subjects = given.subjects or list(DEFAULT)
    unknown = set(subjects) - set(SUBJECTS)
    if unknown:
        parser.error(f"expected SUBJECT to be one of {', '.join(SUBJECTS)}, got {unknown.pop()}")
    if given.large and "large" not in subjects:
        subjects.append("large")
    comparison = Comparison(given.rounds, given.jobs)
    try:
        base = find_python(given.python)
        asyncio.run(comparison.run(subjects, base, [CONTESTANTS[name] for name in given.peers]))
    except Unavailable as error:
        parser.exit(1, f"{parser.prog}: {error}\n")
    except KeyboardInterrupt:
        say("stopped")
    if comparison.figures:
        page = document(comparison.described(), comparison.figures)
        print(page, file=sys.stderr)
        if given.markdown:
            given.markdown.write_text(page)
    if comparison.failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
