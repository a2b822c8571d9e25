"""Names that people give to secrets."""

from typing import Final

_WORDS: Final = ("password", "token", "secret", "key", "authorization")


def is_secret_name(name: str) -> bool:
    """Whether a value of this name is likely to be a secret."""
    lower = name.lower()
    return any(word in lower for word in _WORDS)
