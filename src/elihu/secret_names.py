"""Names that people give to secrets."""

import re
from typing import Final

_ANYWHERE: Final = (
    *("password", "passwd", "passphrase"),
    *("token", "secret", "key", "authorization"),
)
_AT_THE_END: Final = ("pass", "pwd")
"""What the last word of a name ends with: ``SMTP_PASS``, ``dbPwd``, ``DBPASS_2``."""

_OTHER_WORDS: Final = ("bypass", "compass", "encompass", "overpass", "surpass", "underpass")
_FOLDERS: Final = ("pwd", "oldpwd")
"""What shells call the working folder and the one before."""

_LAST_WORD: Final = re.compile(r"[A-Z]*[a-z]+$|[A-Z]+$")
_NUMBER: Final = re.compile(r"[\W_\d]*$")


def is_secret_name(name: str) -> bool:
    """Whether a value of this name is likely to be a secret."""
    lower = name.lower()
    if any(word in lower for word in _ANYWHERE):
        return True
    last = _LAST_WORD.search(_NUMBER.sub("", name))
    return (
        last is not None
        and lower not in _FOLDERS
        and last[0].lower().endswith(_AT_THE_END)
        and last[0].lower() not in _OTHER_WORDS
    )
