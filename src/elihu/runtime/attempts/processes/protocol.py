"""Messages between a node and its child: JSON arrays, each behind its length in four
bytes; the first element says which it is.

To the child:

    setup, FIELDS       the first: what the interpreter is to be like, and which app it serves
    perform, CALL       run this job
    cancel              let ``ctx.cancelled`` be true; meant for the job that runs, and ignored when none does
    end                 leave the lifespan and end

From the child:

    begun                                   the job is about to be run: where a child dies before, another can run it
    progress, JSON                          as ``ctx.progress`` wrote it
    log, FIELDS                             of a log record
    done, VALUE, PROBLEM, TOO_LARGE         answers: the task returned; VALUE is JSON text or None, PROBLEM why it could not be written,
    outcome, KIND, REASON, DELAY, RAISED             returned or raised an outcome,
    error, ERROR                                     raised an error,
    unable, ERROR                                    or was not run, since the child could not be set up: it ends now
"""

import struct
from collections.abc import Iterator
from typing import Any, Final

from pydantic_core import from_json, to_json

_LENGTH: Final = struct.Struct(">I")

Message = list[Any]


def frame(*message: Any) -> bytes:
    """The bytes of a message."""
    body = to_json(message)
    return _LENGTH.pack(len(body)) + body


class Frames:
    """Puts messages together from bytes as they come."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that ``data`` completes."""
        self._bytes += data
        while len(self._bytes) >= _LENGTH.size:
            end = _LENGTH.size + _LENGTH.unpack_from(self._bytes)[0]
            if len(self._bytes) < end:
                return
            body = bytes(self._bytes[_LENGTH.size : end])
            del self._bytes[:end]
            yield from_json(body)
