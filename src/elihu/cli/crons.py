"""``elihu crons``."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from elihu.cli.complete import NamesOf
from elihu.cli.group import Group
from elihu.cli.options import SharedOptions, pass_shared_options, shared_options
from elihu.cli.parse import flags_named, read_arguments, read_json

if TYPE_CHECKING:
    from elihu.app import Elihu
    from elihu.schedule import CronEntry

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--tz", metavar="ZONE", help="Time zone, such as Europe/Oslo."),
    click.option(
        "--catch-up",
        metavar="none|last|all",
        help="Which missed occurrences to run after a downtime.",
    ),
    click.option(
        "--args",
        metavar="JSON",
        help="Arguments of the job as a JSON object; - reads it from stdin.",
    ),
    click.option("--queue", metavar="NAME", shell_complete=NamesOf("queue")),
    click.option("--priority", type=int, metavar="0-9", help="0 is first."),
    click.option("--max-attempts", type=int, metavar="N"),
    click.option("--tag", "tags", multiple=True, metavar="TAG", help="Repeatable."),
    click.option("--meta", metavar="JSON", help="A JSON object."),
)
_COUNT = click.option(
    "--next",
    "count",
    type=click.IntRange(0, 10_000),
    default=5,
    show_default=True,
    help="Number of occurrences to print.",
)


def _options(command: F) -> F:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group(cls=Group)
@shared_options
def crons() -> None:
    """List, inspect and change cron entries.

    A change to an entry declared in code survives restarts until it is reset.
    """


@crons.command("ls")
@click.option("--system", is_flag=True, help="Those of the command scheduler too.")
@shared_options
@pass_shared_options
def ls(options: SharedOptions, /, system: bool) -> None:
    """List cron entries."""
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import field_values, print_json, print_table

    found = run(open_app(options), lambda app: app.crons.list(system=system))
    if options.json:
        print_json([field_values(entry) for entry in found])
        return
    columns = ("name", "cron", "tz", "task", "source", "state", "next_at", "fired_at")
    print_table(
        columns,
        [
            [_state(entry) if name == "state" else getattr(entry, name) for name in columns]
            for entry in found
        ],
    )


@crons.command("show")
@click.argument("name", metavar="NAME", shell_complete=NamesOf("cron"))
@_COUNT
@shared_options
@pass_shared_options
def show(options: SharedOptions, /, name: str, count: int) -> None:
    """Show an entry and its next occurrences."""
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import field_values, print_json, print_table
    from elihu.schedule import Cron

    entry = run(open_app(options), lambda app: app.crons.get(name))
    values = field_values(entry) | {"words": None, "upcoming": []}
    if entry.error is None:
        cron = Cron(entry.cron, entry.tz)
        values |= {"words": cron.describe(), "upcoming": cron.upcoming(count)}
    if options.json:
        print_json(values)
        return
    upcoming = [("", _local(time)) for time in values.pop("upcoming")]
    print_table(
        ("field", "value"),
        [*values.items(), *([("upcoming", upcoming[0][1]), *upcoming[1:]] if upcoming else [])],
    )


@crons.command("preview")
@click.argument("cron", metavar="CRON")
@click.option("--tz", metavar="ZONE", default="UTC", show_default=True)
@_COUNT
@shared_options
@pass_shared_options
def preview(options: SharedOptions, /, cron: str, tz: str, count: int) -> None:
    """Explain a cron expression and print its next occurrences. Nothing is stored."""
    from elihu.cli.output import print_json
    from elihu.schedule import Cron

    wanted = Cron(cron, tz)
    upcoming = wanted.upcoming(count)
    if options.json:
        print_json(
            {"cron": wanted.text, "tz": wanted.tz, "words": wanted.describe(), "upcoming": upcoming}
        )
        return
    click.echo(wanted.describe())
    for time in upcoming:
        click.echo(_local(time))


@crons.command("create")
@click.argument("name", metavar="NAME")
@click.argument("cron", metavar="CRON")
@click.argument("task", metavar="TASK", shell_complete=NamesOf("task"))
@_options
@click.option("--paused", is_flag=True, default=None, help="Create it paused.")
@shared_options
@pass_shared_options
def create(
    options: SharedOptions, /, name: str, cron: str, task: str, **given_options: Any
) -> None:
    """Create an entry.

    TASK and its arguments are checked if the app has tasks.
    """
    from elihu.cli.audit_rows import audited
    from elihu.cli.load_app import open_app, run

    chosen = _chosen(given_options)
    facts = _named(name) | {"after": {"cron": cron, "task": task, **chosen}}
    work = audited(
        "cron_entry.add",
        lambda app: app.crons.create(name, cron, task, **chosen),
        lambda _: facts,
    )
    with flags_named(given_options, {"tags": "--tag"}):
        entry = run(open_app(options), work)
    _print(options, entry, "created")


@crons.command("update")
@click.argument("name", metavar="NAME", shell_complete=NamesOf("cron"))
@click.option("--cron", metavar="CRON")
@_options
@shared_options
@pass_shared_options
def update(options: SharedOptions, /, name: str, **changes: Any) -> None:
    """Change an entry.

    Arguments, tags and meta are replaced as a whole. If the schedule changes, earlier
    occurrences of the new schedule do not count as missed.
    """
    chosen = _chosen(changes)
    if not chosen:
        raise click.UsageError("expected at least one option to change, got none")

    from elihu.cli.audit_rows import record
    from elihu.cli.load_app import open_app, run

    async def change(app: "Elihu") -> "CronEntry":
        before = await app.crons.get(name)
        after = await app.crons.update(name, **chosen)
        old, new = ({each: getattr(entry, each) for each in chosen} for entry in (before, after))
        await record(app, "cron_entry.change", **_named(name), before=old, after=new)
        return after

    with flags_named(changes, {"tags": "--tag"}):
        entry = run(open_app(options), change)
    _print(options, entry, "updated")


@crons.command("delete")
@click.argument("name", metavar="NAME", shell_complete=NamesOf("cron"))
@shared_options
@pass_shared_options
def delete(options: SharedOptions, /, name: str) -> None:
    """Delete an entry that no code declares.

    It was created at run time, or no living node declares it any more.
    """
    from elihu.cli.audit_rows import audited
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import cell, print_json

    work = audited("cron_entry.delete", lambda app: app.crons.delete(name), lambda _: _named(name))
    run(open_app(options), work)
    if options.json:
        print_json({"name": name, "deleted": True})
        return
    click.echo(f"cron {cell(name)} deleted")


@crons.command("run")
@click.argument("name", metavar="NAME", shell_complete=NamesOf("cron"))
@shared_options
@pass_shared_options
def run_now(options: SharedOptions, /, name: str) -> None:
    """Enqueue the job of an entry now and print its id. The schedule does not change."""
    from elihu.cli.audit_rows import audited
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import print_json

    work = audited("cron_entry.run", lambda app: app.crons.run_now(name), lambda _: _named(name))
    job = run(open_app(options), work)
    if options.json:
        print_json({"id": job.id, "state": job.state, "queue": job.queue, "conflict": job.conflict})
        return
    click.echo(job.id)
    if job.conflict:
        click.echo(f"elihu: no job stored: job {job.id} has the same unique key", err=True)


def _verb(verb: str, past: str, line: str) -> None:
    """Add a command that takes the name of an entry."""

    @crons.command(verb, help=line)
    @click.argument("name", metavar="NAME", shell_complete=NamesOf("cron"))
    @shared_options
    @pass_shared_options
    def command(options: SharedOptions, /, name: str) -> None:
        from elihu.cli.audit_rows import audited
        from elihu.cli.load_app import open_app, run

        work = audited(
            f"cron_entry.{verb}", lambda app: getattr(app.crons, verb)(name), lambda _: _named(name)
        )
        _print(options, run(open_app(options), work), past)


def _named(name: str) -> dict[str, Any]:
    """Which entry an audit row is of."""
    return {"object_id": name, "object_name": name}


def _chosen(given_options: dict[str, Any]) -> dict[str, Any]:
    chosen = {
        name: value for name, value in given_options.items() if value is not None and value != ()
    }
    if "args" in chosen:
        chosen["args"] = read_arguments(chosen["args"])
        if not isinstance(chosen["args"], dict):
            raise click.UsageError("--args: expected a JSON object, got a list")
    if "meta" in chosen:
        chosen["meta"] = read_json("--meta", chosen["meta"])
    return chosen


def _print(options: SharedOptions, entry: "CronEntry", past: str) -> None:
    from elihu.cli.output import cell, field_values, print_json

    if options.json:
        print_json(field_values(entry))
        return
    following = f", next {cell(entry.next_at)}" if entry.next_at and not entry.paused else ""
    click.echo(f"cron {cell(entry.name)} {past}{following}")


def _state(entry: "CronEntry") -> str:
    if entry.error:
        return f"broken: {entry.error}"
    return "paused" if entry.paused else "fires" if entry.fires else "not declared by any node"


def _local(time: Any) -> str:
    """A time in its own time zone, with its UTC offset."""
    return str(time.isoformat(" ", "minutes"))


_verb("pause", "paused", "Pause an entry until it is resumed.")
_verb("resume", "resumed", "Resume a paused entry. Occurrences during the pause are skipped.")
_verb("reset", "reset", "Discard run-time changes and return to the declaration in code.")
