"""The tie between a supervisor and a node process that it started: a socket, whose end
tells each that the other is no more.

supervisor ── stop, hurry ──> node process
           <── ready, or unfit: settings or tables must be changed before any could start ──
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

from elihu.errors import ConfigError, SchemaError

READY: Final = b"r"
UNFIT: Final = b"u"
STOP: Final = b"s"
HURRY: Final = b"h"

PATIENCE: Final = 30.0
"""Seconds beyond ``grace`` that a node process, once its supervisor is gone, has to end
by itself.
"""


class Link:
    """The end that a node process holds: it stops when its supervisor is no more,
    however that ended.
    """

    def __init__(self, number: int, connection: socket.socket) -> None:
        self.number = number
        self.hurry: Callable[[], object] = lambda: None
        self.grace = 0.0
        self._connection = connection
        connection.set_inheritable(False)
        threading.Thread(target=self._listen, name="elihu-supervisor", daemon=True).start()

    @classmethod
    def of(cls, text: str) -> Self:
        """That of the process ``NUMBER:DESCRIPTOR``. Raises ``click.UsageError``."""
        try:
            number, descriptor = map(int, text.split(":"))
            return cls(number, socket.socket(fileno=descriptor))
        except (ValueError, OSError) as error:
            raise click.UsageError(
                f"--supervised: expected what a supervisor gives its processes, got {text!r}"
            ) from error

    def ready(self) -> None:
        """The node runs."""
        self._tell(READY)

    @contextmanager
    def telling_unfit(self) -> Iterator[None]:
        """Tell the supervisor where the work fails for a reason that another process
        could not mend.
        """
        try:
            yield
        except (ConfigError, SchemaError, click.UsageError):
            self._tell(UNFIT)
            raise

    def _tell(self, word: bytes) -> None:
        with suppress(OSError):
            self._connection.sendall(word)

    def _listen(self) -> None:
        """On a thread: a task that blocks the event loop does not keep the process
        alive without its supervisor.
        """
        with suppress(OSError):
            while word := self._connection.recv(1):
                if word == STOP:
                    os.kill(os.getpid(), signal.SIGTERM)
                elif word == HURRY:
                    with suppress(RuntimeError):  # the loop is closed
                        self.hurry()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(self.grace + PATIENCE)
        os._exit(1)
