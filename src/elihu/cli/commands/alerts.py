"""``elihu commands test-alert``."""

from typing import TYPE_CHECKING

import click

from elihu.cli.commands.group import alert_named, commands, with_workspace
from elihu.cli.options import SharedOptions, pass_shared_options, shared_options

if TYPE_CHECKING:
    from elihu.cli.commands.group import Workspace


@commands.command("test-alert")
@click.argument("name", metavar="ALERT")
@shared_options
@pass_shared_options
def test_alert(options: SharedOptions, /, name: str) -> None:
    """Send a test of an alert, also where it is disabled. A node delivers it."""

    async def send(space: "Workspace") -> str:
        from elihu.commands.rules import alerts

        async with space.sessions.begin() as session:
            alert = await alert_named(session, name)
            await alerts.test(session, space.host, alert.id)
            return f"test of alert {alert.name} is enqueued, to {alert.target}"

    click.echo(with_workspace(options, send))
