"""The child's end of the line to its node."""

import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from elihu.runtime.attempts.processes.protocol import Frames, Message, frame

CHUNK: Final = 65_536


class Channel:
    """Sends from any thread; receives in the main thread, but for ``look``, which a
    thread may do that a job has left behind: of two that read, one would wait for what
    the other has. An end of the line raises ``EOFError``.
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)
        self._frames = Frames()
        self._received: deque[Message] = deque()
        self._sending = threading.Lock()
        self._reading = threading.Lock()
        self._mid_frame = False
        self._after_frame: Callable[[], None] | None = None

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> Message:
        """The next message, waited for."""
        with self._reading:
            while not self._received:
                self._take(0)
            return self._received.popleft()

    def look(self) -> bool:
        """Whether the node has said ``cancel`` meanwhile; does not wait."""
        if not self._reading.acquire(blocking=False):
            return False
        try:
            with suppress(BlockingIOError, EOFError):
                self._take(socket.MSG_DONTWAIT)
            return any(message[0] == "cancel" for message in self._received)
        finally:
            self._reading.release()

    def send(self, *message: Any) -> None:
        """Send a message as a whole."""
        data = frame(*message)
        if threading.current_thread() is not threading.main_thread():
            with self._sending:
                self._socket.sendall(data)
            return
        with self._sending:
            self._mid_frame = True
            try:
                self._socket.sendall(data)
            finally:
                self._mid_frame = False
        if call := self._after_frame:
            self._after_frame = None
            call()

    def between_frames(self, call: Callable[[], None]) -> None:
        """Call it in the main thread when that is not sending: now, or after what it
        sends. Meant for a signal handler that raises, which would leave half a message
        on the line.
        """
        if self._mid_frame:
            self._after_frame = call
        else:
            call()

    def _take(self, flags: int) -> None:
        data = self._socket.recv(CHUNK, flags)
        if not data:
            raise EOFError
        self._received.extend(self._frames.feed(data))
