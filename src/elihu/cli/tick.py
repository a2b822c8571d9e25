"""``elihu tick``."""

import json
from typing import TYPE_CHECKING, Any

import click

from elihu.cli.event_loop import run_loop
from elihu.cli.options import SharedOptions, pass_shared_options, shared_options
from elihu.cli.signals import StopSignals
from elihu.cli.status import log_options, set_up_log

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
    help="Largest number of jobs to start.",
)
@log_options
@shared_options
@pass_shared_options
def tick(options: SharedOptions, /, limit: int, **flags: Any) -> None:
    """Do one round of work and exit.

    For hosts where an external cron replaces a permanent node. Fires due cron entries,
    rescues, expires and stages jobs, starts some, waits for them, prunes old jobs, and
    prints the counts as one JSON object. Exits with 0 even if jobs failed. SIGINT or
    SIGTERM waits for running jobs; a second signal stops now.
    """
    from dataclasses import asdict

    from elihu.cli.load_app import AppNeed, open_app

    app = open_app(options, need=AppNeed.TASKS, **flags)
    set_up_log(app.config)
    click.echo(json.dumps(asdict(run_loop(_run_tick(app, limit)))))


async def _run_tick(app: "Elihu", limit: int) -> "TickCounts":
    signals = StopSignals("", lambda: None, stop_now_notice="")
    signals.enabled = True
    async with app:
        return await app.tick(limit, stopping=signals.stopping, stop_now=signals.stop_now)
