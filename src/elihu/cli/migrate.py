"""``elihu migrate``."""

from importlib import import_module
from typing import TYPE_CHECKING

import click

from elihu.cli.options import SharedOptions, pass_shared_options, shared_options

if TYPE_CHECKING:
    from elihu.config import Config


@click.command()
@click.option(
    "--sql",
    is_flag=True,
    help="Print the SQL of all migrations and change nothing.",
)
@click.option(
    "--from",
    "after",
    type=click.IntRange(min=0),
    default=None,
    metavar="VERSION",
    help="With --sql: only the migrations after this version of the tables.",
)
@shared_options
@pass_shared_options
def migrate(options: SharedOptions, /, sql: bool, after: int | None) -> None:
    """Create or upgrade the tables."""
    from elihu.cli.load_app import AppNeed, open_app, run
    from elihu.cli.output import print_json

    if sql and options.json:
        raise click.UsageError("expected --sql or --json, got both")
    if after is not None and not sql:
        raise click.UsageError("expected --sql with --from, got --from alone")
    app = open_app(options, need=AppNeed.APP)
    if sql:
        click.echo(_migration_sql(app.config, after or 0), nl=False)
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


def _migration_sql(config: "Config", after: int) -> str:
    from elihu.engines.select import engine_for
    from elihu.telemetry.bus import Bus

    engine = engine_for(config, Bus())
    package = type(engine).__module__.rpartition(".")[0]
    script: str = import_module(f"{package}.migrations").migration_sql(config.schema, after)
    return script
