"""Names of variables in the text of an ``argv`` command."""

import re
import shlex
from typing import Final

_NAMES: Final = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))", re.ASCII)


def split(text: str) -> list[str]:
    """The arguments of a text, split as a shell splits them. Raises ``ValueError``."""
    return shlex.split(text)


def names_in(text: str) -> set[str]:
    """The names that the text uses as ``$NAME`` or ``${NAME}``."""
    return {braced or bare for braced, bare in _NAMES.findall(text)}
