"""``elihu jobs``."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from elihu.cli.complete import NamesOf
from elihu.cli.group import Failure, Group
from elihu.cli.job_transfer import export_jobs, import_jobs
from elihu.cli.options import SharedOptions, pass_shared_options, shared_options
from elihu.cli.parse import flags_named, read_arguments, read_json, read_since, read_time
from elihu.job import Job, JobState

F = TypeVar("F", bound=Callable[..., Any])

AUDITED: Final = 100
"""Ids of jobs that an audit row names."""

ERROR_SHOWN: Final = 60
"""Characters of a job's reason in the table."""

_ID = click.IntRange(1, 2**63 - 1)
_ENDING = {"cancel": "cancelling", "kill": "killing"}
_FILTERS = (
    click.argument("ids", type=_ID, nargs=-1),
    click.option("--state", multiple=True, type=click.Choice([str(state) for state in JobState])),
    click.option("--queue", multiple=True, metavar="NAME", shell_complete=NamesOf("queue")),
    click.option("--task", multiple=True, metavar="NAME", shell_complete=NamesOf("task")),
    click.option("--tag", "tags", multiple=True, metavar="TAG", shell_complete=NamesOf("tags")),
    click.option("--template", multiple=True, metavar="CODE", shell_complete=NamesOf("template")),
    click.option("--node", multiple=True, metavar="ID", shell_complete=NamesOf("node")),
)


def _filters(command: F) -> F:
    for option in reversed(_FILTERS):
        command = option(command)
    return command


@click.group(cls=Group)
@shared_options
def jobs() -> None:
    """List, inspect and change stored jobs.

    A filter can be repeated: a job matches if one of the values matches. A job must
    match every filter.
    """


@jobs.command("ls")
@_filters
@click.option("--limit", type=click.IntRange(1, 1_000), default=50, show_default=True)
@click.option("--after", type=_ID, metavar="ID", help="Continue after this id.")
@click.option(
    "--since",
    metavar="TIME",
    help="Stored since then: a duration such as 1h, or ISO 8601 with a UTC offset.",
)
@click.option("--system", is_flag=True, help="Those of the command scheduler too.")
@shared_options
@pass_shared_options
def ls(
    options: SharedOptions,
    /,
    limit: int,
    after: int | None,
    since: str | None,
    system: bool,
    **filters: tuple[Any, ...],
) -> None:
    """List jobs, newest first."""
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import field_values, print_json, print_table
    from elihu.cli.runs import duration_of

    chosen = _chosen(filters)
    when = {} if since is None else {"since": read_since("--since", since)}
    app = open_app(options)
    page = run(
        app,
        lambda app: app.jobs.list(after=after, limit=limit, system=system, **chosen, **when),
    )
    if not page.items:
        _report_unknown(app, chosen)
    if options.json:
        print_json({"items": [field_values(job) for job in page.items], "next": page.next})
        return
    columns = ("id", "state", "queue", "task", "attempt", "priority", "scheduled_at", "tags")
    print_table(
        (*columns, "duration", "error"),
        [
            [
                *(
                    f"{job.attempt}/{job.max_attempts}" if name == "attempt" else getattr(job, name)
                    for name in columns
                ),
                duration_of(job.started_at, job.finished_at),
                job.reason and job.reason.splitlines()[0][:ERROR_SHOWN],
            ]
            for job in page.items
        ],
    )
    if page.next is not None:
        click.echo(f"elihu: more jobs: add --after {page.next}", err=True)


@jobs.command("show")
@click.argument("job_id", metavar="ID", type=_ID)
@shared_options
@pass_shared_options
def show(options: SharedOptions, /, job_id: int) -> None:
    """Show all fields of a job."""
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import print_json, print_table

    values = _fields(run(open_app(options), lambda app: app.jobs.get(job_id)))
    if options.json:
        print_json(values)
        return
    print_table(("field", "value"), list(values.items()))


@jobs.command("runs")
@click.argument("job_id", metavar="ID", type=_ID)
@click.option("--full", is_flag=True, help="Print every field, with traceback and log.")
@shared_options
@pass_shared_options
def runs(options: SharedOptions, /, job_id: int, full: bool) -> None:
    """List the attempts of a job."""
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import field_values, print_json
    from elihu.cli.runs import print_full, print_runs

    found = run(open_app(options), lambda app: app.jobs.runs(job_id))
    if options.json:
        print_json([field_values(each) for each in found])
    elif full:
        print_full(found)
    else:
        print_runs(found)


@jobs.command("counts")
@shared_options
@pass_shared_options
def counts(options: SharedOptions) -> None:
    """Count the jobs of each queue by state."""
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import print_json, print_table

    found = run(open_app(options), lambda app: app.jobs.counts())
    if options.json:
        print_json(found)
        return
    print_table(
        ("queue", *JobState),
        [
            [queue, *(f"{states.get(state, 0):,}" for state in JobState)]
            for queue, states in sorted(found.items())
        ],
    )


@jobs.command("update")
@click.argument("job_id", metavar="ID", type=_ID)
@click.option(
    "--args",
    metavar="JSON",
    help="A JSON object that replaces the arguments; - reads it from stdin.",
)
@click.option("--queue", metavar="NAME", shell_complete=NamesOf("queue"))
@click.option("--priority", type=int, metavar="0-9", help="0 is first.")
@click.option(
    "--run-at",
    metavar="TIME",
    help="ISO 8601 with a UTC offset, such as 2030-01-31T08:00:00Z.",
)
@click.option("--max-attempts", type=int, metavar="N")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Replaces all tags; repeatable.")
@click.option("--meta", metavar="JSON", help="A JSON object that replaces meta.")
@shared_options
@pass_shared_options
def update(options: SharedOptions, /, job_id: int, **changes: Any) -> None:
    """Change a job that has not finished and is not executing."""
    chosen = {name: value for name, value in changes.items() if value is not None and value != ()}
    if not chosen:
        raise click.UsageError("expected at least one option to change, got none")
    if "args" in chosen:
        chosen["args"] = read_arguments(chosen["args"])
        if not isinstance(chosen["args"], dict):
            raise click.UsageError("--args: expected a JSON object, got a list")
    if "run_at" in chosen:
        chosen["run_at"] = read_time("--run-at", chosen["run_at"])
    if "meta" in chosen:
        chosen["meta"] = read_json("--meta", chosen["meta"])

    from elihu.cli.audit_rows import record
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import print_json

    async def change(app: Any) -> Job:
        before = await app.jobs.get(job_id)
        after: Job = await app.jobs.update(job_id, **chosen)
        await record(
            app, "job.change", object_id=job_id, object_name=after.task,
            before=_values(before, chosen), after=_values(after, chosen),
        )  # fmt: skip
        return after

    with flags_named(changes, {"tags": "--tag"}):
        job = run(open_app(options), change)
    if options.json:
        print_json(_fields(job))
        return
    click.echo(f"job {job.id} updated, {job.state}")


@jobs.command("stop")
@click.argument("job_id", metavar="ID", type=_ID)
@shared_options
@pass_shared_options
def stop(options: SharedOptions, /, job_id: int) -> None:
    """Return a running job to its queue without killing it.

    The job becomes available at once. The old attempt sees ctx.cancelled and may
    overlap the next one; its outcome is ignored.
    """
    from elihu.cli.audit_rows import audited
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import print_json

    facts = {"object_id": job_id}
    run(open_app(options), audited("job.stop", lambda app: app.jobs.stop(job_id), lambda _: facts))
    if options.json:
        print_json({"stopped": 1})
        return
    click.echo(f"job {job_id} stopped and available again")


@jobs.command("position")
@click.argument("job_id", metavar="[ID]", type=_ID, required=False)
@click.option("--identifier", metavar="TEXT", help="The identifier of the job, instead of its id.")
@shared_options
@pass_shared_options
def position(options: SharedOptions, /, job_id: int | None, identifier: str | None) -> None:
    """Print the position of a job in its queue.

    1 runs next. A job that is not available has no position.
    """
    if (job_id is None) == (identifier is None):
        raise click.UsageError(
            f"expected an id or --identifier, got {'none' if job_id is None else 'both'}"
        )
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import print_json

    place = run(open_app(options), lambda app: app.jobs.position(job_id, identifier=identifier))
    if options.json:
        print_json({"position": place})
        return
    click.echo("none" if place is None else place)


def _verb(name: str, past: str, line: str) -> None:
    """Add a command that takes ids and filters and prints how many jobs changed. With
    ids only, a command that changes no job fails. With filters only, it asks on a
    terminal.
    """

    @jobs.command(name, help=line)
    @_filters
    @click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
    @shared_options
    @pass_shared_options
    def command(options: SharedOptions, /, yes: bool, **filters: tuple[Any, ...]) -> None:
        chosen = _chosen(filters)
        if not chosen:
            raise click.UsageError("expected ids or a filter, got none")

        from elihu.cli.audit_rows import audited
        from elihu.cli.bulk import BulkOutcome, apply_to_jobs, count_affected
        from elihu.cli.load_app import open_app, run
        from elihu.cli.output import on_terminal, print_json

        app = open_app(options)
        if "ids" not in chosen and not yes and on_terminal():
            count = run(app, lambda app: count_affected(app, name, chosen))
            if count:
                jobs_text = "1 job" if count == 1 else f"{count:,} jobs"
                click.confirm(f"{name} {jobs_text}?", abort=True, err=True)

        def facts(outcome: BulkOutcome) -> dict[str, Any] | None:
            done = outcome.changed + outcome.signalled
            ids = chosen.get("ids", [])
            after = {**chosen, "changed": done} | ({"ids": ids[:AUDITED]} if ids else {})
            one = {"object_id": ids[0]} if len(ids) == 1 else {}
            return {"after": after} | one if done else None

        work = audited(f"job.{name}", lambda app: apply_to_jobs(app, name, chosen), facts)
        outcome = run(app, work)
        if options.json:
            print_json(
                ({} if name == "kill" else {past: outcome.changed})
                | ({_ENDING[name]: outcome.signalled} if name in _ENDING else {})
            )
        if not outcome.changed and not outcome.signalled:
            _report_unknown(app, chosen)
        if outcome.refusals:
            raise Failure(f"no job {past}: {'; '.join(outcome.refusals)}")
        if options.json:
            return
        changed = f"{outcome.changed:,} {'job' if outcome.changed == 1 else 'jobs'} {past}"
        click.echo(
            _signalled(name, outcome.signalled)
            if name == "kill"
            else f"{changed}, {_signalled(name, outcome.signalled)}"
            if outcome.signalled
            else changed
        )


def _signalled(verb: str, count: int) -> str:
    return f"{_ENDING[verb]} {count:,} running {'job' if count == 1 else 'jobs'}"


def _values(job: Job, names: dict[str, Any]) -> dict[str, Any]:
    """The fields of a job that options of these names change."""
    return {name: getattr(job, "scheduled_at" if name == "run_at" else name) for name in names}


def _fields(job: Job) -> dict[str, Any]:
    """The stored fields of a job."""
    from elihu.cli.output import field_values

    return {name: value for name, value in field_values(job).items() if name != "conflict"}


def _report_unknown(app: Any, chosen: dict[str, list[Any]]) -> None:
    """Print which filters name nothing that is known."""
    from elihu.cli.load_app import run
    from elihu.cli.unmatched import unknown_names

    for line in run(app, lambda app: unknown_names(app, chosen)):
        click.echo(f"elihu: {line}", err=True)


def _chosen(filters: dict[str, tuple[Any, ...]]) -> dict[str, list[Any]]:
    return {name: list(values) for name, values in filters.items() if values}


_verb("cancel", "cancelled", "Cancel jobs; running ones are cancelled by their node.")
_verb("kill", "killed", "End running attempts; their jobs are retried or discarded.")
_verb("retry", "retried", "Make jobs available again.")
_verb("delete", "deleted", "Remove jobs that are not executing, with their runs.")
_verb("hold", "held", "Suspend jobs that are not executing.")
_verb("release", "released", "Release suspended jobs.")
jobs.add_command(export_jobs)
jobs.add_command(import_jobs)
