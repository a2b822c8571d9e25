"""``elihu migrate``."""

from importlib import import_module
from typing import TYPE_CHECKING

import click

from elihu.cli.options import SharedOptions, pass_shared_options, shared_options

if TYPE_CHECKING:
    from elihu.app import Elihu
    from elihu.config import Config
    from elihu.engines.protocol import ChainName


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
@click.option("--commands", is_flag=True, help="The tables of the command scheduler too.")
@click.option("--accounts", is_flag=True, help="The tables of users, keys and audit too.")
@shared_options
@pass_shared_options
def migrate(
    options: SharedOptions, /, sql: bool, after: int | None, commands: bool, accounts: bool
) -> None:
    """Create or upgrade the tables.

    With --commands and --accounts those of the command scheduler and of users too. With
    --sql only the last ones that are named are printed.
    """
    from elihu.cli.load_app import AppNeed, open_app, run
    from elihu.cli.output import print_json

    if sql and options.json:
        raise click.UsageError("expected --sql or --json, got both")
    if after is not None and not sql:
        raise click.UsageError("expected --sql with --from, got --from alone")
    app = open_app(options, need=AppNeed.APP)
    chains: list[ChainName] = ["core"]
    chains += ["commands"] if commands else []
    chains += ["accounts"] if accounts else []
    if sql:
        click.echo(_migration_sql(app.config, after or 0, chains[-1]), nl=False)
        return
    database = app.config.describe_tables()

    async def migrate_all(app: "Elihu") -> "dict[ChainName, list[int]]":
        return {chain: await app.migrate(chain) for chain in chains}

    versions = run(app, migrate_all)
    if options.json:
        applied: dict[str, object] = {chain: versions[chain] for chain in chains[1:]}
        print_json(
            {
                "database": app.config.describe_database(),
                "schema": app.config.schema,
                "applied": versions["core"],
                **applied,
            }
        )
        return
    for chain, steps in versions.items():
        what = database if chain == "core" else f"{database}, tables of {chain}"
        click.echo(f"{what}: {f'migrated to version {steps[-1]}' if steps else 'up to date'}")


def _migration_sql(config: "Config", after: int, chain: "ChainName") -> str:
    from elihu.engines.select import engine_for
    from elihu.telemetry.bus import Bus

    engine = engine_for(config, Bus())
    package = type(engine).__module__.rpartition(".")[0]
    script: str = import_module(f"{package}.migrations").migration_sql(config.schema, after, chain)
    return script
