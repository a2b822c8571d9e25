"""Messages between a node and the supervisor of a command, each behind its length in
four bytes. Both run the same interpreter, so that ``marshal`` fits: it needs no import.

To the supervisor:

    start, ORDER          the first: what to run
    stop, REASON, GRACE   end the command and all that it started; SIGKILL follows after
                          GRACE seconds

From the supervisor:

    started, PID          the command runs
    chunks, CHUNKS        output: each is sequence, stream, bytes
    discard, FIRST, BEFORE
                          chunks that are not in the last half of the output any more
    end, FIELDS           of ``RunEnd``; nothing of the command is left
"""

import marshal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LENGTH = 4


def frame(*message: "Any") -> bytes:
    """The bytes of a message."""
    body = marshal.dumps(message)
    return len(body).to_bytes(LENGTH, "big") + body


class Frames:
    """Puts messages together from bytes as they come."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> "list[tuple[object, ...]]":
        """The messages that ``data`` completes."""
        self._bytes += data
        messages = []
        while len(self._bytes) >= LENGTH:
            end = LENGTH + int.from_bytes(self._bytes[:LENGTH], "big")
            if len(self._bytes) < end:
                break
            messages.append(marshal.loads(self._bytes[LENGTH:end]))
            del self._bytes[:end]
        return messages
