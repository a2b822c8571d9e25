"""Prints the attempts of a job, as a table or in full."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import click

from elihu.cli.output import cell, field_values, precise, print_table
from elihu.job import Run

NODE_SHOWN: Final = 8
"""Number of characters of a node id in the table."""

_COLUMNS = ("id", "attempt", "node", "started_at", "duration", "outcome", "reason", "error")
_TEXTS = ("traceback", "log")


def print_runs(runs: Sequence[Run]) -> None:
    """Print one line for each attempt. A reason that the error repeats is left out."""
    print_table(
        _COLUMNS,
        [
            [
                run.id,
                run.attempt,
                run.node and run.node[:NODE_SHOWN],
                precise(run.started_at),
                duration(run),
                run.outcome,
                reason(run),
                run.error,
            ]
            for run in runs
        ],
    )


def print_full(runs: Sequence[Run]) -> None:
    """Print all fields of each attempt, with traceback and log as plain text."""
    for number, run in enumerate(runs):
        if number:
            click.echo()
        values = field_values(run) | {
            "duration": duration(run),
            "started_at": precise(run.started_at),
        }
        values["ended_at"] = run.ended_at and precise(run.ended_at)
        texts = {name: values.pop(name) for name in _TEXTS}
        for name, value in values.items():
            click.echo(f"{name:<12}{cell(value)}")
        for name, text in texts.items():
            if text:
                click.echo(name)
                for line in text.splitlines():
                    click.echo(f"    {cell(line)}")


def reason(run: Run) -> str | None:
    """The reason, or None if the error starts with it."""
    return (
        None
        if run.reason and run.error and run.error.startswith(run.reason.removesuffix("…"))
        else run.reason
    )


def duration(run: Run) -> str | None:
    """The duration of an attempt: milliseconds below a second, seconds below a minute,
    else H:MM:SS. None while it runs.
    """
    return duration_of(run.started_at, run.ended_at)


def duration_of(started_at: datetime | None, ended_at: datetime | None) -> str | None:
    """``duration`` between two times."""
    if started_at is None or ended_at is None:
        return None
    seconds = (ended_at - started_at).total_seconds()
    if seconds < 1:
        return f"{1_000 * seconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else str(timedelta(seconds=round(seconds)))
