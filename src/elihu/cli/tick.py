"""``elihu tick``."""

import json
from typing import TYPE_CHECKING

import click

from elihu.cli.event_loop import run_loop
from elihu.cli.options import Given, given, shared
from elihu.cli.signals import Stops

if TYPE_CHECKING:
    from elihu.app import Elihu
    from elihu.runtime.single_tick import TickCounts


@click.command()
@click.option(
    "--limit",
    metavar="N",
    type=int,
    default=10,
    show_default=True,
    help="Start at most so many jobs.",
)
@shared
@given
def tick(options: Given, /, limit: int) -> None:
    """Do one bounded round, where no node may stay.

    For hosts where an outside cron takes the place of a node: it fires what is due,
    rescues, expires and stages, starts a few jobs, waits for them, prunes, and prints
    what it did as one JSON object. The exit status is 0 also where jobs failed. SIGINT
    or SIGTERM lets running jobs end, a second one does not wait.
    """
    from dataclasses import asdict

    from elihu.cli.load_app import Need, open_app

    app = open_app(options, need=Need.TASKS)
    click.echo(json.dumps(asdict(run_loop(_round(app, limit)))))


async def _round(app: "Elihu", limit: int) -> "TickCounts":
    stops = Stops("", lambda: None, hurry_notice="")
    stops.armed = True
    async with app:
        return await app.tick(limit, stopping=stops.stopping, stop_now=stops.stop_now)
