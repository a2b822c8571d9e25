"""Lines that outlive their writer: what was intended, what was acknowledged, and when each attempt began and ended.

A line is one ``write`` to a file opened for appending, so the kernel has it whole when the process is killed the moment after;
``sync`` makes it outlive the machine too. A last line that was torn all the same is left out.
"""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

SUFFIX: Final = ".jsonl"


class Journal:
    """One process's file of lines."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = os.open(folder / f"{name}-{os.getpid()}{SUFFIX}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, kind: str, **fields: Any) -> None:
        """Append a line; callable from any thread."""
        os.write(self._file, json.dumps({"kind": kind, "at": time.time(), "pid": os.getpid(), **fields}).encode() + b"\n")

    def sync(self) -> None:
        """Return when every line so far is on the disk."""
        os.fsync(self._file)


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """Every whole line of every journal in ``folder``."""
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        for line in path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n"):
                yield json.loads(line)
