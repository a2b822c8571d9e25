"""Signals as events: the first one stops, the second stops now."""

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from typing import Final

import click

ECHO: Final = 0.5
"""Seconds within which a second signal is the first one again: a terminal and a wrapper
may each deliver one Ctrl-C.
"""


class Stops:
    """What SIGINT and SIGTERM ask for. Until it is ``armed`` a signal ends the command.

    ``notice`` is printed at the first signal and ``hurry_notice`` at the second; where
    they are empty, nothing is. ``before`` is called before anything is printed.
    """

    def __init__(
        self,
        notice: str,
        before: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        hurry_notice: str = "second signal: giving back what runs",
    ) -> None:
        self.stopping = asyncio.Event()
        self.stop_now = asyncio.Event()
        self.armed = False
        self._notice = notice
        self._hurry_notice = hurry_notice
        self._before = before
        self._clock = clock
        self._first = 0.0
        self._task = asyncio.current_task()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self.received)

    def received(self) -> None:
        """A signal came."""
        if not self.armed and self._task:
            self._task.cancel()
        elif not self.stopping.is_set():
            self._first = self._clock()
            self.stopping.set()
            self._before()
            _tell(self._notice)
        elif self._clock() - self._first >= ECHO:
            self.hurry()

    def hurry(self) -> None:
        """Stop now; once is enough."""
        if not self.stop_now.is_set():
            self.stopping.set()
            self.stop_now.set()
            _tell(self._hurry_notice)


def _tell(text: str) -> None:
    """Print a line; on a terminal over the ``^C`` that it shows for the key."""
    if text:
        click.echo(f"\r{text}" if sys.stdout.isatty() else text)
