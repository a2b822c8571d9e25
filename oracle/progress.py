"""How far an experiment is, by the journals of its processes."""

from pathlib import Path
from typing import Any

from oracle.journal import Reader


class Progress:
    """Reads the journals of a folder as they grow."""

    def __init__(self, folder: Path) -> None:
        self._reader = Reader(folder)

    def lines(self, kind: str) -> list[dict[str, Any]]:
        """The lines of this kind in all journals so far."""
        self._reader.read_new()
        return self._reader.lines[kind]

    def is_ready(self, pid: int) -> bool:
        """Whether this process works."""
        return any(line["pid"] == pid for line in self.lines("ready"))

    def begun(self) -> int:
        """The number of attempts that have begun."""
        return len(self.lines("begin"))

    def has_begun(self, number: int) -> bool:
        """Whether so many attempts have begun."""
        return self.begun() >= number

    def has_begun_in(self, pid: int) -> bool:
        """Whether an attempt has begun in this process."""
        return any(line["pid"] == pid for line in self.lines("begin"))

    def begun_in(self, pid: int) -> int:
        """The number of attempts that have begun in this process."""
        return sum(line["pid"] == pid for line in self.lines("begin"))

    def begun_since(self, when: float) -> list[float]:
        """When the attempts after that moment began."""
        return [line["at"] for line in self.lines("begin") if line["at"] > when]

    def running(self) -> list[int]:
        """The jobs whose last attempt has begun and not ended, by what processes wrote."""
        last: dict[int, bool] = {}
        both = [
            line
            for kind in ("begin", "end", "child begin", "child end")
            for line in self.lines(kind)[-1_000:]
        ]
        for line in sorted(both, key=lambda line: line["at"]):
            last[line["id"]] = line["kind"].endswith("begin")
        return [job_id for job_id, runs in last.items() if runs]

    def ended(self, key: str) -> bool:
        """Whether an attempt of the job of this key has ended."""
        ids = {line["id"] for line in self.lines("begin") if line["key"] == key}
        return any(line["id"] in ids for line in self.lines("end"))

    def last_elected(self) -> int | None:
        """The process whose node was elected last."""
        elected = self.lines("elected")
        return max(elected, key=lambda line: line["at"])["pid"] if elected else None

    def elected_since(self, when: float) -> list[float]:
        """When leaders were elected after that moment."""
        return [line["at"] for line in self.lines("elected") if line["at"] > when]
