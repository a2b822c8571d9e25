"""Tracebacks as people read them: their own frames first, those of libraries on demand."""

import re
from dataclasses import dataclass
from typing import Final

_FRAME: Final = re.compile(r'\s*(\| )*\s*File "([^"]*)", line \d+')
_LIBRARY: Final = re.compile(
    r"[\\/](site-packages|dist-packages|elihu[\\/]runtime)[\\/]|[\\/]lib[\\/]python3|^<frozen "
)
_LONGEST: Final = 2_000
_LINES: Final = 200


@dataclass(frozen=True, slots=True)
class Trace:
    """The lines of a traceback with their look: ``own``, ``lib``, ``why`` or none. ``brief``
    has no frames of libraries, of which there are ``left_out``.
    """

    whole: list[tuple[str, str]]
    brief: list[tuple[str, str]]
    left_out: int


def trace_of(text: str) -> Trace:
    """The last 200 lines of a traceback."""
    whole: list[tuple[str, str]] = []
    look, left_out = "", 0
    for line in text.splitlines()[-_LINES:]:
        found = _FRAME.match(line)
        if found is not None:
            look = "lib" if _LIBRARY.search(found[2]) else "own"
            left_out += look == "lib"
        elif not line.startswith((" ", "|")):
            look = "" if not line or (line.endswith(":") and " " in line) else "why"
        whole.append((look, line[:_LONGEST]))
    looks = {each for each, _ in whole}
    if "own" not in looks:
        return Trace(whole, whole, 0)
    return Trace(whole, [each for each in whole if each[0] != "lib"], left_out)
