"""``elihu commands``."""

from elihu.cli.commands import edit, history, runs, transfer
from elihu.cli.commands.group import commands

__all__ = ["commands", "edit", "history", "runs", "transfer"]
