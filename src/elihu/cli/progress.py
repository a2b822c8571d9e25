"""Shows the progress of a running node: a live line on a terminal, otherwise a line
every few seconds.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from elihu.app import Elihu
from elihu.cli.status import print_status
from elihu.errors import ElihuError
from elihu.job import FINISHED, JobState

if TYPE_CHECKING:
    from rich.live import Live

TERMINAL_INTERVAL: Final = 1.0
"""Seconds between two updates on a terminal."""
LINE_INTERVAL: Final = 10.0
"""Seconds between two lines without a terminal."""
COUNT_SHARE: Final = 20
"""After a count that took ``n`` seconds, the next one waits at least ``n`` times this,
so that counting a large table stays cheap.
"""


class Progress:
    """Shows the number of jobs by state and the rate of finished jobs. While the
    database is unavailable it shows nothing new.

    With ``live=False`` it prints lines on a terminal too, for a terminal shared with
    other processes.
    """

    def __init__(self, app: Elihu, *, live: bool = True) -> None:
        self._counter = JobCounter(app)
        self._may_be_live = live
        self._live: Live | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start to show it."""
        self._task = asyncio.create_task(
            self._live_display() if self._may_be_live and sys.stdout.isatty() else self._lines()
        )

    def end(self) -> None:
        """Stop to show it, so that later output begins on a new line. A second call
        does nothing.
        """
        if self._task:
            self._task.cancel()
        if self._live:
            self._live.stop()

    async def close(self) -> None:
        """Call ``end`` and wait until no count is under way."""
        self.end()
        if self._task:
            await asyncio.wait([self._task])

    async def _lines(self) -> None:
        before = await self._counter.count()
        while True:
            await asyncio.sleep(self._counter.pause(LINE_INTERVAL))
            text = await self._counter.count()
            if text and text != before:
                print_status("jobs", text)
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
                text = await self._counter.count()
                if text:
                    self._live.update(
                        Text(f"jobs      {text}", no_wrap=True, overflow="ellipsis"), refresh=True
                    )
                await asyncio.sleep(self._counter.pause(TERMINAL_INTERVAL))


class JobCounter:
    """Counts jobs by state, and the jobs finished a second since the last count."""

    def __init__(self, app: Elihu, clock: Callable[[], float] = time.monotonic) -> None:
        self._app = app
        self._clock = clock
        self._ended: int | None = None
        self._at = 0.0
        self._took = 0.0

    async def count(self) -> str:
        """Count, and return the counts as text; empty if the database is unavailable."""
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
        """Seconds until the next count: at least ``seconds``, longer after a slow
        count.
        """
        return max(seconds, COUNT_SHARE * self._took)
