"""Tickets for the calls that a child has been given: numbers in a pipe that both sides
read. A child runs a call only with its ticket, so a ticket that the node takes back
belongs to a call that has not begun and will not begin there.
"""

import os
import struct
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

_NUMBER: Final = struct.Struct("=Q")
_ALL: Final = 65_536


class Tickets:
    """The node's side. ``descriptor`` is the end of the pipe that the child reads too."""

    def __init__(self) -> None:
        self.descriptor, self._writing = os.pipe()
        os.set_blocking(self.descriptor, False)
        os.set_blocking(self._writing, False)
        self._closed = False

    def issue(self, numbers: Iterable[int]) -> None:
        """Let the child run these calls."""
        os.write(self._writing, b"".join(map(_NUMBER.pack, numbers)))

    def take_back(self) -> set[int]:
        """The numbers of the calls that the child has not begun."""
        with suppress(BlockingIOError):
            if not self._closed:
                return {each for (each,) in _NUMBER.iter_unpack(os.read(self.descriptor, _ALL))}
        return set()

    def close(self) -> None:
        """Close both ends of the pipe."""
        if not self._closed:
            self._closed = True
            os.close(self.descriptor)
            os.close(self._writing)


class HeldTickets:
    """The child's side. Calls come in the order of their tickets."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._descriptor = descriptor
        self._held: int | None = None

    def has(self, number: int) -> bool:
        """Take the ticket of this call. False where the node has taken it back."""
        if self._held is None:
            try:
                data = os.read(self._descriptor, _NUMBER.size)
            except BlockingIOError:
                return False
            self._held = _NUMBER.unpack(data)[0] if data else None
        if self._held != number:
            return False
        self._held = None
        return True
