"""The socket between a supervisor and one of its node processes. Each side notices the
end of the other by the end of the socket.

supervisor ── stop, stop now ──> node process
           <── ready, or cannot start: the settings or tables must be changed first ──
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final, Self

import click

from elihu.errors import ConfigError, PermissionDenied, SchemaError

READY: Final = b"r"
CANNOT_START: Final = b"c"
STOP: Final = b"s"
STOP_NOW: Final = b"n"

EXIT_TIMEOUT: Final = 30.0
"""Seconds beyond ``grace`` in which a node process has to end after its supervisor
ended. Then it exits at once.
"""


class SupervisorLink:
    """The node process's end of the socket. The process stops when its supervisor ends.

    ``on_stop_now`` is called on a thread when the supervisor asks to stop now.
    """

    def __init__(self, number: int, connection: socket.socket) -> None:
        self.number = number
        self.on_stop_now: Callable[[], object] = lambda: None
        self.grace = 0.0
        self._connection = connection
        connection.set_inheritable(False)
        threading.Thread(target=self._listen, name="elihu-supervisor", daemon=True).start()

    @classmethod
    def of(cls, text: str) -> Self:
        """Open the link given as ``NUMBER:DESCRIPTOR``. Raises ``click.UsageError``."""
        try:
            number, descriptor = map(int, text.split(":"))
            return cls(number, socket.socket(fileno=descriptor))
        except (ValueError, OSError) as error:
            raise click.UsageError(
                f"--supervised: expected NUMBER:DESCRIPTOR from a supervisor, got {text!r}"
            ) from error

    def send_ready(self) -> None:
        """Report that the node runs."""
        self._send(READY)

    @contextmanager
    def reporting_failed_start(self) -> Iterator[None]:
        """Report a failure that a restart cannot fix: wrong settings, flags or tables."""
        try:
            yield
        except (ConfigError, PermissionDenied, SchemaError, click.UsageError):
            self._send(CANNOT_START)
            raise

    def _send(self, message: bytes) -> None:
        with suppress(OSError):
            self._connection.sendall(message)

    def _listen(self) -> None:
        """Runs on a thread, so that a task that blocks the event loop does not keep the
        process alive without its supervisor.
        """
        with suppress(OSError):
            while message := self._connection.recv(1):
                if message == STOP:
                    os.kill(os.getpid(), signal.SIGTERM)
                elif message == STOP_NOW:
                    with suppress(RuntimeError):  # the loop is closed
                        self.on_stop_now()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(self.grace + EXIT_TIMEOUT)
        os._exit(1)
