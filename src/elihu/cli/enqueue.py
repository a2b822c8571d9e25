"""``elihu enqueue``."""

import json
from typing import TYPE_CHECKING, Any

import click

from elihu.cli.complete import NamesOf
from elihu.cli.group import Failure
from elihu.cli.options import SharedOptions, pass_shared_options, shared_options
from elihu.cli.parse import flags_named, read_arguments, read_delay, read_json, read_time

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from elihu.app import Elihu
    from elihu.relay import Relay
    from elihu.task import Task


@click.command()
@click.argument("task", shell_complete=NamesOf("task"))
@click.option(
    "--args",
    "arguments",
    metavar="JSON",
    default="{}",
    help="A JSON object for keyword arguments, a list for positional ones; - reads it from stdin.",
)
@click.option("--queue", metavar="NAME", shell_complete=NamesOf("queue"))
@click.option("--priority", type=int, metavar="0-9", help="0 is first.")
@click.option("--max-attempts", type=int, metavar="N")
@click.option("--timeout", metavar="DURATION", help="Time limit of each attempt.")
@click.option(
    "--expires",
    metavar="DURATION",
    help="Cancel the job if it has not started this long after its scheduled time.",
)
@click.option("--delay", metavar="DURATION", help='Seconds, or text such as "10m" or "1h30m".')
@click.option(
    "--run-at",
    metavar="TIME",
    help="ISO 8601 with a UTC offset, such as 2030-01-31T08:00:00Z.",
)
@click.option(
    "--hold", is_flag=True, default=None, help="Store the job suspended, until elihu jobs release."
)
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Repeatable.")
@click.option("--meta", metavar="JSON", help="A JSON object.")
@click.option("--wait", is_flag=True, help="Wait for the job to end and print its result as JSON.")
@click.option(
    "--within", metavar="DURATION", help="Longest time to wait, with --wait (default: 5 seconds)."
)
@shared_options
@pass_shared_options
def enqueue(
    options: SharedOptions,
    /,
    task: str,
    arguments: str,
    wait: bool,
    within: str | None,
    **using: Any,
) -> None:
    """Enqueue a job.

    TASK is the name of a task of the app. Prints the id of the job, or its result with
    --wait.
    """
    if within is not None and not wait:
        raise click.UsageError("--within: expected together with --wait, got it alone")
    values = read_arguments(arguments)
    chosen = {name: value for name, value in using.items() if value is not None and value != ()}
    for name in ("delay", "timeout", "expires"):
        if name in chosen:
            chosen[name] = read_delay(chosen[name])
    if "run_at" in chosen:
        chosen["run_at"] = read_time("--run-at", chosen["run_at"])
    if "meta" in chosen:
        chosen["meta"] = read_json("--meta", chosen["meta"])

    from elihu.cli.audit_rows import audited
    from elihu.cli.load_app import AppNeed, open_app, run
    from elihu.cli.output import print_json
    from elihu.relay import TIMEOUT, check_timeout

    app = open_app(options, need=AppNeed.TASKS)
    found = app.task_named(task)
    positions, keywords = (
        found.codec.decode(json.dumps(values)) if isinstance(values, dict) else (values, {})
    )
    if wait:
        with flags_named([*using, "within"], {"tags": "--tag"}):
            limit = check_timeout(TIMEOUT if within is None else read_delay(within), "within")
            prepared = found.using(**chosen)
        print_json(
            run(
                app,
                lambda app: _result(app, found, prepared.asubmit(*positions, **keywords), limit),
            )
        )
        return
    with flags_named(using, {"tags": "--tag"}):
        job = run(
            app,
            audited(
                "job.enqueue",
                lambda _: found.using(**chosen).aenqueue(*positions, **keywords),
                lambda job: None if job.conflict else {"object_id": job.id, "object_name": task},
            ),
        )
    if options.json:
        print_json({"id": job.id, "state": job.state, "queue": job.queue, "conflict": job.conflict})
        return
    click.echo(job.id)
    if job.conflict:
        click.echo(f"elihu: no job stored: job {job.id} has the same unique key", err=True)


async def _result(
    app: "Elihu",
    task: "Task[..., Any]",
    submitted: "Coroutine[Any, Any, Relay[Any]]",
    timeout: float | None,
) -> Any:
    """The result of the job as plain JSON. An exception of the task becomes a
    ``Failure``.
    """
    from elihu.cli.audit_rows import record
    from elihu.errors import ElihuError

    relay = await submitted
    await record(app, "job.enqueue", object_id=relay.ref, object_name=task.name)
    try:
        value = await relay.aresult(timeout)
    except ElihuError:
        raise
    except Exception as error:
        raise Failure(f"job {relay.ref} failed: {type(error).__name__}: {error}") from error
    return json.loads(task.codec.encode_result(value, app.config.max_result))
