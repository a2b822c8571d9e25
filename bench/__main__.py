"""`python -m bench SUBJECT…`: one JSON line a figure on standard output, a table of
ratios on standard error.

Without --database both engines are measured in turn: an SQLite file in the folder for
temporary files, and a PostgreSQL server of its own with fsync. Each measurement makes
new tables, so a named database keeps its own.

Elihu and plain SQL take turns, round by round, and a figure is the median of its
rounds. Compare figures of one run only. `relay` and `gather` are compared with another
subject of ours, `stage` and `delay` with what is wanted, not with plain SQL. `start`
waits for whole minutes.
"""

import argparse
import asyncio
import json
import logging
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict

from bench import (
    bulk,
    commands,
    drain,
    gather,
    insert,
    latency,
    off_loop,
    output,
    relay,
    stager,
    trigger,
)
from bench.loop import run
from bench.subject import Case, Figures, Options, Subject
from bench.tables import Tables, engine_of, new_tables
from elihu.testing.postgres import PostgresServer

SUBJECTS = {
    subject.name: subject
    for subject in (
        insert.SUBJECT,
        bulk.SUBJECT,
        drain.SUBJECT,
        latency.SUBJECT,
        off_loop.THREAD,
        off_loop.PROCESS,
        relay.SUBJECT,
        gather.SUBJECT,
        stager.STAGE,
        stager.DELAY,
        trigger.SCAN,
        trigger.ACT,
        trigger.CHUNKS,
        output.SUBJECT,
        commands.DISPATCH,
        commands.START,
        commands.AT_ONCE_SUBJECT,
    )
}
BOUND = 120.0
"""The most seconds of one measurement."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the subjects of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure Elihu beside plain SQL."
    )
    parser.add_argument(
        "subjects", nargs="+", choices=SUBJECTS, metavar="SUBJECT", help=", ".join(SUBJECTS)
    )
    parser.add_argument(
        "--database", metavar="URL", help="measure in this database; its tables stay as they are"
    )
    parser.add_argument("--jobs", type=natural, metavar="N", help="jobs of a measurement")
    parser.add_argument(
        "--slots", type=natural, metavar="N", help="drain, thread, process: jobs at a time"
    )
    parser.add_argument(
        "--prefetch",
        type=natural,
        metavar="N",
        help="drain, thread, process: claims that wait for a slot (none)",
    )
    parser.add_argument("--callers", type=natural, metavar="N", help="insert: callers at a time")
    parser.add_argument("--mib", type=natural, metavar="N", help="output: what a command prints")
    parser.add_argument(
        "--rounds",
        type=natural,
        metavar="N",
        default=3,
        help="rounds of which the median counts (3)",
    )
    given = parser.parse_args(arguments)
    logging.getLogger("elihu").setLevel(logging.ERROR)
    options = Options(
        jobs=given.jobs,
        slots=given.slots,
        callers=given.callers,
        mib=given.mib,
        prefetch=given.prefetch,
    )
    rows: list[list[str]] = []
    with databases(given.database) as urls:
        for url in urls:
            for name in given.subjects:
                run(measure(SUBJECTS[name], url, options, given.rounds, rows.append))
    print(
        table(["subject", "engine", "setting", "unit", "elihu", "limit", "ratio"], rows, words=4),
        file=sys.stderr,
    )


def natural(text: str) -> int:
    """A whole number from 1."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)


@contextmanager
def databases(url: str | None) -> Iterator[list[str]]:
    """The named database, or one of each engine."""
    if url is not None:
        yield [url]
        return
    with (
        tempfile.TemporaryDirectory(prefix="elihu-bench-") as folder,
        PostgresServer(durable=True) as server,
    ):
        yield [f"sqlite:///{folder}/elihu.db", server.url]


async def measure(
    subject: Subject, url: str, options: Options, rounds: int, add: Callable[[list[str]], None]
) -> None:
    """Print the figures of each case, and add their rows to the table."""
    for case in subject.cases(options):
        setting = {name: value for name, value in asdict(case).items() if value is not None}
        ours: list[Figures] = []
        limit: list[Figures] = []
        for _ in range(rounds):
            ours.append(await once(subject.ours, url, case))
            limit.append(await once(subject.limit, url, case))
        for unit in ours[0]:
            medians = {
                of: statistics.median(figures[unit] for figures in each)
                for of, each in (("elihu", ours), (subject.beside, limit))
                if unit in each[0]
            }
            for of, value in medians.items():
                figure = {
                    "subject": subject.name,
                    "engine": engine_of(url),
                    **setting,
                    "of": of,
                    "unit": unit,
                    "value": round(value, 3),
                }
                print(json.dumps(figure), flush=True)
            decimals = 0 if unit == "jobs_per_second" else 2
            numbers = [f"{value:,.{decimals}f}" for value in medians.values()]
            other = medians.get(subject.beside)
            words = ", ".join(
                f"{name} {value:,}" if isinstance(value, int) else f"{name} in {value}"
                for name, value in setting.items()
            )
            words += "" if subject.beside == "limit" else f", beside {subject.beside}"
            add(
                [
                    subject.name,
                    engine_of(url),
                    words,
                    unit,
                    *(numbers if other else [*numbers, "-"]),
                    f"{medians['elihu'] / other:.2f}" if other else "-",
                ]
            )


async def once(work: Callable[[Tables, Case], Awaitable[Figures]], url: str, case: Case) -> Figures:
    """One measurement on new tables, with a time limit."""
    async with new_tables(url) as tables, asyncio.timeout(BOUND):
        return await work(tables, case)


def table(head: list[str], rows: list[list[str]], *, words: int) -> str:
    """Columns as wide as their widest cell; the first ``words`` columns are aligned to
    the left, the numbers after them to the right.
    """
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    align = [str.ljust] * words + [str.rjust] * (len(head) - words)
    return "\n".join(
        "  ".join(put(cell, width) for put, cell, width in zip(align, row, widths, strict=True))
        for row in [head, *rows]
    )


if __name__ == "__main__":
    main()
