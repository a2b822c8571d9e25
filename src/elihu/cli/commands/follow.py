"""Prints the output of a run: its standard output to ours, its standard error to ours."""

import asyncio
import sys
from time import monotonic
from typing import TYPE_CHECKING, Final
from uuid import UUID

import click

if TYPE_CHECKING:
    from elihu.cli.commands.group import Workspace
    from elihu.commands.models import CommandJob, Output

INTERVAL: Final = 0.25
"""Seconds between two looks for new output."""
MOST_CHUNKS: Final = 200
QUEUED_AFTER: Final = 5.0
"""Seconds after which a run that has not started is explained."""


class OutputPrinter:
    """Prints chunks, and says on standard error where output is left out and where
    another attempt begins.
    """

    def __init__(self, attempt: int | None = None) -> None:
        self._only = attempt
        self._after = (0, -1)

    async def print(self, space: "Workspace", run_id: UUID, *, follow: bool) -> "CommandJob":
        """Print what there is and, with ``follow``, what comes until the run ends.
        Returns the run. Raises ``RecordNotFound``.
        """
        from elihu.commands.rules import history

        explain_at = monotonic() + QUEUED_AFTER
        while True:
            async with space.sessions.read() as session:
                page = await history.output(
                    session, run_id, attempt=self._only, after=self._after, limit=MOST_CHUNKS
                )
            for chunk in page.chunks:
                self._print_chunk(chunk)
            self._after = page.next
            if page.chunks:
                continue
            if page.ended or not follow:
                break
            if monotonic() >= explain_at:
                explain_at = float("inf")
                await self._explain_queued(space, run_id)
            await asyncio.sleep(INTERVAL)
        async with space.sessions.read() as session:
            return await history.get(session, run_id)

    async def _explain_queued(self, space: "Workspace", run_id: UUID) -> None:
        from elihu.commands.rules import history

        async with space.sessions.read() as session:
            run = await history.get(session, run_id)
        if run.status == "queued":
            click.echo(
                "elihu: the run is queued: it starts at its time, after other runs, on a node that "
                "serves the queue commands, such as that of elihu up",
                err=True,
            )

    def _print_chunk(self, chunk: "Output") -> None:
        attempt, sequence = self._after
        if chunk.attempt != attempt:
            if chunk.attempt > 1 and self._only is None:
                click.echo(f"elihu: attempt {chunk.attempt}", err=True)
            sequence = -1
        if chunk.sequence > sequence + 1:
            click.echo("elihu: output is left out here", err=True)
        self._after = (chunk.attempt, chunk.sequence)
        stream = sys.stderr if chunk.stream == "stderr" else sys.stdout
        click.echo(chunk.data, file=stream.buffer, nl=False)
        stream.buffer.flush()
