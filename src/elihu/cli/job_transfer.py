"""``elihu jobs export`` and ``elihu jobs import``."""

from typing import TYPE_CHECKING, TextIO

import click

from elihu.cli.options import SharedOptions, pass_shared_options, shared_options

if TYPE_CHECKING:
    from elihu.app import Elihu
    from elihu.cli.job_lines import Imported


@click.command("export")
@shared_options
@pass_shared_options
def export_jobs(options: SharedOptions) -> None:
    """Write the unfinished jobs as lines of JSON.

    Stop the nodes first. Nothing is changed: delete the jobs here once they are imported
    elsewhere.
    """
    from elihu.cli.job_lines import lines
    from elihu.cli.load_app import open_app, run

    async def write(app: "Elihu") -> int:
        written = 0
        async for line in lines(app):
            click.echo(line)
            written += 1
        return written

    written = run(open_app(options), write)
    click.echo(f"elihu: {written:,} job{'s' * (written != 1)} written", err=True)


@click.command("import")
@click.argument("file", type=click.File(encoding="utf-8"))
@shared_options
@pass_shared_options
def import_jobs(options: SharedOptions, /, file: TextIO) -> None:
    """Store jobs that elihu jobs export wrote.

    FILE - reads standard input. Each job is stored once, however often the file is imported.
    """
    from sys import stderr

    from elihu.cli.audit_rows import audited
    from elihu.cli.job_lines import store_lines
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import print_json

    def progress(done: "Imported") -> None:
        if stderr.isatty():
            click.echo(f"\r{done.stored:,} stored, {done.known:,} known", err=True, nl=False)

    done = run(
        open_app(options),
        audited(
            "job.import",
            lambda app: store_lines(app, file, progress),
            lambda done: {"after": {"stored": done.stored}} if done.stored else None,
        ),
    )
    if stderr.isatty():
        click.echo(err=True)
    if options.json:
        print_json({"stored": done.stored, "known": done.known, "conflicts": done.conflicts})
        return
    click.echo(
        f"{done.stored:,} stored, {done.known:,} imported before, {done.conflicts:,} with the "
        "unique key of another job"
    )
