"""``elihu jobs``."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from elihu.cli.options import Given, given, shared
from elihu.job import JobState

F = TypeVar("F", bound=Callable[..., Any])

_ID = click.IntRange(1, 2**63 - 1)
_FILTERS = (
    click.argument("ids", type=_ID, nargs=-1),
    click.option("--state", multiple=True, type=click.Choice([str(state) for state in JobState])),
    click.option("--queue", multiple=True, metavar="NAME"),
    click.option("--task", multiple=True, metavar="NAME"),
    click.option("--tag", "tags", multiple=True, metavar="TAG"),
    click.option("--node", multiple=True, metavar="ID"),
)


def _filters(command: F) -> F:
    for option in reversed(_FILTERS):
        command = option(command)
    return command


@click.group()
@shared
def jobs() -> None:
    """Look at stored jobs, and steer them.

    Each filter may be given several times: one of its values must match, and all filters must.
    """


@jobs.command("ls")
@_filters
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True)
@click.option("--after", type=_ID, metavar="ID", help="The last id of the page before.")
@shared
@given
def ls(options: Given, /, limit: int, after: int | None, **filters: tuple[Any, ...]) -> None:
    """List jobs, newest first."""
    from elihu.cli.opening import open_app, run
    from elihu.cli.output import field_values, print_json, print_table

    page = run(open_app(options), lambda app: app.jobs.list(after=after, limit=limit, **_chosen(filters)))
    if options.json:
        print_json({"items": [field_values(job) for job in page.items], "next": page.next})
        return
    columns = ("id", "state", "queue", "task", "attempt", "priority", "scheduled_at", "tags")
    print_table(
        columns,
        [[f"{job.attempt}/{job.max_attempts}" if name == "attempt" else getattr(job, name) for name in columns] for job in page.items],
    )
    if page.next is not None:
        click.echo(f"elihu: there are more: --after {page.next}", err=True)


@jobs.command("show")
@click.argument("job_id", metavar="ID", type=_ID)
@shared
@given
def show(options: Given, /, job_id: int) -> None:
    """Show all fields of a job."""
    from elihu.cli.opening import open_app, run
    from elihu.cli.output import field_values, print_json, print_table

    values = field_values(run(open_app(options), lambda app: app.jobs.get(job_id)))
    del values["conflict"]
    if options.json:
        print_json(values)
        return
    print_table(("field", "value"), list(values.items()))


@jobs.command("runs")
@click.argument("job_id", metavar="ID", type=_ID)
@shared
@given
def runs(options: Given, /, job_id: int) -> None:
    """List the attempts to execute a job."""
    from elihu.cli.opening import open_app, run
    from elihu.cli.output import field_values, print_json, print_table

    found = run(open_app(options), lambda app: app.jobs.runs(job_id))
    if options.json:
        print_json([field_values(each) for each in found])
        return
    columns = ("id", "attempt", "node", "started_at", "ended_at", "result", "reason", "error")
    print_table(columns, [[getattr(each, column) for column in columns] for each in found])


@jobs.command("position")
@click.argument("job_id", metavar="ID", type=_ID)
@shared
@given
def position(options: Given, /, job_id: int) -> None:
    """Print a job's place in its queue.

    1 is the next to run; a job that is not available has none.
    """
    from elihu.cli.opening import open_app, run
    from elihu.cli.output import print_json

    place = run(open_app(options), lambda app: app.jobs.position(job_id))
    if options.json:
        print_json({"position": place})
        return
    click.echo("none" if place is None else place)


def _verb(name: str, past: str, line: str) -> None:
    """Add a verb that takes ids and filters and prints how many jobs changed."""

    @jobs.command(name, help=line)
    @_filters
    @shared
    @given
    def command(options: Given, /, **filters: tuple[Any, ...]) -> None:
        chosen = _chosen(filters)
        if not chosen:
            raise click.UsageError("expected ids or a filter, got none: every job would match")

        from elihu.cli.opening import open_app, run
        from elihu.cli.output import print_json

        changed = run(open_app(options), lambda app: getattr(app.jobs, name)(**chosen))
        if options.json:
            print_json({past: changed})
            return
        click.echo(f"{changed:,} {'job' if changed == 1 else 'jobs'} {past}")


def _chosen(filters: dict[str, tuple[Any, ...]]) -> dict[str, list[Any]]:
    return {name: list(values) for name, values in filters.items() if values}


_verb("cancel", "cancelled", "End jobs as cancelled; one that runs is told to end.")
_verb("retry", "retried", "Make jobs available again.")
_verb("delete", "deleted", "Remove jobs that are not executing, with their runs.")
_verb("hold", "held", "Suspend jobs that wait.")
_verb("release", "released", "Let suspended jobs go.")
