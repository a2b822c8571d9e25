"""Shows how a node's database comes along: a display updated in place on a terminal,
else a line now and then.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import click

from elihu.app import Elihu
from elihu.errors import ElihuError
from elihu.job import FINISHED, JobState

if TYPE_CHECKING:
    from rich.live import Live

REFRESH: Final = 1.0
"""Seconds between two looks on a terminal."""
LINE: Final = 10.0
"""Seconds between two lines elsewhere."""
SHARE: Final = 20
"""A look that takes long is followed by a pause this many times as long, so that
counting a large table stays cheap.
"""


class Progress:
    """Shows counts by state and the rate of ended jobs until it is ended; a database
    that is away only delays it.

    Without ``live`` it prints lines on a terminal too: others print there as well.
    """

    def __init__(self, app: Elihu, *, live: bool = True) -> None:
        self._tally = Tally(app)
        self._may_be_live = live
        self._live: Live | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Show it from now on."""
        self._task = asyncio.create_task(
            self._live_display() if self._may_be_live and sys.stdout.isatty() else self._lines()
        )

    def end(self) -> None:
        """Show no more: what is printed from now on begins on a line of its own. Ending
        twice does nothing.
        """
        if self._task:
            self._task.cancel()
        if self._live:
            self._live.stop()

    async def close(self) -> None:
        """End it, and return when it no longer looks."""
        self.end()
        if self._task:
            await asyncio.wait([self._task])

    async def _lines(self) -> None:
        before = await self._tally.look()
        while True:
            await asyncio.sleep(self._tally.pause(LINE))
            text = await self._tally.look()
            if text and text != before:
                click.echo(f"jobs      {text}")
            before = text

    async def _live_display(self) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        console = Console(highlight=False)
        if console.is_dumb_terminal:
            await self._lines()
            return
        with Live(
            console=console, auto_refresh=False, redirect_stderr=sys.stderr.isatty()
        ) as self._live:
            while True:
                text = await self._tally.look()
                if text:
                    self._live.update(
                        Text(f"jobs      {text}", no_wrap=True, overflow="ellipsis"), refresh=True
                    )
                await asyncio.sleep(self._tally.pause(REFRESH))


class Tally:
    """Counts jobs by state, and how many ended a second since the look before."""

    def __init__(self, app: Elihu, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._clock = clock
        self._ended: int | None = None
        self._at = 0.0
        self._took = 0.0

    async def look(self) -> str:
        """The counts in words, empty while the database cannot tell."""
        began = self._clock()
        try:
            counts = await self._app.jobs.counts()
        except ElihuError:
            return ""
        finally:
            self._took = self._clock() - began
        total: Counter[str] = Counter()
        for states in counts.values():
            total.update(states)
        ended = sum(total[state] for state in FINISHED)
        rate = 0.0 if self._ended is None else max(0.0, (ended - self._ended) / (began - self._at))
        self._ended, self._at = ended, began
        parts = [f"{state} {total[state]:,}" for state in JobState if total[state]]
        pace = f"{rate:,.0f}/s" if total[JobState.EXECUTING] or rate >= 0.5 else "idle"
        return " · ".join([*parts, pace] if parts else ["none"])

    def pause(self, seconds: float) -> float:
        """Seconds until the next look is due: at least ``seconds``, longer after a look
        that took long.
        """
        return max(seconds, SHARE * self._took)
