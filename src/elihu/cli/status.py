"""Status lines of commands that run until they are stopped, each with its time."""

import json
import sys
from datetime import UTC, datetime
from typing import Any, Final

import click

from elihu.telemetry.logs import LEVELS, LogSettings, current_settings, set_up

LOGGER: Final = "elihu.status"


def log_options(command: Any) -> Any:
    """``--log-level`` and ``--log-format``."""
    for option in (
        click.option(
            "--log-format",
            type=click.Choice(["text", "json"]),
            help="How lines are written; default text.",
        ),
        click.option(
            "--log-level",
            type=click.Choice(LEVELS, case_sensitive=False),
            help="Log from this level on; default info.",
        ),
    ):
        command = option(command)
    return command


def set_up_log(config: Any) -> None:
    """Show the log of this command, as its settings say."""
    set_up(LogSettings(config.log_level, config.log_format))


def print_status(what: str, text: str) -> None:
    """Print what something is now, or what happened to it."""
    _print(f"{what:<10}{text}", f"{what}: {text}")


def print_notice(text: str) -> None:
    """Print a sentence; on a terminal it overwrites the ``^C`` of the key."""
    _print(text, text, begin="\r" if sys.stdout.isatty() else "")


def _print(line: str, message: str, begin: str = "") -> None:
    settings = current_settings()
    if settings is not None and settings.format == "json":
        now = datetime.now(UTC).isoformat()
        fields = {"time": now, "level": "INFO", "logger": LOGGER, "message": message}
        click.echo(json.dumps(fields, ensure_ascii=False))
    else:
        click.echo(f"{begin}{datetime.now().astimezone():%Y-%m-%d %H:%M:%S} {line}")
