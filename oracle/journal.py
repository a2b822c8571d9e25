"""Lines that outlive their writer: what was intended, what was acknowledged, and when
each attempt began and ended.

A line is one ``write`` to a file opened for appending: the kernel has the whole line
even if the process is killed the next moment. ``sync`` makes it outlive the machine
too. A torn last line is left out.
"""

import json
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

SUFFIX: Final = ".jsonl"


class Journal:
    """One process's file of lines."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = os.open(
            folder / f"{name}-{os.getpid()}{SUFFIX}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644
        )

    def write(self, kind: str, **fields: Any) -> None:
        """Append a line; callable from any thread."""
        os.write(
            self._file,
            json.dumps({"kind": kind, "at": time.time(), "pid": os.getpid(), **fields}).encode()
            + b"\n",
        )

    def sync(self) -> None:
        """Return when every line so far is on the disk."""
        os.fsync(self._file)


class Reader:
    """All journals of a folder, read as they grow; ``lines`` has those so far, by kind."""

    def __init__(self, folder: Path) -> None:
        self.lines: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        self._folder = folder
        self._read: dict[Path, int] = {}

    def read_new(self) -> None:
        """Read what was written since the last call."""
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            done = self._read.get(path, 0)
            if path.stat().st_size == done:
                continue
            with path.open("rb") as file:
                file.seek(done)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    done += len(line)
                    read = json.loads(line)
                    self.lines[read["kind"]].append(read)
            self._read[path] = done
