"""``elihu up`` and ``elihu start``: one node in this process, until a signal ends it."""

import asyncio
import logging
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

from elihu.cli.options import Given, given, shared_but_json

if TYPE_CHECKING:
    from elihu.app import Elihu
    from elihu.runtime.queues import Setting

logger = logging.getLogger("elihu")

ECHO: Final = 0.5
"""Seconds within which a second signal is the first one again: a terminal and a wrapper may each deliver one Ctrl-C."""

NO_APP: Final = "none: this node knows no task, and puts back the jobs it meets"

_QUEUES = click.option("--queues", metavar="NAME=LIMIT,…", help="The queues to serve, each with its number of jobs at a time.")


@click.command()
@_QUEUES
@shared_but_json
@given
def up(options: Given, queues: str | None) -> None:
    """Bring the tables up to date, then run a node.

    It runs until it is interrupted: SIGINT or SIGTERM lets running jobs end, a second one does not wait. Without an app the node
    knows no task.
    """
    _serve(options, queues, needs_tasks=False, migrate=True)


@click.command()
@_QUEUES
@shared_but_json
@given
def start(options: Given, queues: str | None) -> None:
    """Run a node: execute the jobs of some queues.

    It runs until it is interrupted: SIGINT or SIGTERM lets running jobs end, a second one does not wait.
    """
    _serve(options, queues, needs_tasks=True, migrate=False)


def _serve(options: Given, queues: str | None, *, needs_tasks: bool, migrate: bool) -> None:
    from elihu.cli.opening import Need, open_app
    from elihu.config import find_app

    if options.json:
        raise click.UsageError("--json: expected a command that prints a table, got one that runs a node")
    app = open_app(options, need=Need.TASKS if needs_tasks else Need.APP, queues=queues)
    named = find_app(flags={"app": options.app})
    _log_to_stderr()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        try:
            _run_to_its_end(runner.get_loop(), _run_node(app, named and named.value, split=queues is not None, migrate=migrate))
        except asyncio.CancelledError:
            raise click.Abort from None


def _run_to_its_end(loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, None]) -> None:
    """Run the loop until the coroutine ends. ``SystemExit`` of an asyncio task that a job made stops a loop: it goes on."""
    task = loop.create_task(coroutine)
    while not task.done():
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:
            if task.done():
                raise
            logger.warning("a job's asyncio task raised %r; the node goes on", error)
    task.result()


async def _run_node(app: "Elihu", name: str | None, *, split: bool, migrate: bool) -> None:
    from elihu.cli.progress import Progress
    from elihu.runtime.node import Node
    from elihu.telemetry.events import QueueShutdown

    progress = Progress(app)
    stops = Stops(f"stopping: running jobs have {app.config.grace:g} s to end; a second signal does not wait for them", progress.end)
    nodes: list[Node] = []
    released: list[int] = []
    app.on(QueueShutdown, lambda event: released.extend(event.released))

    def started(node: Node) -> None:
        stops.armed = True
        nodes.append(node)
        if (live := node.queues.served) != {name: (limit, False) for name, limit in app.config.queues.items()}:
            _say("queues", f"{_shown(live)}, as stored")
        _say("node", node.id)
        progress.begin()

    async with app:
        _say("app", f"{name} ({_several(len(app.task_names()), 'task')})" if name else NO_APP)
        _say("database", f"{app.config.describe_database()} (schema {app.config.schema})")
        if app.config.file:
            _say("settings", str(app.config.file))
        if migrate:
            versions = await app.migrate()
            _say("tables", f"migrated to version {versions[-1]}" if versions else "up to date")
        _say("queues", ", ".join(f"{name}={limit}" for name, limit in app.config.queues.items()))
        try:
            await app.serve(app.config.queues if split else None, stopping=stops.stopping, stop_now=stops.stop_now, started=started)
        finally:
            await progress.close()
    _say("stopped", ending(sum(node.unwritten for node in nodes), len(released)))


def _shown(live: "Mapping[str, Setting]") -> str:
    return ", ".join(f"{name}={setting.limit}{' (paused)' if setting.paused else ''}" for name, setting in live.items()) or "none"


def ending(unwritten: int, released: int) -> str:
    """What a node says at its end of the attempts whose end it could not write and of the jobs it gave back."""
    if unwritten:
        ends, jobs = ("end", "its job") if unwritten == 1 else ("ends", "their jobs")
        return f"the {ends} of {_several(unwritten, 'attempt')} could not be written: other nodes will rescue {jobs}"
    if released:
        return f"{_several(released, 'job')} given back, every other one that ran here is finished"
    return "every job that ran here is finished"


def _several(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


class Stops:
    """Turns signals into events: the first one stops, the second stops now. Before the node runs, a signal ends the command.

    ``before`` is called before anything is printed.
    """

    def __init__(self, notice: str, before: Callable[[], None], clock: Callable[[], float] = time.monotonic) -> None:
        self.stopping = asyncio.Event()
        self.stop_now = asyncio.Event()
        self.armed = False
        self._notice = notice
        self._before = before
        self._clock = clock
        self._first = 0.0
        self._task = asyncio.current_task()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self.received)

    def received(self) -> None:
        """A signal came."""
        if not self.armed and self._task:
            self._task.cancel()
        elif not self.stopping.is_set():
            self._first = self._clock()
            self.stopping.set()
            self._before()
            _tell(self._notice)
        elif not self.stop_now.is_set() and self._clock() - self._first >= ECHO:
            self.stop_now.set()
            _tell("second signal: giving back what runs")


def _tell(text: str) -> None:
    """Print a line; on a terminal over the ``^C`` that it shows for the key."""
    click.echo(f"\r{text}" if sys.stdout.isatty() else text)


def _say(what: str, text: str) -> None:
    click.echo(f"{what:<10}{text}")


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes uvloop's event loops where it is installed; None for the standard library's."""
    try:
        factory: Callable[[], asyncio.AbstractEventLoop] = import_module("uvloop").new_event_loop
    except ModuleNotFoundError:
        return None
    return factory


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to what ``sys.stderr`` is at that moment, which the live display replaces."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def _log_to_stderr() -> None:
    """Show log lines, unless the app has set logging up itself."""
    root = logging.getLogger()
    if not root.handlers:
        handler = _StderrHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(handler)
        root.setLevel(logging.INFO)
