"""Reads one file."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from filescan.paths import read_path

PIECE = 1_048_576


@dataclass(frozen=True, slots=True)
class Examined:
    """The result for one file. ``lines`` is None for a binary file. A file that cannot
    be read has only ``path`` and ``error``.
    """

    path: str
    size: int | None = None
    sha256: str | None = None
    lines: int | None = None
    error: str | None = None


def examine(path: str) -> Examined:
    """Read the file in pieces. A file with a NUL byte is binary. A last line without a
    line end counts as a line.
    """
    digest = hashlib.sha256()
    size = lines = 0
    binary = False
    last = b"\n"
    try:
        with Path(read_path(path)).open("rb") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                size += len(piece)
                lines += piece.count(b"\n")
                binary = binary or b"\0" in piece
                last = piece[-1:]
    except OSError as error:
        return Examined(path, error=describe(error))
    return Examined(path, size, digest.hexdigest(), None if binary else lines + (last != b"\n"))


def describe(error: OSError) -> str:
    """The error without its path, which may not be valid text."""
    return f"{type(error).__name__}: {error.strerror}"
