"""``elihu nodes``."""

import click

from elihu.cli.group import Group
from elihu.cli.options import SharedOptions, pass_shared_options, shared_options


@click.group(cls=Group)
@shared_options
def nodes() -> None:
    """List the nodes that execute jobs."""


@nodes.command("ls")
@shared_options
@pass_shared_options
def ls(options: SharedOptions) -> None:
    """List the nodes."""
    from elihu.cli.load_app import open_app, run
    from elihu.cli.output import print_json, print_table

    found = run(open_app(options), lambda app: app.nodes.list())
    if options.json:
        print_json([node._asdict() for node in found])
        return
    columns = ("id", "name", "started_at", "beat_at", "leader", "running")
    print_table(
        (*columns, "abandoned"),
        [
            [*(getattr(node, column) for column in columns), node.info.get("abandoned", 0)]
            for node in found
        ],
    )
