"""Runs experiments, several at once, each in a process and on a database server of its
own; prints each, and the tables of all.
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
from oracle.checker import Findings
from oracle.mutants import MUTANTS
from oracle.scenario import Result, Size, perform
from oracle.scenarios import BY_NAME
from oracle.scenarios.safeguards import BY_MUTANT
from oracle.table import HEAD, TIMES_HEAD, markdown, row, times

MUTANT_HEAD = ("mutant", "engine", "found by", "what the checker says", "true build")

CLEARING = 30.0
"""Seconds for which an experiment that was interrupted may end its processes."""


@dataclass(frozen=True, slots=True)
class Order:
    """One experiment that is to be run, as it crosses to the process that does."""

    scenario: str
    engine: str
    seed: int
    size: Size
    mutant: str | None = None


def run(orders: Iterable[Order], jobs: int) -> dict[Order, Result]:
    """Carry out all, ``jobs`` at once, and say what came of each. Those that measure
    what users will see come first, beside no others.
    """
    waiting = list(orders)
    results: dict[Order, Result] = {}
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _end_with_parent) as pool:
        try:
            for calm in (True, False):
                for order, result in _through(
                    pool, [each for each in waiting if BY_NAME[each.scenario].calm == calm]
                ):
                    results[order] = result
                    _say(order, result)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results


def faults(results: Mapping[Order, Result]) -> bool:
    """Print the table of the experiments on the true build; whether every promise was
    kept.
    """
    print("\n" + markdown(HEAD, [row(result) for result in results.values()]))
    if slow := [line for result in results.values() for line in times(result)]:
        print("\n" + markdown(TIMES_HEAD, slow))
    return not any(result.findings.broken() for result in results.values())


def mutants(names: Iterable[str], engines: Iterable[str], results: Mapping[Order, Result]) -> bool:
    """Print the table of the broken builds beside the true one; whether the first were
    always found out and the second never.
    """
    found = {
        (order.mutant, order.scenario, order.engine): result.findings.broken()
        for order, result in results.items()
    }
    rows = []
    good = True
    for name in names:
        mutant, scenario = MUTANTS[name], BY_MUTANT[name].name
        for engine in engines:
            if engine not in mutant.engines:
                rows.append([name, engine, scenario, f"cannot be: {mutant.why_not}", "-"])
                continue
            broken, true = found[name, scenario, engine], found[None, scenario, engine]
            said = (
                ", ".join(f"{kind} {len(texts)}" for kind, texts in broken.items())
                or "nothing: NOT FOUND"
            )
            rows.append([name, engine, scenario, said, "broken" if true else "nothing"])
            good = good and bool(set(broken) - {"problems"}) and not true
    print("\n" + markdown(MUTANT_HEAD, rows))
    return good


def _through(pool: ProcessPoolExecutor, orders: Iterable[Order]) -> Iterator[tuple[Order, Result]]:
    handed: dict[Future[Result], Order] = {
        pool.submit(_carry_out, order): order for order in orders
    }
    for future in as_completed(handed):
        order = handed[future]
        if error := future.exception():
            findings = Findings(problems=[f"the experiment itself failed: {error!r}"])
            yield order, Result(order.scenario, order.engine, order.seed, 0, 0.0, findings)
        else:
            yield order, future.result()


def _end_with_parent() -> None:
    """Have this process interrupted when the one that hands out the orders is gone, so
    that it ends its own.
    """
    parent = multiprocessing.parent_process()
    assert parent

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(CLEARING)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _carry_out(order: Order) -> Result:
    server = _own_server() if order.engine == "postgres" else None
    return asyncio.run(
        perform(
            BY_NAME[order.scenario],
            order.engine,
            seed=order.seed,
            size=order.size,
            server=server,
            mutant=order.mutant,
            keep=order.mutant is None,
        )
    )


@cache
def _own_server() -> PostgresServer:
    """The server of this process, which whatever experiment it carries out may stop,
    starve and cut off.
    """
    return PostgresServer(durable=True)


def _say(order: Order, result: Result) -> None:
    ack_status = "broken" if result.findings.broken() else "kept"
    build = f" ({order.mutant})" if order.mutant else ""
    lines = [
        (
            f"{order.scenario} on {order.engine}{build}: {ack_status} in {result.seconds:.1f} s, seed "
            f"{result.seed}"
        )
    ]
    for kind, found in result.findings.broken().items():
        lines += [f"    {kind}: {text}" for text in found[: 2 if order.mutant else 5]]
        if len(found) > 5:
            lines.append(f"    {kind}: {len(found)} in all")
    if result.kept:
        lines.append(f"    kept in {result.kept}")
    if order.mutant is None:
        lines += ["    " + " | ".join(row(result))]
        lines += ["    " + " | ".join(line) for line in times(result)]
    print("\n".join(lines), file=sys.stderr, flush=True)
