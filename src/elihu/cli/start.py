"""``elihu up`` and ``elihu start``: run nodes until a signal."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from elihu.cli.event_loop import run_loop
from elihu.cli.health import Health, address_of
from elihu.cli.options import SharedOptions, pass_shared_options, shared_options_without_json
from elihu.cli.page import Page
from elihu.cli.scheduler import (
    SchedulerPart,
    scheduler_part,
    serves_only_commands,
    with_its_queues,
)
from elihu.cli.signals import StopSignals
from elihu.cli.status import log_options, print_status, set_up_log
from elihu.cli.web import web_options
from elihu.errors import ElihuError

if TYPE_CHECKING:
    from elihu.app import Elihu
    from elihu.cli.supervisor_link import SupervisorLink
    from elihu.runtime.queue.manager import Setting

T = TypeVar("T")

logger = logging.getLogger("elihu")

NO_APP: Final = "none: this node knows no tasks and runs no jobs"
COMMANDS_ONLY: Final = "none: this node runs commands alone"

MOST_PROCESSES: Final = 1_000
READY_TIMEOUT: Final = 2.0
"""Seconds that the database has to answer for a probe."""

_QUEUES = click.option(
    "--queues",
    metavar="NAME=LIMIT,…",
    help="Queues to serve, each with its number of concurrent jobs.",
)
_PROCESSES = click.option(
    "--processes",
    metavar="N",
    type=click.IntRange(1, MOST_PROCESSES),
    help="Run N nodes, one process each, and restart those that end.",
)
_SUPERVISED = click.option("--supervised", hidden=True)


@click.command()
@_QUEUES
@_PROCESSES
@web_options
@click.option("--no-web", is_flag=True, help="Do not serve the page.")
@_SUPERVISED
@log_options
@shared_options_without_json
@pass_shared_options
def up(
    options: SharedOptions,
    /,
    host: str | None,
    port: str | None,
    unix: str | None,
    root_path: str | None,
    no_web: bool,
    **flags: Any,
) -> None:
    """Create or upgrade the tables, then run a node and the page.

    It serves the queues of the app and of the command scheduler. Runs until SIGINT or
    SIGTERM, then waits for running jobs; a second signal stops now.
    """
    where = {
        "host": host,
        "port": port,
        "unix": unix,
        "root_path": root_path,
        "log_level": flags["log_level"],
        "log_format": flags["log_format"],
    }
    page = Page(options, where, wanted=not no_web)
    _serve(options, needs_tasks=False, migrate=True, page=page, **flags)


def _read_address(
    _: click.Context, __: click.Parameter, text: str | None
) -> tuple[str, int] | None:
    try:
        return None if text is None else address_of(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@_QUEUES
@_PROCESSES
@click.option(
    "--health",
    metavar="HOST:PORT",
    callback=_read_address,
    help="Answer probes here: /livez and /readyz.",
)
@_SUPERVISED
@log_options
@shared_options_without_json
@pass_shared_options
def start(options: SharedOptions, /, **flags: Any) -> None:
    """Run a node that executes jobs.

    Runs until SIGINT or SIGTERM, then waits for running jobs; a second signal stops
    now.
    """
    _serve(options, needs_tasks=True, migrate=False, **flags)


def _serve(
    options: SharedOptions,
    *,
    queues: str | None,
    processes: int | None,
    supervised: str | None,
    log_level: str | None,
    log_format: str | None,
    needs_tasks: bool,
    migrate: bool,
    page: Page | None = None,
    health: tuple[str, int] | None = None,
) -> None:
    from elihu.cli.load_app import AppNeed, open_app
    from elihu.config import find_app

    if options.json:
        raise click.UsageError(
            "--json: expected a command that prints a table, got one that runs until it is stopped"
        )
    need = AppNeed.TASKS if needs_tasks and not serves_only_commands(queues) else AppNeed.APP
    flags = {"queues": queues, "log_level": log_level, "log_format": log_format}
    if supervised is not None:
        from elihu.cli.supervisor_link import SupervisorLink

        link = SupervisorLink.of(supervised)
        with link.reporting_failed_start():
            app = open_app(options, need=need, **flags)
            set_up_log(app.config)
            link.grace = app.config.grace
            part = scheduler_part(app, named=queues, always=migrate)
            run_loop(_run_node(app, _served(app, options, queues, part), part, link=link))
        return
    app = open_app(options, need=need, **flags)
    set_up_log(app.config)
    named = find_app(flags={"app": options.app})
    tasks = len(app.task_names())
    part = scheduler_part(app, named=queues, always=migrate)
    served = _served(app, options, queues, part)
    name = f"{named.value} ({_counted(tasks, 'task')})" if named else None
    print_startup = partial(_print_startup, app, name, served, part, migrate=migrate)
    if processes is None:
        run_loop(
            _run_node(app, served, part, print_startup=print_startup, page=page, health=health)
        )
    else:
        sys.exit(run_loop(_run_supervisor(app, processes, print_startup, page, health)))


def _served(
    app: "Elihu", options: SharedOptions, queues: str | None, part: SchedulerPart
) -> "Mapping[str, int] | None":
    """The queues to serve; None for all that are configured or stored. Without an app
    there are only the tasks of commands to run, so other queues are served only where
    they are named.
    """
    from elihu.config import find_app

    if queues is not None:
        return app.config.queues
    own = with_its_queues(app, part) if part.scheduler else {}
    return None if find_app(flags={"app": options.app}) else own


async def _print_startup(
    app: "Elihu",
    name: str | None,
    served: "Mapping[str, int] | None",
    part: SchedulerPart,
    *,
    migrate: bool,
) -> None:
    """Print what is about to run. With ``migrate`` create or upgrade the tables first."""
    from elihu.config.slots import shown_slots

    print_status("app", name or (NO_APP if part.scheduler is None else COMMANDS_ONLY))
    print_status("database", app.config.describe_tables())
    if app.config.file:
        print_status("settings", str(app.config.file))
    if migrate:
        versions = await app.migrate()
        print_status("tables", f"migrated to version {versions[-1]}" if versions else "up to date")
    if note := await part.prepare(app, migrate=migrate):
        print_status("commands", note)
    queues = app.config.queues if served is None else served
    shown = (f"{name}={shown_slots(slots)}" for name, slots in queues.items())
    print_status("queues", ", ".join(shown) or "none")


async def _run_node(
    app: "Elihu",
    served: "Mapping[str, int] | None",
    part: SchedulerPart,
    *,
    print_startup: Callable[[], Coroutine[Any, Any, None]] | None = None,
    link: "SupervisorLink | None" = None,
    page: Page | None = None,
    health: tuple[str, int] | None = None,
) -> None:
    """Run a node until it stops. With a ``link`` to a supervisor it prints only its id
    and how it ended.
    """
    from elihu.cli.progress import Progress
    from elihu.runtime.node import Node
    from elihu.telemetry.events import QueueShutdown

    progress = Progress(app)
    signals = (
        StopSignals("", progress.end, stop_now_notice="")
        if link
        else StopSignals(_notice(app), progress.end)
    )
    nodes: list[Node] = []
    released: list[int] = []
    app.on(QueueShutdown, lambda event: released.extend(event.released))

    def started(node: Node) -> None:
        signals.enabled = True
        nodes.append(node)
        if (live := node.queues.served) != {
            name: (limit, False)
            for name, limit in (app.config.queues if served is None else served).items()
        }:
            print_status("queues", f"{_shown(live)}, as stored")
        if link is None:
            print_status("node", node.id)
            progress.begin()
            return
        print_status("node", f"{node.id} (process {link.number}, pid {os.getpid()})")
        link.on_stop_now = partial(
            asyncio.get_running_loop().call_soon_threadsafe, signals.request_stop_now
        )
        link.send_ready()

    async def ready() -> str | None:
        if signals.stopping.is_set():
            return "stopping"
        return await _unready(app) if nodes else "starting"

    probes = None if health is None else Health(health, ready)
    async with app, part.running(), page or nullcontext(), probes or nullcontext():
        if print_startup:
            await print_startup()
        if probes:
            print_status("health", probes.url)
        if page:
            await page.start()
        try:
            await app.serve(
                served, stopping=signals.stopping, stop_now=signals.stop_now, started=started
            )
        finally:
            await progress.close()
    how = ending(sum(node.unwritten for node in nodes), len(released))
    print_status("stopped", f"process {link.number}: {how}" if link else how)


async def _run_supervisor(
    app: "Elihu",
    processes: int,
    print_startup: Callable[[], Coroutine[Any, Any, None]],
    page: Page | None,
    health: tuple[str, int] | None,
) -> int:
    """Run several nodes, one process each, started with the same command line. Returns
    the exit status. This process answers the probes.
    """
    from elihu.cli.progress import Progress
    from elihu.cli.supervisor import Supervisor, command_of

    progress = Progress(app, live=False)
    signals = StopSignals(_notice(app), progress.end)
    supervisor = Supervisor(
        partial(command_of, sys.orig_argv),
        processes,
        grace=app.config.grace,
        print_status=partial(print_status, "process"),
    )

    async def ready() -> str | None:
        return "stopping" if signals.stopping.is_set() else await _unready(app)

    probes = None if health is None else Health(health, ready)
    async with app, page or nullcontext(), probes or nullcontext():
        await print_startup()
        if probes:
            print_status("health", probes.url)
        if page:
            await page.start()
        print_status("processes", f"{processes:,}, supervisor pid {os.getpid()}")
        signals.enabled = True
        progress.begin()
        try:
            status = await supervisor.run(signals)
        finally:
            await progress.close()
    if not status:
        print_status("stopped", "all processes")
    return status


async def _unready(app: "Elihu") -> str | None:
    """Why the app cannot use its tables, None where it can."""
    try:
        async with asyncio.timeout(READY_TIMEOUT):
            await app.tables.check()
    except (ElihuError, TimeoutError) as error:
        return f"the tables cannot be used ({type(error).__name__})"
    return None


def _notice(app: "Elihu") -> str:
    return (
        f"stopping: running jobs have {app.config.grace:g} s to finish; a second signal stops now"
    )


def _shown(live: "Mapping[str, Setting]") -> str:
    return (
        ", ".join(
            f"{name}={setting.limit}{' (paused)' if setting.paused else ''}"
            for name, setting in live.items()
        )
        or "none"
    )


def ending(unwritten: int, released: int) -> str:
    """The last status line of a node: attempts whose outcome it could not write, and
    jobs that it returned to their queues.
    """
    if unwritten:
        outcomes, jobs = ("outcome", "its job") if unwritten == 1 else ("outcomes", "their jobs")
        return (
            f"the {outcomes} of {_counted(unwritten, 'attempt')} could not be written; "
            f"other nodes will rescue {jobs}"
        )
    if released:
        return f"{_counted(released, 'job')} returned, all other jobs finished"
    return "all jobs finished"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
