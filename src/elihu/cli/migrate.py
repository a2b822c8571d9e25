"""``elihu migrate``."""

from importlib import import_module
from typing import TYPE_CHECKING

import click

from elihu.cli.options import Given, given, shared

if TYPE_CHECKING:
    from elihu.config import Config


@click.command()
@click.option(
    "--sql",
    is_flag=True,
    help="Print the statements, from no tables to the newest, and change nothing.",
)
@shared
@given
def migrate(options: Given, /, sql: bool) -> None:
    """Make the tables, or bring them up to date."""
    from elihu.cli.load_app import Need, open_app, run
    from elihu.cli.output import print_json

    if sql and options.json:
        raise click.UsageError("--sql: expected it without --json, got both")
    app = open_app(options, need=Need.APP)
    if sql:
        click.echo(_migration_sql(app.config), nl=False)
        return
    database = f"{app.config.describe_database()} (schema {app.config.schema})"
    versions = run(app, lambda app: app.migrate())
    if options.json:
        print_json(
            {
                "database": app.config.describe_database(),
                "schema": app.config.schema,
                "applied": versions,
            }
        )
        return
    click.echo(f"{database}: {f'migrated to version {versions[-1]}' if versions else 'up to date'}")


def _migration_sql(config: "Config") -> str:
    from elihu.engines.select import engine_for
    from elihu.telemetry.bus import Bus

    engine = engine_for(config, Bus())
    package = type(engine).__module__.rpartition(".")[0]
    script: str = import_module(f"{package}.migrations").migration_sql(config.schema)
    return script
