"""Ends of attempts that wait for the next exchange."""

from collections.abc import Iterable, Sequence
from typing import Final

from elihu.engines.protocol import Ack
from elihu.errors import DataRefused
from elihu.runtime.service import logger

BATCH_BYTES: Final = 4 * 1_048_576
BATCH_ROWS: Final = 1_000
_NO_TEXTS: Final = (None,) * 6


class Outbox:
    """Acknowledgements in the order in which their attempts ended. A batch holds each
    job at most once.
    """

    def __init__(self) -> None:
        self._acks: list[Ack] = []
        self._size = 0

    def __len__(self) -> int:
        return len(self._acks)

    def put(self, ack: Ack) -> int:
        """Add an acknowledgement and return how many there are."""
        self._acks.append(ack)
        if ack[6:12] != _NO_TEXTS:
            self._size += _size(ack)
        return len(self._acks)

    def put_back(self, acks: Iterable[Ack]) -> None:
        """Return acknowledgements of a failed batch to the front, in their order."""
        acks = list(acks)
        self._acks[:0] = acks
        self._size += sum(map(_size, acks))

    def take(self) -> list[Ack]:
        """Remove and return the next batch: at most ``BATCH_ROWS`` and about
        ``BATCH_BYTES``.
        """
        acks, whole, self._acks, self._size = self._acks, self._size < BATCH_BYTES, [], 0
        if whole and len(acks) <= BATCH_ROWS and len({ack.id for ack in acks}) == len(acks):
            return acks
        batch: dict[int, Ack] = {}
        later: list[Ack] = []
        size = 0
        for ack in acks:
            if ack.id in batch or len(batch) == BATCH_ROWS or size >= BATCH_BYTES:
                later.append(ack)
                continue
            batch[ack.id] = ack
            size += _size(ack)
        self.put_back(later)
        return list(batch.values())


def _size(ack: Ack) -> int:
    """The characters of its texts."""
    return sum(len(text) for text in ack[6:12] if text is not None)


def smaller(acks: Sequence[Ack], error: DataRefused) -> list[Sequence[Ack]]:
    """What to send in place of a batch that the database refused, last piece first: two
    halves of several rows; of a single row only that its attempt ended; of such a bare
    row nothing.
    """
    if len(acks) > 1:
        middle = len(acks) // 2
        return [acks[middle:], acks[:middle]]
    (ack,) = acks
    logger.error("job %d: the end of its attempt cannot be stored: %s", ack.id, error)
    bare = ack._replace(
        value=None,
        error=None,
        traceback=None,
        log=None,
        error_type=None,
        reason="its end could not be stored: DataRefused",
    )
    return [] if ack == bare else [[bare]]
