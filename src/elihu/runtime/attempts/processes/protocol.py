"""Messages between a node and its child: JSON arrays, each behind its length in four
bytes; the first element names the message.

To the child:

    setup, FIELDS   the first: settings of the interpreter, and which app it serves
    perform, NUMBER, CALL
                    run this job, if its ticket is there: ``tickets``.
    cancel, NUMBER, CAUSE
                    set ``ctx.cancelled`` and ``ctx.cause`` for this job; ignored when it
                    has ended
    blocked, NUMBER, TEXT
                    the slots that would run what the job waits for are held by such waits;
                    ignored when it has ended
    end             leave the lifespan and end

From the child:

    progress, JSON                  as ``ctx.progress`` wrote it
    log, FIELDS                     of a log record of ``ctx.log``
    record, TARGET, FIELDS          of any other log record, and whose handlers take it:
                                    a logger's by its name, all, or the terminal
    waits, IDS                      the job waits for these jobs
    waited, IDS                     it no longer does
    done, VALUE, PROBLEM, TOO_LARGE, SECONDS
                                    an answer: the task returned; VALUE is JSON text or
                                    None, PROBLEM why it could not be written, SECONDS
                                    how long the job took
    outcome, KIND, REASON, DELAY, RAISED, SECONDS
                                    an answer: the task returned or raised an outcome
    error, ERROR, SECONDS           an answer: the task raised an error
    unable, ERROR                   an answer: the task did not run, because the child
                                    could not be set up; it ends now
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
