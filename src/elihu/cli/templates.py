"""``elihu templates``."""

from typing import TYPE_CHECKING, Any

import click

from elihu.cli.complete import NamesOf
from elihu.cli.group import Group
from elihu.cli.options import SharedOptions, pass_shared_options, shared_options
from elihu.cli.parse import flags_named, read_delay, read_json_or_stdin

if TYPE_CHECKING:
    from elihu.api.template_sync import Synced
    from elihu.app import Elihu
    from elihu.template import Template

_NO_LIMIT = "none"
_COLUMNS = (
    "code",
    "name",
    "task",
    "queue",
    "default_timeout",
    "default_max_attempts",
    "active",
    "display_order",
)


@click.group(cls=Group)
@shared_options
def templates() -> None:
    """List, inspect and change templates; enqueue jobs from them."""


@templates.command("ls")
@click.option("--active/--inactive", default=None, help="Only active, or only inactive templates.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=25, show_default=True)
@click.option("--after", metavar="PLACE", help="Continue after this place.")
@shared_options
@pass_shared_options
def ls(options: SharedOptions, /, active: bool | None, limit: int, after: str | None) -> None:
    """List templates by display order and code."""
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import print_json, print_table

    with flags_named(("after",), {}):
        page = run(
            open_app(options), lambda app: app.templates.list(active, after=after, limit=limit)
        )
    if options.json:
        print_json({"items": [_fields(template) for template in page.items], "next": page.next})
        return
    print_table(
        _COLUMNS, [[getattr(template, name) for name in _COLUMNS] for template in page.items]
    )
    if page.next is not None:
        click.echo(f"elihu: more templates: add --after {page.next}", err=True)


@templates.command("show")
@click.argument("code", shell_complete=NamesOf("template"))
@shared_options
@pass_shared_options
def show(options: SharedOptions, /, code: str) -> None:
    """Show all fields of a template."""
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import print_json, print_table

    values = _fields(run(open_app(options), lambda app: app.templates.get(code)))
    if options.json:
        print_json(values)
        return
    print_table(("field", "value"), list(values.items()))


def _writes(command: Any) -> Any:
    """Add the options of commands that write a template."""
    for option in reversed(
        (
            click.option("--name", metavar="TEXT"),
            click.option(
                "--task",
                metavar="NAME",
                shell_complete=NamesOf("task"),
                help="Task that the jobs run.",
            ),
            click.option(
                "--json-schema",
                metavar="JSON",
                help="JSON Schema of the context; - reads it from stdin.",
            ),
            click.option(
                "--queue",
                metavar="NAME",
                help="Default: the queue of the task if the app has it, else default.",
            ),
            click.option(
                "--default-timeout",
                metavar="DURATION",
                help='Seconds, text such as "10m", or "none" for no limit.',
            ),
            click.option("--default-max-attempts", type=int, metavar="N"),
            click.option("--active/--inactive", default=None, help="Whether it accepts new jobs."),
            click.option("--display-order", type=int, metavar="N", help="Position in lists."),
        )
    ):
        command = option(command)
    return command


@templates.command("create")
@click.argument("code")
@_writes
@shared_options
@pass_shared_options
def create(options: SharedOptions, /, code: str, **fields: Any) -> None:
    """Create a template."""
    chosen = _chosen(fields)
    for name, flag in (("name", "--name"), ("task", "--task"), ("schema", "--json-schema")):
        if name not in chosen:
            raise click.UsageError(f"{flag}: missing")

    from elihu.cli.audit_rows import audited
    from elihu.cli.load_app import AppNeed, open_app, run

    facts = {"object_id": code, "object_name": chosen["name"], "after": chosen}
    work = audited(
        "template.add", lambda app: app.templates.create(code, **chosen), lambda _: facts
    )
    with flags_named(fields, {}):
        template = run(open_app(options, need=AppNeed.APP), work)
    _print_done(options, template, "created")


@templates.command("update")
@click.argument("code", shell_complete=NamesOf("template"))
@_writes
@shared_options
@pass_shared_options
def update(options: SharedOptions, /, code: str, **fields: Any) -> None:
    """Change a template. Jobs that have not started are checked against its new schema."""
    chosen = _chosen(fields)
    if not chosen:
        raise click.UsageError("expected at least one option to change, got none")

    from elihu.cli.audit_rows import record
    from elihu.cli.load_app import AppNeed, open_app, run

    async def change(app: "Elihu") -> "Template":
        before = await app.templates.get(code)
        after = await app.templates.update(code, **chosen)
        old = {name: getattr(before, name) for name in chosen}
        await record(
            app, "template.change", object_id=code, object_name=after.name, before=old, after=chosen
        )
        return after

    with flags_named(fields, {}):
        template = run(open_app(options, need=AppNeed.APP), change)
    _print_done(options, template, "updated")


@templates.command("delete")
@click.argument("code", shell_complete=NamesOf("template"))
@shared_options
@pass_shared_options
def delete(options: SharedOptions, /, code: str) -> None:
    """Delete a template. Its jobs that have not started will be discarded."""
    from elihu.cli.audit_rows import audited
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import print_json

    facts = {"object_id": code}
    work = audited("template.delete", lambda app: app.templates.delete(code), lambda _: facts)
    run(open_app(options), work)
    if options.json:
        print_json({"code": code, "deleted": True})
        return
    click.echo(f"template {code} deleted")


@templates.command("sync")
@click.option("--force", is_flag=True, help="Also overwrite fields that were changed by hand.")
@shared_options
@pass_shared_options
def sync(options: SharedOptions, /, force: bool) -> None:
    """Create or update the templates declared by the app's tasks."""
    from elihu.cli.audit_rows import audited
    from elihu.cli.load_app import AppNeed, open_app, run
    from elihu.cli.output import field_values, print_json

    def facts(done: "Synced") -> dict[str, Any] | None:
        changed = {"created": list(done.created), "updated": list(done.updated)}
        return {"after": changed} if any(changed.values()) else None

    work = audited("template.sync", lambda app: app.templates.sync(force), facts)
    synced = field_values(run(open_app(options, need=AppNeed.TASKS), work))
    if options.json:
        print_json(synced)
        return
    words = {
        "created": "created",
        "updated": "updated",
        "unchanged": "unchanged",
        "kept": "kept, it was changed by hand",
    }
    for name, codes in synced.items():
        for code in codes:
            click.echo(f"{code}: {words[name]}")
    if not any(synced.values()):
        click.echo("the app has no task with a template")


@templates.command("enqueue")
@click.argument("code", shell_complete=NamesOf("template"))
@click.option(
    "--context",
    metavar="JSON",
    default="{}",
    help="Keyword arguments of the task as a JSON object; - reads it from stdin.",
)
@click.option(
    "--identifier", metavar="TEXT", help="Your identifier for the job, unique among stored jobs."
)
@click.option("--priority", type=int, metavar="0-9", help="0 is first.")
@click.option("--timeout", metavar="DURATION", help='Seconds, or text such as "10m".')
@click.option("--max-attempts", type=int, metavar="N")
@click.option(
    "--run",
    "when",
    type=click.Choice(["queued", "wake", "now"]),
    default="queued",
    help="wake starts it at once; now puts it at the front of the queue.",
)
@shared_options
@pass_shared_options
def enqueue(options: SharedOptions, /, code: str, context: str, when: Any, **using: Any) -> None:
    """Enqueue a job from a template and print its id."""
    values = read_json_or_stdin("--context", context)
    chosen = {name: value for name, value in using.items() if value is not None}
    if "timeout" in chosen:
        chosen["timeout"] = read_delay(chosen["timeout"])

    from elihu.cli.audit_rows import audited
    from elihu.cli.load_app import AppNeed, open_app, run
    from elihu.cli.output import print_json

    app = open_app(options, need=AppNeed.APP)
    work = audited(
        "template.enqueue",
        lambda app: app.templates.enqueue(code, values, run=when, **chosen),
        lambda job: None if job.conflict else {"object_id": code, "after": {"job": job.id}},
    )
    with flags_named(using, {}):
        job = run(app, work)
    if options.json:
        print_json(
            {
                "id": job.id,
                "state": job.state,
                "queue": job.queue,
                "identifier": job.identifier,
                "conflict": job.conflict,
            }
        )
        return
    click.echo(job.id)
    if job.conflict:
        click.echo(f"elihu: no job stored: job {job.id} has the same unique key", err=True)


def _chosen(fields: dict[str, Any]) -> dict[str, Any]:
    chosen = {name: value for name, value in fields.items() if value is not None}
    if "json_schema" in chosen:
        chosen["schema"] = read_json_or_stdin("--json-schema", chosen.pop("json_schema"))
    if "default_timeout" in chosen:
        given_timeout = chosen["default_timeout"]
        chosen["default_timeout"] = (
            None if given_timeout == _NO_LIMIT else read_delay(given_timeout)
        )
    return chosen


def _fields(template: Any) -> dict[str, Any]:
    """The public fields of a template."""
    from elihu.cli.output import field_values

    return {
        name: value
        for name, value in field_values(template).items()
        if name not in {"revision", "synced"}
    }


def _print_done(options: SharedOptions, template: Any, done: str) -> None:
    from elihu.cli.output import print_json

    if options.json:
        print_json(_fields(template))
        return
    click.echo(f"template {template.code} {done}")
