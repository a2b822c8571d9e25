"""``elihu tasks``."""

import click

from elihu.cli.group import Group
from elihu.cli.options import SharedOptions, pass_shared_options, shared_options


@click.group(cls=Group)
@shared_options
def tasks() -> None:
    """List the tasks of an app."""


@tasks.command("ls")
@shared_options
@pass_shared_options
def ls(options: SharedOptions) -> None:
    """List the tasks that the app declares, with their unfinished jobs."""
    from collections import Counter

    from elihu.cli.load_app import AppNeed, open_app, run
    from elihu.cli.output import print_json, print_table

    app = open_app(options, need=AppNeed.TASKS)

    async def count(_: object) -> Counter[str]:
        engine = await app._clients.client().ready()
        jobs: Counter[str] = Counter()
        for row in await engine.waiting_tasks():
            jobs[row.task] += row.jobs
        return jobs

    jobs = run(app, count)
    found = [
        {
            "name": task.name,
            "aliases": list(task.aliases),
            "queue": task.options.queue,
            "run_in": task.run_in,
            "max_attempts": task.options.max_attempts,
            "timeout": task.options.timeout,
            "unfinished": sum(jobs[name] for name in (task.name, *task.aliases)),
        }
        for task in map(app.task_named, app.task_names())
    ]
    if options.json:
        print_json(found)
        return
    columns = ("name", "queue", "run_in", "max_attempts", "timeout", "unfinished")
    print_table(columns, [[each[name] for name in columns] for each in found])
