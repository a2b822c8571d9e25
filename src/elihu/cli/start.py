"""``elihu up`` and ``elihu start``: one node in this process, until a signal ends it."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from elihu.cli.event_loop import run_loop
from elihu.cli.options import Given, given, shared_but_json
from elihu.cli.signals import Stops

if TYPE_CHECKING:
    from elihu.app import Elihu
    from elihu.cli.supervisor_link import Link
    from elihu.runtime.queue.manager import Setting

T = TypeVar("T")

logger = logging.getLogger("elihu")

NO_APP: Final = "none: this node knows no task, and puts back the jobs it meets"

MOST_PROCESSES: Final = 1_000

_QUEUES = click.option(
    "--queues",
    metavar="NAME=LIMIT,…",
    help="The queues to serve, each with its number of jobs at a time.",
)
_PROCESSES = click.option(
    "--processes",
    metavar="N",
    type=click.IntRange(1, MOST_PROCESSES),
    help="Run N nodes, each a process, and replace those that die.",
)
_SUPERVISED = click.option("--supervised", hidden=True)


@click.command()
@_QUEUES
@_PROCESSES
@_SUPERVISED
@shared_but_json
@given
def up(options: Given, /, **flags: Any) -> None:
    """Bring the tables up to date, then run a node.

    It runs until it is interrupted: SIGINT or SIGTERM lets running jobs end, a second
    one does not wait. Without an app the node knows no task.
    """
    _serve(options, needs_tasks=False, migrate=True, **flags)


@click.command()
@_QUEUES
@_PROCESSES
@_SUPERVISED
@shared_but_json
@given
def start(options: Given, /, **flags: Any) -> None:
    """Run a node: execute the jobs of some queues.

    It runs until it is interrupted: SIGINT or SIGTERM lets running jobs end, a second
    one does not wait.
    """
    _serve(options, needs_tasks=True, migrate=False, **flags)


def _serve(
    options: Given,
    *,
    queues: str | None,
    processes: int | None,
    supervised: str | None,
    needs_tasks: bool,
    migrate: bool,
) -> None:
    from elihu.cli.load_app import Need, open_app
    from elihu.config import find_app

    if options.json:
        raise click.UsageError(
            "--json: expected a command that prints a table, got one that runs a node"
        )
    need = Need.TASKS if needs_tasks else Need.APP
    if supervised is not None:
        from elihu.cli.supervisor_link import Link

        link = Link.of(supervised)
        with link.telling_unfit():
            app = open_app(options, need=need, queues=queues)
            link.grace = app.config.grace
            run_loop(_run_node(app, split=queues is not None, link=link))
        return
    app = open_app(options, need=need, queues=queues)
    named = find_app(flags={"app": options.app})
    introduce = partial(_introduce, app, named and named.value, migrate=migrate)
    if processes is None:
        run_loop(_run_node(app, split=queues is not None, introduce=introduce))
    else:
        sys.exit(run_loop(_run_supervisor(app, processes, introduce)))


async def _introduce(app: "Elihu", name: str | None, *, migrate: bool) -> None:
    """Say what is about to run, and on the way bring the tables up to date where that
    is asked.
    """
    _say("app", f"{name} ({_several(len(app.task_names()), 'task')})" if name else NO_APP)
    _say("database", f"{app.config.describe_database()} (schema {app.config.schema})")
    if app.config.file:
        _say("settings", str(app.config.file))
    if migrate:
        versions = await app.migrate()
        _say("tables", f"migrated to version {versions[-1]}" if versions else "up to date")
    _say("queues", ", ".join(f"{name}={limit}" for name, limit in app.config.queues.items()))


async def _run_node(
    app: "Elihu",
    *,
    split: bool,
    introduce: Callable[[], Coroutine[Any, Any, None]] | None = None,
    link: "Link | None" = None,
) -> None:
    """Run a node to its end; one of several says nothing but who it is and how it
    ended.
    """
    from elihu.cli.progress import Progress
    from elihu.runtime.node import Node
    from elihu.telemetry.events import QueueShutdown

    progress = Progress(app)
    stops = Stops("", progress.end, hurry_notice="") if link else Stops(_notice(app), progress.end)
    nodes: list[Node] = []
    released: list[int] = []
    app.on(QueueShutdown, lambda event: released.extend(event.released))

    def started(node: Node) -> None:
        stops.armed = True
        nodes.append(node)
        if (live := node.queues.served) != {
            name: (limit, False) for name, limit in app.config.queues.items()
        }:
            _say("queues", f"{_shown(live)}, as stored")
        if link is None:
            _say("node", node.id)
            progress.begin()
            return
        _say("node", f"{node.id} (process {link.number}, pid {os.getpid()})")
        link.hurry = partial(asyncio.get_running_loop().call_soon_threadsafe, stops.hurry)
        link.ready()

    async with app:
        if introduce:
            await introduce()
        try:
            queues = app.config.queues if split else None
            await app.serve(
                queues, stopping=stops.stopping, stop_now=stops.stop_now, started=started
            )
        finally:
            await progress.close()
    how = ending(sum(node.unwritten for node in nodes), len(released))
    _say("stopped", f"process {link.number}: {how}" if link else how)


async def _run_supervisor(
    app: "Elihu", processes: int, introduce: Callable[[], Coroutine[Any, Any, None]]
) -> int:
    """Run several nodes, each in a process of its own that is started with the same
    command line; the exit status.
    """
    from elihu.cli.progress import Progress
    from elihu.cli.supervisor import Supervisor, command_of

    progress = Progress(app, live=False)
    stops = Stops(_notice(app), progress.end)
    supervisor = Supervisor(
        partial(command_of, sys.orig_argv),
        processes,
        grace=app.config.grace,
        say=partial(_say, "process"),
    )
    async with app:
        await introduce()
        _say("processes", f"{processes:,}, supervised by pid {os.getpid()}")
        stops.armed = True
        progress.begin()
        try:
            status = await supervisor.run(stops)
        finally:
            await progress.close()
    if not status:
        _say("stopped", "every process")
    return status


def _notice(app: "Elihu") -> str:
    return f"stopping: running jobs have {app.config.grace:g} s to end; a second signal does not wait for them"


def _shown(live: "Mapping[str, Setting]") -> str:
    return (
        ", ".join(
            f"{name}={setting.limit}{' (paused)' if setting.paused else ''}"
            for name, setting in live.items()
        )
        or "none"
    )


def ending(unwritten: int, released: int) -> str:
    """What a node says at its end of the attempts whose end it could not write and of
    the jobs it gave back.
    """
    if unwritten:
        ends, jobs = ("end", "its job") if unwritten == 1 else ("ends", "their jobs")
        return f"the {ends} of {_several(unwritten, 'attempt')} could not be written: other nodes will rescue {jobs}"
    if released:
        return f"{_several(released, 'job')} given back, every other one that ran here is finished"
    return "every job that ran here is finished"


def _several(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _say(what: str, text: str) -> None:
    click.echo(f"{what:<10}{text}")
