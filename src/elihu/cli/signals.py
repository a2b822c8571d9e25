"""SIGINT and SIGTERM as events: the first signal stops, the second one stops now."""

import asyncio
import signal
import time
from collections.abc import Callable
from typing import Final

from elihu.cli.status import print_notice

DUPLICATE_WINDOW: Final = 0.5
"""Seconds in which a second signal is ignored: a terminal and a wrapper may each
deliver the same Ctrl-C.
"""


class StopSignals:
    """Handles SIGINT and SIGTERM. Until ``enabled`` is set, a signal ends the command.

    The first signal sets ``stopping`` and prints ``notice``; the second one also sets
    ``stop_now`` and prints ``stop_now_notice``. An empty notice is not printed.
    ``before_notice`` is called before the first notice.
    """

    def __init__(
        self,
        notice: str,
        before_notice: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        *,
        stop_now_notice: str = "second signal: returning running jobs to their queues",
    ) -> None:
        self.stopping = asyncio.Event()
        self.stop_now = asyncio.Event()
        self.enabled = False
        self._notice = notice
        self._stop_now_notice = stop_now_notice
        self._before_notice = before_notice
        self._clock = clock
        self._first_at = 0.0
        self._task = asyncio.current_task()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self.received)

    def received(self) -> None:
        """Handle one signal."""
        if not self.enabled and self._task:
            self._task.cancel()
        elif not self.stopping.is_set():
            self._first_at = self._clock()
            self.stopping.set()
            self._before_notice()
            if self._notice:
                print_notice(self._notice)
        elif self._clock() - self._first_at >= DUPLICATE_WINDOW:
            self.request_stop_now()

    def request_stop_now(self) -> None:
        """Set both events. Later calls do nothing."""
        if not self.stop_now.is_set():
            self.stopping.set()
            self.stop_now.set()
            if self._stop_now_notice:
                print_notice(self._stop_now_notice)
