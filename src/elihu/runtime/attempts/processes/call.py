"""One job that a child is asked to run."""

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any, Final, Protocol

from elihu.attempt_waits import AttemptWaits
from elihu.context import Context
from elihu.runtime.attempts.processes.protocol import Message, frame

_numbers: Final = itertools.count(1)


class Listener(Protocol):
    """Whose job the child runs."""

    @property
    def context(self) -> Context: ...

    @property
    def waits(self) -> AttemptWaits: ...

    def report(self, progress: str) -> None: ...


class TakenBack(Exception):
    """The call has left its child before it began: another child can run it."""


class Call:
    """``answer`` is the child's message, or why there is none: ``ProcessDied``, or
    ``TakenBack``. ``begun`` is false where a child died before it began the job, ``first``
    true where it was the first of a child.
    """

    __slots__ = ("answer", "begun", "data", "first", "listener", "number")

    def __init__(self, listener: Listener, fields: Mapping[str, Any]) -> None:
        self.number = next(_numbers)
        self.data = frame("perform", self.number, fields)
        self.listener = listener
        self.answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self.begun = True
        self.first = False

    def fail(self, error: Exception) -> None:
        """End it with this error, if nothing has ended it."""
        if not self.answer.done():
            self.answer.set_exception(error)
