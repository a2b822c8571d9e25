"""Masks secrets in a stream of output, also where a secret is cut between two reads."""

MASK = b"***"
SHORTEST = 6
"""Characters of the shortest secret that is masked: a shorter one would match by
chance.
"""


def maskable(values: list[str]) -> list[bytes]:
    """The secrets to mask, longest first."""
    found = {value.encode("utf-8", "surrogateescape") for value in values if len(value) >= SHORTEST}
    return sorted(found, key=len, reverse=True)


class Masker:
    """Masks one stream. ``secrets`` are sorted, longest first."""

    def __init__(self, secrets: list[bytes]) -> None:
        self._secrets = secrets
        self._longest = len(secrets[0]) if secrets else 0
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What can be shown after this read. The rest is the begin of a secret, or of a
        character, and is held back.
        """
        data = self._held + data
        shown, rest = self._masked(data)
        begin = len(rest) - self._begun(rest)
        begin = min(begin, whole_characters(rest))
        self._held = rest[begin:]
        return shown + rest[:begin]

    def flush(self) -> bytes:
        """What was held back, at the end of the stream."""
        shown, rest = self._masked(self._held, last=True)
        self._held = b""
        return shown + rest

    def _masked(self, data: bytes, *, last: bool = False) -> tuple[bytes, bytes]:
        """The data up to its last secret, masked, and the data behind it."""
        if not any(secret in data for secret in self._secrets):
            return b"", data
        parts: list[bytes] = []
        position = 0
        safe = len(data) if last else len(data) - self._begun(data)
        next_at = {secret: data.find(secret) for secret in self._secrets}
        while True:
            found = None
            for secret in self._secrets:
                if 0 <= next_at[secret] < position:
                    next_at[secret] = data.find(secret, position)
                at = next_at[secret]
                if at >= 0 and (found is None or at < found[0]):
                    found = (at, secret)
            if found is None or found[0] >= safe:
                return b"".join(parts), data[position:]
            parts += [data[position : found[0]], MASK]
            position = found[0] + len(found[1])
            if position > safe:
                safe = len(data) - self._begun(data[position:])

    def _begun(self, data: bytes) -> int:
        """The length of the longest end of the data that begins a secret, without being
        one.
        """
        longest = 0
        for secret in self._secrets:
            at = data.find(secret[:1], max(0, len(data) - len(secret) + 1))
            while at >= 0 and len(data) - at > longest:
                if secret.startswith(data[at:]):
                    longest = len(data) - at
                    break
                at = data.find(secret[:1], at + 1)
        return longest


def whole_characters(data: bytes) -> int:
    """The length of the data without the begin of a UTF-8 character at its end."""
    for back in range(1, min(3, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) - back if back < needed else len(data)
        if byte < 0x80:
            break
    return len(data)
