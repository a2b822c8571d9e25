"""``elihu web``: serve the JSON API and the page."""

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from elihu.cli.options import SharedOptions, pass_shared_options, shared_options_without_json
from elihu.cli.status import log_options, print_status, set_up_log

if TYPE_CHECKING:
    from elihu.app import Elihu
    from elihu.cli.page import ParentLink

OPEN = (
    "no users: whoever uses this machine may do everything, and needs no sign-in; to ask for "
    "one: elihu users add NAME --role admin"
)


def web_options(command: Any) -> Any:
    """Where the page listens."""
    for option in reversed(
        (
            click.option("--host", metavar="ADDRESS", help="Listen here; default 127.0.0.1."),
            click.option("--port", metavar="PORT", help="The port; default 8600."),
            click.option("--unix", metavar="PATH", help="Listen at this Unix socket instead."),
            click.option("--root-path", metavar="PATH", help="What a proxy puts before our paths."),
        )
    ):
        command = option(command)
    return command


def web_flags(**given: Any) -> dict[str, Any]:
    """The options as flags of settings."""
    return {"web": {name: value for name, value in given.items() if value is not None}}


@click.command()
@web_options
@click.option("--read-only", is_flag=True, default=None, help="Refuse every change.")
@click.option("--with-parent", hidden=True)
@log_options
@shared_options_without_json
@pass_shared_options
def web(
    options: SharedOptions,
    /,
    with_parent: str | None,
    log_level: str | None,
    log_format: str | None,
    **given: Any,
) -> None:
    """Serve the JSON API and the page.

    Runs until SIGINT or SIGTERM. It runs no jobs: nodes do. Other addresses than those of
    this machine need users first.
    """
    from elihu.cli.event_loop import run_loop
    from elihu.cli.group import packages_of
    from elihu.cli.load_app import AppNeed, open_app
    from elihu.cli.page import ParentLink

    link = None if with_parent is None else ParentLink(with_parent)
    log_flags = {"log_level": log_level, "log_format": log_format}
    app = open_app(options, need=AppNeed.APP, **web_flags(**given), **log_flags)
    set_up_log(app.config)
    with packages_of("elihu[web]"):
        run_loop(_serve(app, link))


async def _serve(app: "Elihu", link: "ParentLink | None") -> None:
    from elihu.cli.signals import StopSignals
    from elihu.web.server import Server, has_users

    say = partial(_print_status, quiet=link is not None)
    signals = StopSignals("", lambda: None, stop_now_notice="")
    server = Server(app)
    async with app:
        say("database", app.config.describe_tables())
        await server.prepare()
        _print_status("page", server.address)
        if server.is_local and not await has_users(app):
            _print_status("sign-in", OPEN)
        signals.enabled = True
        if link is not None:
            link.send_ready()
        await server.serve(signals.stopping)
    say("stopped", "the page")


def _print_status(what: str, text: str, *, quiet: bool = False) -> None:
    if not quiet:
        print_status(what, text)
