"""``elihu enqueue``."""

import json
import sys
from datetime import datetime
from typing import Any

import click

from elihu.cli.options import Given, given, shared


@click.command()
@click.argument("task")
@click.option(
    "--args", "arguments", metavar="JSON", default="{}", help="An object for keywords, a list for positions; - reads it from stdin."
)
@click.option("--queue", metavar="NAME")
@click.option("--priority", type=int, metavar="0-9", help="0 is first.")
@click.option("--max-attempts", type=int, metavar="N")
@click.option("--delay", metavar="DURATION", help='Seconds, or text such as "10m" or "1h30m".')
@click.option("--run-at", metavar="TIME", help="ISO 8601 with its offset from UTC, such as 2030-01-31T08:00:00Z.")
@click.option("--hold", is_flag=True, default=None, help="Store it suspended; elihu jobs release lets it go.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="May be given several times.")
@click.option("--meta", metavar="JSON", help="An object.")
@shared
@given
def enqueue(options: Given, /, task: str, arguments: str, **using: Any) -> None:
    """Store a job.

    Prints the id of the job, which runs TASK: the name of a task of the app.
    """
    values = _arguments(sys.stdin.read() if arguments == "-" else arguments)
    using["delay"] = _delay(using["delay"])
    using["run_at"] = _time(using["run_at"])
    using["meta"] = None if using["meta"] is None else _json("--meta", using["meta"])
    chosen = {name: value for name, value in using.items() if value is not None and value != ()}

    from elihu.cli.opening import open_app, run
    from elihu.cli.output import print_json

    app = open_app(options, needs_tasks=True)
    found = app.task_named(task)
    positions, keywords = found.codec.decode(json.dumps(values)) if isinstance(values, dict) else (values, {})
    job = run(app, lambda _: found.using(**chosen).aenqueue(*positions, **keywords))
    if options.json:
        print_json({"id": job.id, "state": job.state, "queue": job.queue, "conflict": job.conflict})
        return
    click.echo(job.id)
    if job.conflict:
        click.echo(f"elihu: nothing stored: job {job.id} holds the unique key", err=True)


def _arguments(text: str) -> dict[str, Any] | list[Any]:
    values = _json("--args", text)
    if isinstance(values, dict | list):
        return values
    raise click.UsageError(f"--args: expected a JSON object or list, got {_short(text)}")


def _json(option: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"{option}: expected JSON, got {_short(text)} ({error})") from error
    except RecursionError as error:
        raise click.UsageError(f"{option}: expected JSON, got a text nested too deeply") from error


def _delay(text: str | None) -> str | float | None:
    try:
        return text if text is None else float(text)
    except ValueError:
        return text


def _time(text: str | None) -> datetime | None:
    try:
        return text if text is None else datetime.fromisoformat(text)
    except ValueError as error:
        raise click.UsageError(f"--run-at: expected a time such as 2030-01-31T08:00:00Z, got {text!r}") from error


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}…")
