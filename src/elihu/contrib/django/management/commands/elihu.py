"""``manage.py elihu …``: the command line of Elihu, for the project's app."""

import runpy
import sys
from argparse import REMAINDER
from typing import Any

from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    help = "Runs nodes, and inspects and changes jobs: see elihu --help."
    requires_system_checks = ()

    def run_from_argv(self, argv: list[str]) -> None:
        self._run(_without_own_options(argv[2:]))

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("arguments", nargs=REMAINDER)

    def handle(self, *_args: Any, arguments: list[str], **_options: Any) -> None:
        self._run(arguments)

    def _run(self, arguments: list[str]) -> None:
        before = sys.argv
        sys.argv = ["elihu", *arguments]
        try:
            runpy.run_module("elihu", run_name="__main__", alter_sys=True)
        finally:
            sys.argv = before


def _without_own_options(arguments: list[str]) -> list[str]:
    """The arguments without those that Django's command line has applied already."""
    kept, skip = [], False
    for argument in arguments:
        if skip or argument.startswith(("--settings=", "--pythonpath=")):
            skip = False
        elif argument in {"--settings", "--pythonpath"}:
            skip = True
        else:
            kept.append(argument)
    return kept
