"""``elihu commands``."""

from elihu.cli.commands import alerts, edit, history, runs, transfer
from elihu.cli.commands.group import commands

__all__ = ["alerts", "commands", "edit", "history", "runs", "transfer"]
