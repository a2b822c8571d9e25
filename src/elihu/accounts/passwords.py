"""Passwords: Argon2id, off the event loop."""

import asyncio
import os
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from elihu import InvalidOption

SHORTEST: Final = 10
LONGEST: Final = 1_000
_SALT: Final = 16
_LENGTH: Final = 32
_ITERATIONS: Final = 2
_LANES: Final = 1
_MEMORY: Final = 19 * 1_024
"""KiB."""
_POOL: Final = ThreadPoolExecutor(2, thread_name_prefix="elihu-password")
"""Two at a time, so that many sign-ins take neither all memory nor all cores."""


def check_password(password: object) -> str:
    """The password in its one normal form. Raises ``InvalidOption``, which does not show
    it.
    """
    if not isinstance(password, str):
        raise InvalidOption(f"password: expected a text, got {type(password).__name__}")
    if not SHORTEST <= len(password) <= LONGEST:
        got = "fewer" if len(password) < SHORTEST else "more"
        raise InvalidOption(f"password: expected {SHORTEST} to {LONGEST:,} characters, got {got}")
    return normal(password)


def normal(password: str) -> str:
    """The same text for each way to type it."""
    return unicodedata.normalize("NFKC", password)


async def hashed(password: str) -> str:
    """A new PHC string of a password."""
    return await asyncio.get_running_loop().run_in_executor(_POOL, _hash, password)


async def matches(password: str, stored: str | None) -> bool:
    """Whether a password is the stored one. Without a stored one it takes as long."""
    loop = asyncio.get_running_loop()
    right = await loop.run_in_executor(_POOL, _verify, normal(password), stored)
    return right and stored is not None


def _hash(password: str) -> str:
    return Argon2id(
        salt=os.urandom(_SALT),
        length=_LENGTH,
        iterations=_ITERATIONS,
        lanes=_LANES,
        memory_cost=_MEMORY,
    ).derive_phc_encoded(password.encode("utf-8", "surrogatepass"))


def _verify(password: str, stored: str | None) -> bool:
    secret = password.encode("utf-8", "surrogatepass")
    try:
        Argon2id.verify_phc_encoded(secret, stored or _nobody())
    except InvalidKey:
        return False
    return True


_known: list[str] = []


def _nobody() -> str:
    """The hash of no password, so that an unknown name costs the same time."""
    if not _known:
        _known.append(_hash(os.urandom(_SALT).hex()))
    return _known[0]
