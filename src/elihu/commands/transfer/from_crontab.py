"""Makes of a crontab what the file would hold."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

from elihu.commands.crontab import Crontab, CrontabEntry
from elihu.commands.rules.fields import name_key
from elihu.commands.rules.presets import cron_name
from elihu.commands.rules.variables import loads_code
from elihu.commands.transfer.document import Document, Values, complete

TIMEOUT: Final = 86_400.0
"""Seconds that a command of a crontab may run: cron itself has no limit."""
LONGEST_NAME: Final = 80

_Shared = tuple[str, str | None]
"""What makes two lines one command: its text and its working directory."""


def document_of(
    crontab: Crontab, *, environment: str, timezone: str = "UTC", timeout: float = TIMEOUT
) -> Document:
    """The commands, crons and schedules of a crontab, in one environment with its
    variables. Lines with the same command share it; a command is named after its text.

    A variable whose value is not that of every line, or that changes how programs load,
    becomes part of the commands that saw it.
    """
    entries = crontab.entries
    common = _common(entries)
    commands: dict[_Shared, Values] = {}
    schedules: dict[_Shared, list[str]] = {}
    crons: dict[str, Values] = {}
    taken: set[str] = set()
    for entry in entries:
        text = _exports(entry.variables, common) + entry.shell_command
        shared = (text, entry.working_directory)
        if shared not in commands:
            commands[shared] = complete(
                "command",
                {
                    "name": _free_name(entry.text, taken),
                    "shell_command": text,
                    "timeout": timeout,
                    "working_directory": entry.working_directory,
                },
            )
        cron = cron_name(entry.expression, timezone)
        crons[name_key(cron)] = complete(
            "cron", {"name": cron, "expression": entry.expression, "timezone": timezone}
        )
        ticks = schedules.setdefault(shared, [])
        if cron not in ticks:
            ticks.append(cron)
    return Document(
        {
            "environment": [complete("environment", {"name": environment})] if entries else [],
            "cron": list(crons.values()),
            "command": list(commands.values()),
            "schedule": [
                complete(
                    "schedule",
                    {
                        "command": commands[shared]["name"],
                        "environments": [environment],
                        "crons": ticks,
                    },
                )
                for shared, ticks in schedules.items()
            ],
            "variable": [
                complete("variable", {"name": name, "value": value, "environments": [environment]})
                for name, value in common.items()
            ],
        }
    )


def _common(entries: Sequence[CrontabEntry]) -> dict[str, str]:
    """The variables that are the same for every line."""
    if not entries:
        return {}
    first = entries[0].variables
    return {
        name: value
        for name, value in first.items()
        if not loads_code(name) and all(each.variables.get(name) == value for each in entries)
    }


def _exports(variables: Mapping[str, str], common: Mapping[str, Any]) -> str:
    return "".join(
        f"export {name}={shlex.quote(value)}\n"
        for name, value in variables.items()
        if name not in common
    )


def _free_name(text: str, taken: set[str]) -> str:
    """The text as a name, with a number where that is in use."""
    line = "".join(filter(str.isprintable, " ".join(text.split())))
    name = short = line if len(line) <= LONGEST_NAME else f"{line[: LONGEST_NAME - 1]}…"
    number = 1
    while name_key(name) in taken:
        number += 1
        name = f"{short} ({number})"
    taken.add(name_key(name))
    return name
