"""``elihu check``."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

import click

from elihu.cli.options import SharedOptions, pass_shared_options, shared_options
from elihu.system_queues import SYSTEM_QUEUES

if TYPE_CHECKING:
    from elihu.app import Elihu
    from elihu.task import Task


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong, or that may go wrong."""

    kind: Literal["error", "warning"]
    what: str
    text: str


@click.command()
@click.option("--strict", is_flag=True, help="Warnings count as errors.")
@shared_options
@pass_shared_options
def check(options: SharedOptions, /, strict: bool) -> None:
    """Check the app, its settings and the names in the database.

    Exits with 1 if there are errors.
    """
    from elihu.cli.load_app import AppNeed, open_app, run
    from elihu.cli.output import print_json

    app = open_app(options, need=AppNeed.TASKS)
    problems = [*declared(app), *run(app, stored)]
    bad = {"error", "warning"} if strict else {"error"}
    failed = any(problem.kind in bad for problem in problems)
    if options.json:
        print_json({"ok": not failed, "problems": [asdict(problem) for problem in problems]})
    else:
        for problem in problems:
            click.echo(f"{problem.kind}: {problem.what}: {problem.text}")
        if not problems:
            click.echo(
                f"{len(app.task_names())} tasks, {len(app.triggers)} triggers: no problem found"
            )
    if failed:
        raise click.exceptions.Exit(1)


def declared(app: "Elihu") -> list[Problem]:
    """What is wrong with the declarations and settings."""
    from elihu.task import tasks_left_out

    tasks = [app.task_named(name) for name in app.task_names()]
    found: list[Problem] = []
    if not tasks:
        found.append(
            Problem("error", "app", "it has no tasks: import their modules where the app is made")
        )
    if left_out := tasks_left_out():
        found.append(
            Problem("warning", "app", f"no app includes the group of {', '.join(left_out)}")
        )
    for task in tasks:
        queue = task.options.queue
        if app.config.require_queues and queue not in {*app.config.queues, *SYSTEM_QUEUES}:
            found.append(
                Problem(
                    "error",
                    f"task {task.name}",
                    f"its queue {queue!r} is not configured: add it to queues, or set "
                    "require_queues = false where other nodes serve it",
                )
            )
        if not _is_written_down(task):
            found.append(
                Problem(
                    "warning",
                    f"task {task.name}",
                    "its name follows its module: give it name=, so that stored jobs find it "
                    "after a move",
                )
            )
    return found


async def stored(app: "Elihu") -> list[Problem]:
    """What in the database nothing answers to."""
    from elihu.errors import ElihuError

    engine = None
    try:
        engine = await app._clients.client().connect(make=False)
        if not await engine.schema_version():
            return [Problem("error", "tables", 'there are none: run "elihu migrate"')]
        await engine.check_schema()
    except ElihuError as error:
        return [Problem("error", "tables" if engine else "database", str(error))]
    known = {name for task in app.task_names() for name in _names(app.task_named(task))}
    found = [
        Problem(
            "error",
            f"task {row.task}",
            f"{row.jobs:,} unfinished jobs in queue {row.queue}, and the app has no task of this "
            "name: keep it as aliases=, or delete the jobs",
        )
        for row in await engine.waiting_tasks()
        if row.task not in known and row.queue not in SYSTEM_QUEUES
    ]
    for entry in await app.crons.list():
        if entry.error is not None:
            found.append(Problem("error", f"cron {entry.name}", entry.error))
        elif entry.task not in known and entry.queue not in SYSTEM_QUEUES:
            found.append(
                Problem("error", f"cron {entry.name}", f"the app has no task {entry.task!r}")
            )
    after = None
    while True:
        page = await app.templates.list(active=True, after=after)
        found += [
            Problem("error", f"template {each.code}", f"the app has no task {each.task!r}")
            for each in page.items
            if each.task not in known
        ]
        if (after := page.next) is None:
            return found


def _names(task: "Task[..., object]") -> tuple[str, ...]:
    return (task.name, *task.aliases)


def _is_written_down(task: "Task[..., object]") -> bool:
    return not task.name.endswith(f"{task.fn.__module__}.{task.fn.__qualname__}")
