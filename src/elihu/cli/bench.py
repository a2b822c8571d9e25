"""``elihu bench``."""

import os
import signal
import sys
from typing import TYPE_CHECKING, Final, cast

import click

from elihu.cli.options import SharedOptions, pass_shared_options, shared_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from elihu.cli.benchmark.run import Figure
    from elihu.config import Config

LONGEST: Final = 120.0
"""Seconds after which a benchmark fails."""
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


@click.command()
@click.option(
    "--seconds",
    type=click.FloatRange(1, 110),
    default=20,
    show_default=True,
    help="How long to measure.",
)
@shared_options
@pass_shared_options
def bench(options: SharedOptions, /, seconds: float) -> None:
    """Measure the database, and say what bounds it.

    Uses a schema of its own (an SQLite file of its own), which it removes at its end. Your
    jobs are not touched, but nodes that run meanwhile share the database with it.
    """
    from elihu.cli.event_loop import run_loop
    from elihu.cli.load_app import open_app
    from elihu.cli.output import print_json, print_table

    config = open_app(options).config
    busy, processors = os.getloadavg()[0], os.cpu_count() or 1
    figures = run_loop(run_benchmark(config, seconds, _begin))
    if busy > processors:
        click.echo(
            f"elihu: this machine was busy before (load {busy:.1f} on {processors} processors), "
            "which lowers the figures",
            err=True,
        )
    if options.json:
        print_json(
            {
                "database": config.describe_database(),
                "seconds": seconds,
                "figures": [_fields(figure) for figure in figures],
            }
        )
        return
    print_table(
        ("figure", "value", "bound by"),
        [(each.name, _value(each), each.bound and each.bound.bound) for each in figures],
    )
    for figure in figures:
        if figure.bound is not None:
            click.echo(f"{figure.name}: {figure.bound.bound}: {figure.bound.text}.")


def _begin(name: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"elihu: measuring: {name}", err=True)


async def run_benchmark(
    config: "Config", seconds: float, begin: "Callable[[str], None]"
) -> "list[Figure]":
    """Measure in a schema of its own, and remove it, also after SIGINT and SIGTERM, which
    cancel. Raises ``Failure`` if it takes longer than ``LONGEST``.
    """
    import asyncio
    import logging

    from elihu.cli.benchmark.own_schema import own_schema
    from elihu.cli.benchmark.run import measure
    from elihu.cli.group import Failure

    def stop() -> None:
        for number in _SIGNALS:  # a second one does not end the removal of the tables
            loop.add_signal_handler(number, lambda: None)
        task.cancel()

    logger = logging.getLogger("elihu")
    level = logger.level
    logger.setLevel(logging.ERROR)
    loop, task = asyncio.get_running_loop(), cast("asyncio.Task[object]", asyncio.current_task())
    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        async with asyncio.timeout(LONGEST), own_schema(config) as app:
            return await measure(app, seconds, begin)
    except TimeoutError as error:
        raise Failure(f"expected an end within {LONGEST:g} s, got none") from error
    finally:
        logger.setLevel(level)
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def _value(figure: "Figure") -> str:
    if figure.per_second is not None:
        return f"{figure.per_second:,.0f} a second"
    p99 = "" if figure.p99_ms is None else f", p99 {figure.p99_ms:,.2f} ms"
    return f"p50 {figure.p50_ms:,.2f} ms{p99}"


def _fields(figure: "Figure") -> dict[str, object]:
    values = {
        "per_second": figure.per_second,
        "p50_ms": figure.p50_ms,
        "p99_ms": figure.p99_ms,
    }
    fields: dict[str, object] = {"name": figure.name}
    fields |= {unit: round(value, 3) for unit, value in values.items() if value is not None}
    if figure.bound is not None:
        fields |= {
            "bound": figure.bound.bound,
            "share": round(figure.bound.share, 3),
            "why": figure.bound.text,
        }
    return fields
