"""The child's end of its connection to the node."""

import socket
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from elihu.runtime.attempts.processes.protocol import Frames, Message, frame

CHUNK: Final = 65_536


class Channel:
    """Sends from any thread. Receives in the main thread; only ``arrived`` may be called
    from others. A closed connection raises ``EOFError``.
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)
        self._frames = Frames()
        self._received: deque[Message] = deque()
        self._sending = threading.RLock()
        self._writing = False
        self._held: deque[bytes] = deque()
        self._reading = threading.Lock()
        self._mid_frame = False
        self._after_frame: Callable[[], None] | None = None

    def fileno(self) -> int:
        return self._socket.fileno()

    def receive(self) -> Message:
        """Wait for the next message."""
        with self._reading:
            while not self._received:
                self._take(0)
            return self._received.popleft()

    def arrived(self, kind: str, number: int) -> list[Message]:
        """The messages of this kind about this job that have arrived and are not
        received. Does not wait.
        """
        if not self._reading.acquire(blocking=False):
            return []
        try:
            with suppress(BlockingIOError, EOFError):
                self._take(socket.MSG_DONTWAIT)
            return [each for each in self._received if each[0] == kind and each[1] == number]
        finally:
            self._reading.release()

    def send(self, *message: Any) -> None:
        """Send one message. A signal handler or a finalizer that sends while its thread
        sends another one leaves it to that.
        """
        data = frame(*message)
        if threading.current_thread() is not threading.main_thread():
            with self._sending:
                self._write(data)
            return
        with self._sending:
            if self._writing:
                self._held.append(data)
                return
            self._mid_frame = True
            try:
                self._write(data)
            finally:
                self._mid_frame = False
        if call := self._after_frame:
            self._after_frame = None
            call()

    def between_frames(self, call: Callable[[], None]) -> None:
        """Call it in the main thread: now, or after the message that is being sent. For
        a signal handler that raises: it would leave half a message on the connection.
        """
        if self._mid_frame:
            self._after_frame = call
        else:
            call()

    def _write(self, data: bytes) -> None:
        if self._writing:
            self._held.append(data)
            return
        self._writing = True
        try:
            self._socket.sendall(data)
            while self._held:
                self._socket.sendall(self._held.popleft())
        finally:
            self._writing = False

    def _take(self, flags: int) -> None:
        data = self._socket.recv(CHUNK, flags)
        if not data:
            raise EOFError
        self._received.extend(self._frames.feed(data))
