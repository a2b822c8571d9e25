"""``elihu triggers``."""

from typing import TYPE_CHECKING, Any

import click

from elihu.cli.complete import NamesOf
from elihu.cli.group import Group
from elihu.cli.options import SharedOptions, pass_shared_options, shared_options
from elihu.cli.parse import read_json

if TYPE_CHECKING:
    from elihu import Elihu, Trigger


@click.group(cls=Group)
@shared_options
def triggers() -> None:
    """List the triggers of an app, scan for records and act on them.

    They are declared in code, so that these commands need --app.
    """


@triggers.command("ls")
@shared_options
@pass_shared_options
def ls(options: SharedOptions) -> None:
    """List triggers."""
    from elihu.cli.load_app import AppNeed, open_app
    from elihu.cli.output import print_json, print_table

    found = [_row(trigger) for trigger in open_app(options, need=AppNeed.TASKS).triggers]
    if options.json:
        print_json(found)
        return
    columns = ("name", "model", "cron", "queue", "state", "task")
    print_table(columns, [[row[name] for name in columns] for row in found])


@triggers.command("show")
@click.argument("name", metavar="NAME", shell_complete=NamesOf("trigger"))
@shared_options
@pass_shared_options
def show(options: SharedOptions, /, name: str) -> None:
    """Show the options of a trigger."""
    from dataclasses import fields

    from elihu.cli.load_app import AppNeed, open_app
    from elihu.cli.output import print_json, print_table

    trigger = open_app(options, need=AppNeed.TASKS).triggers.get(name)
    values = _row(trigger) | {
        field.name: _shown(getattr(trigger.options, field.name))
        for field in fields(trigger.options)
    }
    if options.json:
        print_json(values)
        return
    print_table(("field", "value"), list(values.items()))


@triggers.command("scan")
@click.argument("name", metavar="NAME", shell_complete=NamesOf("trigger"))
@click.option("--count", is_flag=True, help="Count matching records; store nothing.")
@shared_options
@pass_shared_options
def scan(options: SharedOptions, /, name: str, count: bool) -> None:
    """Enqueue a job for each record that matches and has none."""
    from dataclasses import asdict

    from elihu.cli.audit_rows import audited
    from elihu.cli.load_app import AppNeed, open_app, run
    from elihu.cli.output import print_json

    app = open_app(options, need=AppNeed.TASKS)
    trigger = app.triggers.get(name)
    if count:
        matched = run(app, lambda _: trigger.compiled.scanner.matching())
        if options.json:
            print_json({"matched": matched})
        else:
            click.echo(f"{matched:,} records match")
        return
    counts = run(app, audited("trigger.scan", lambda _: trigger.scan(), lambda _: _named(name)))
    if options.json:
        print_json(asdict(counts))
        return
    click.echo(
        f"{counts.matched:,} records match: {counts.enqueued:,} jobs enqueued, "
        f"{counts.conflicts:,} had one"
    )


@triggers.command("run")
@click.argument("name", metavar="NAME", shell_complete=NamesOf("trigger"))
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@click.option("--input", "given", metavar="JSON", help="The action's input, a JSON object.")
@click.option("--tenant", metavar="TENANT")
@shared_options
@pass_shared_options
def run_records(
    options: SharedOptions,
    /,
    name: str,
    keys: tuple[str, ...],
    given: str | None,
    tenant: str | None,
) -> None:
    """Enqueue a job for each record with one of these primary keys.

    A key of several columns is a JSON list.
    """
    import json

    from elihu.cli.audit_rows import audited
    from elihu.cli.load_app import AppNeed, open_app, run

    app = open_app(options, need=AppNeed.TASKS)
    trigger = app.triggers.get(name)
    action_input = None if given is None else read_json("--input", given)
    stored = [_key(trigger, key) for key in keys]

    async def enqueue(app: "Elihu") -> list[int]:
        jobs = [
            await app.aenqueue(trigger.build_for(key, tenant=tenant, action_input=action_input))
            for key in stored
        ]
        return [job.id for job in jobs]

    def facts(ids: list[int]) -> dict[str, Any]:
        return _named(name) | {"after": {"jobs": ids[:100]}}

    for job_id in run(app, audited("trigger.run", enqueue, facts)):
        click.echo(json.dumps(job_id))


@triggers.command("pause")
@click.argument("name", metavar="NAME", shell_complete=NamesOf("trigger"))
@shared_options
@pass_shared_options
def pause(options: SharedOptions, /, name: str) -> None:
    """Stop the scans of a trigger. Stored jobs still run."""
    _change(options, name, "pause")


@triggers.command("resume")
@click.argument("name", metavar="NAME", shell_complete=NamesOf("trigger"))
@shared_options
@pass_shared_options
def resume(options: SharedOptions, /, name: str) -> None:
    """Resume the scans of a trigger."""
    _change(options, name, "resume")


def _change(options: SharedOptions, name: str, verb: str) -> None:
    from elihu.cli.audit_rows import audited
    from elihu.cli.load_app import AppNeed, open_app, run

    app = open_app(options, need=AppNeed.TASKS)
    entry = app.triggers.get(name).scan_task.name
    change = audited(
        f"trigger.{verb}", lambda app: getattr(app.crons, verb)(entry), lambda _: _named(name)
    )
    run(app, change)


def _named(name: str) -> dict[str, Any]:
    """Which trigger an audit row is of."""
    return {"object_id": name, "object_name": name}


def _row(trigger: "Trigger") -> dict[str, Any]:
    options = trigger.options
    return {
        "name": trigger.name,
        "model": trigger.model.__name__,
        "cron": options.cron,
        "queue": options.queue,
        "state": options.state,
        "task": trigger.task_name,
    }


def _shown(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    return str(value)


def _key(trigger: "Trigger", text: str) -> list[Any]:
    import json

    try:
        value = json.loads(text)
    except ValueError:
        value = text
    key = value if isinstance(value, list) else [value]
    trigger.key.load(key)
    return key
