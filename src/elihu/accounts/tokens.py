"""Random tokens, their digests, and the token against forged forms."""

import hashlib
import hmac
import secrets
from typing import Final

BYTES: Final = 32
KEY_PREFIX: Final = "elihu_"
KEY_START: Final = len(KEY_PREFIX) + 6
LONGEST: Final = 200


def new_token(prefix: str = "") -> str:
    """256 random bits as text."""
    return prefix + secrets.token_urlsafe(BYTES)


def digest(token: str) -> bytes:
    """What is stored of a token. It is random, so that a slow hash adds nothing."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def form_token(token: str) -> str:
    """The token that forms of a session carry, which only its page can know."""
    return hmac.new(token.encode(), b"elihu form token", hashlib.sha256).hexdigest()


def is_form_token(given: str | None, token: str) -> bool:
    """Whether a form carries the token of this session."""
    return given is not None and hmac.compare_digest(
        given.encode("utf-8", "replace"), form_token(token).encode()
    )
