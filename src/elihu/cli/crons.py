"""``elihu crons``."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from elihu.cli.group import Group
from elihu.cli.options import Given, given, shared
from elihu.cli.parse import flags_named, read_arguments, read_json

if TYPE_CHECKING:
    from elihu.schedule import CronEntry

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option("--tz", metavar="ZONE", help="The time zone of its times, such as Europe/Oslo."),
    click.option(
        "--catch-up",
        metavar="none|last|all",
        help="Which of the ticks missed while nothing ran are made up for.",
    ),
    click.option(
        "--args",
        metavar="JSON",
        help="An object: the job's arguments by name; - reads it from stdin.",
    ),
    click.option("--queue", metavar="NAME"),
    click.option("--priority", type=int, metavar="0-9", help="0 is first."),
    click.option("--max-attempts", type=int, metavar="N"),
    click.option("--tag", "tags", multiple=True, metavar="TAG", help="May be given several times."),
    click.option("--meta", metavar="JSON", help="An object."),
)
_COUNT = click.option(
    "--next",
    "count",
    type=click.IntRange(0, 10_000),
    default=5,
    show_default=True,
    help="How many times to print.",
)


def _options(command: F) -> F:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.group(cls=Group)
@shared
def crons() -> None:
    """Look at cron entries, and change them.

    What is changed in an entry of the code survives restarts, until reset.
    """


@crons.command("ls")
@shared
@given
def ls(options: Given) -> None:
    """List cron entries."""
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import field_values, print_json, print_table

    found = run(open_app(options), lambda app: app.crons.list())
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
@click.argument("name", metavar="NAME")
@_COUNT
@shared
@given
def show(options: Given, /, name: str, count: int) -> None:
    """Show all fields of an entry, in words when it fires, and its next times."""
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import field_values, print_json, print_table
    from elihu.schedule import Cron

    entry = run(open_app(options), lambda app: app.crons.get(name))
    cron = Cron(entry.cron, entry.tz)
    values = field_values(entry) | {"words": cron.describe(), "upcoming": cron.upcoming(count)}
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
@shared
@given
def preview(options: Given, /, cron: str, tz: str, count: int) -> None:
    """Print in words when a cron text fires, and its next times; nothing is stored."""
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
@click.argument("task", metavar="TASK")
@_options
@click.option("--paused", is_flag=True, default=None, help="It fires nothing until it is resumed.")
@shared
@given
def create(options: Given, /, name: str, cron: str, task: str, **given_options: Any) -> None:
    """Store an entry.

    TASK and its arguments are checked where there is an app with tasks.
    """
    from elihu.cli.load_app import open_app, run

    chosen = _chosen(given_options)
    with flags_named(given_options, {"tags": "--tag"}):
        entry = run(open_app(options), lambda app: app.crons.create(name, cron, task, **chosen))
    _print(options, entry, "created")


@crons.command("update")
@click.argument("name", metavar="NAME")
@click.option("--cron", metavar="CRON")
@_options
@shared
@given
def update(options: Given, /, name: str, **changes: Any) -> None:
    """Change an entry.

    Arguments, tags and meta are replaced as a whole. One whose times change has missed
    none of them.
    """
    chosen = _chosen(changes)
    if not chosen:
        raise click.UsageError("expected something to change, got none")

    from elihu.cli.load_app import open_app, run

    with flags_named(changes, {"tags": "--tag"}):
        entry = run(open_app(options), lambda app: app.crons.update(name, **chosen))
    _print(options, entry, "updated")


@crons.command("delete")
@click.argument("name", metavar="NAME")
@shared
@given
def delete(options: Given, /, name: str) -> None:
    """Remove an entry made at run time, or one that the code declares no more."""
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import cell, print_json

    run(open_app(options), lambda app: app.crons.delete(name))
    if options.json:
        print_json({"name": name, "deleted": True})
        return
    click.echo(f"cron {cell(name)} deleted")


@crons.command("run")
@click.argument("name", metavar="NAME")
@shared
@given
def run_now(options: Given, /, name: str) -> None:
    """Store the job of an entry at once, and print its id; its ticks stay as they are."""
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import print_json

    job = run(open_app(options), lambda app: app.crons.run_now(name))
    if options.json:
        print_json({"id": job.id, "state": job.state, "queue": job.queue, "conflict": job.conflict})
        return
    click.echo(job.id)
    if job.conflict:
        click.echo(f"elihu: nothing stored: job {job.id} holds the unique key", err=True)


def _verb(verb: str, past: str, line: str) -> None:
    """Add a verb that takes an entry's name."""

    @crons.command(verb, help=line)
    @click.argument("name", metavar="NAME")
    @shared
    @given
    def command(options: Given, /, name: str) -> None:
        from elihu.cli.load_app import open_app, run

        _print(options, run(open_app(options), lambda app: getattr(app.crons, verb)(name)), past)


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


def _print(options: Given, entry: "CronEntry", past: str) -> None:
    from elihu.cli.output import cell, field_values, print_json

    if options.json:
        print_json(field_values(entry))
        return
    following = f", next {cell(entry.next_at)}" if entry.next_at and not entry.paused else ""
    click.echo(f"cron {cell(entry.name)} {past}{following}")


def _state(entry: "CronEntry") -> str:
    return "paused" if entry.paused else "fires" if entry.fires else "not declared by any node"


def _local(time: Any) -> str:
    """A time in its own zone, with its offset from UTC."""
    return str(time.isoformat(" ", "minutes"))


_verb("pause", "paused", "Let an entry fire nothing, until it is resumed.")
_verb("resume", "resumed", "Let a paused entry fire again; it has missed nothing meanwhile.")
_verb("reset", "reset", "Return to what the code declares: nothing changed, not paused.")
