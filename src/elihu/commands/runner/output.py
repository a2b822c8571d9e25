"""Keeps the first and the last half of the output, whatever its size.

first half       ── goes out when 16 KiB are there, or after 250 ms
then dropped     ── counted
last half        ── held here; its newest part goes out slowly, so that people can follow
                    it live, and what went out and is not in the last half any more is
                    discarded
"""

from collections import deque

from elihu.commands.runner.mask import Masker, whole_characters

CHUNK = 16 * 1_024
"""The most bytes of a chunk."""
FLUSH = 0.25
"""Seconds after which output that is not a whole chunk goes out."""
PIECES = 32
"""The most pieces that wait: beyond it, a change between the streams makes no new one."""

MANY = 1_024
"""The most entries of the last half that are each a change between the streams."""

STREAMS = ("stdout", "stderr")


class Output:
    """Both streams of one run. ``dropped`` counts bytes."""

    def __init__(self, limit: int, secrets: list[bytes]) -> None:
        self.dropped = 0
        self._maskers = {stream: Masker(secrets) for stream in STREAMS}
        self._last_half = limit // 2
        self._room = limit - self._last_half
        self._chunk = max(1, min(CHUNK, limit // 16))
        self._pieces: list[tuple[str, bytearray]] = []
        self._waiting = 0
        self._flush_at: float | None = None
        self._tail: deque[tuple[str, bytearray]] = deque()
        self._tail_size = 0
        self._sent_tail: deque[tuple[int, int]] = deque()
        self._sent_size = 0
        self._sequence = 0
        self._first_of_tail: int | None = None
        self._dropped_unsent = False
        self._discard_before: int | None = None

    def feed(self, stream: str, data: bytes, now: float) -> None:
        """Take what was read."""
        self._add(stream, self._maskers[stream].feed(data))
        if self._flush_at is None and (self._pieces or self._tail):
            self._flush_at = now + FLUSH

    def due(self, now: float) -> bool:
        """Whether ``take`` has something to send."""
        return self._waiting >= self._chunk or (
            self._flush_at is not None and now >= self._flush_at
        )

    @property
    def flush_at(self) -> float | None:
        """When ``take`` should be called at the latest."""
        return self._flush_at

    def take(self, now: float) -> tuple[tuple[int, int] | None, list[tuple[int, str, bytes]]]:
        """What to discard, and the chunks to send now."""
        chunks = self._take_pieces(whole=self._flush_at is not None and now < self._flush_at)
        if self._flush_at is not None and now >= self._flush_at:
            if self._tail:
                chunks.append(self._take_tail())
            self._flush_at = now + FLUSH if self._tail else None
        return self._take_discard(), chunks

    def close(self) -> tuple[tuple[int, int] | None, list[tuple[int, str, bytes]]]:
        """The same at the end of the run: all that is left."""
        for stream in STREAMS:
            self._add(stream, self._maskers[stream].flush())
        chunks = self._take_pieces(whole=False)
        while self._tail:
            chunks.append(self._take_tail())
        return self._take_discard(), chunks

    def _add(self, stream: str, data: bytes) -> None:
        if self._room:
            kept = data[: self._room]
            self._room -= len(kept)
            self._add_piece(stream, kept)
            data = data[len(kept) :]
        if not data:
            return
        if len(data) > self._last_half:
            self._drop(len(data) - self._last_half)
            data = data[-self._last_half :] if self._last_half else b""
        if data:
            self._add_to_tail(stream, data)
            self._tail_size += len(data)
            self._trim()

    def _add_to_tail(self, stream: str, data: bytes) -> None:
        for back in range(1, min(len(self._tail), 2) + 1):
            name, piece = self._tail[-back]
            if name == stream and len(piece) < self._chunk:
                piece.extend(data)
                return
            if len(self._tail) < MANY:
                break
        self._tail.append((stream, bytearray(data)))

    def _add_piece(self, stream: str, data: bytes) -> None:
        if not data:
            return
        self._waiting += len(data)
        merge = len(self._pieces) >= PIECES
        for name, piece in reversed(self._pieces):
            if name == stream:
                piece.extend(data)
                return
            if not merge:
                break
        self._pieces.append((stream, bytearray(data)))

    def _trim(self) -> None:
        """Drop the oldest of what is more than the last half."""
        excess = self._sent_size + self._tail_size - self._last_half
        while excess > 0 and self._sent_tail:
            sequence, size = self._sent_tail.popleft()
            self._discard_before = sequence + 1
            self._sent_size -= size
            self.dropped += size
            excess -= size
        while excess > 0:
            data = self._tail[0][1]
            cut = min(excess, len(data))
            if cut < len(data):
                del data[:cut]
            else:
                self._tail.popleft()
            self._tail_size -= cut
            self._drop(cut)
            excess -= cut

    def _drop(self, size: int) -> None:
        """Drop output that nobody has seen: the sequence leaves a number out."""
        self.dropped += size
        self._dropped_unsent = True

    def _take_pieces(self, *, whole: bool) -> list[tuple[int, str, bytes]]:
        """Chunks of the first half; with ``whole`` only full ones, in their order."""
        chunks = []
        while self._pieces:
            stream, piece = self._pieces[0]
            if whole and len(self._pieces) == 1 and len(piece) < self._chunk:
                break
            size = min(len(piece), self._chunk)
            size = whole_characters(bytes(piece[:size])) or size if size < len(piece) else size
            chunks.append((self._next(), stream, bytes(piece[:size])))
            self._waiting -= size
            if size == len(piece):
                del self._pieces[0]
            else:
                del piece[:size]
        return chunks

    def _take_tail(self) -> tuple[int, str, bytes]:
        """The oldest chunk of the last half that was not sent."""
        if self._dropped_unsent:
            self._dropped_unsent = False
            self._sequence += 1
        stream, piece = self._tail[0]
        size = len(piece)
        if size > self._chunk:
            size = whole_characters(bytes(piece[: self._chunk])) or self._chunk
        data = bytes(piece[:size])
        del piece[:size]
        if not piece:
            self._tail.popleft()
        self._tail_size -= size
        self._sent_size += size
        sequence = self._next()
        if self._first_of_tail is None:
            self._first_of_tail = sequence
        self._sent_tail.append((sequence, size))
        return sequence, stream, data

    def _take_discard(self) -> tuple[int, int] | None:
        if self._discard_before is None or self._first_of_tail is None:
            return None
        discard = (self._first_of_tail, self._discard_before)
        self._first_of_tail, self._discard_before = self._discard_before, None
        return discard

    def _next(self) -> int:
        self._sequence += 1
        return self._sequence - 1
