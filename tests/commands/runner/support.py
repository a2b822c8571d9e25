"""Runs commands of tests: a sink that keeps the output, and a count of what is left of a
command, from outside.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from elihu.commands.runner import CommandRun, OutputChunk, RunEnd, RunSpec

GRACE = 0.3
"""The ``kill_grace`` of the tests."""


class KeptOutput:
    """A sink that keeps what it gets. ``changed`` is set at each call."""

    def __init__(self) -> None:
        self.chunks: dict[int, OutputChunk] = {}
        self.batches: list[list[OutputChunk]] = []
        self.discarded: list[tuple[int, int]] = []
        self.changed = asyncio.Event()

    async def write(self, chunks: Sequence[OutputChunk]) -> None:
        self.batches.append(list(chunks))
        self.chunks |= {chunk.sequence: chunk for chunk in chunks}
        self.changed.set()

    async def discard(self, first: int, before: int) -> None:
        self.discarded.append((first, before))
        for sequence in range(first, before):
            self.chunks.pop(sequence, None)
        self.changed.set()

    def bytes_of(self, stream: str) -> bytes:
        return b"".join(
            chunk.data for _, chunk in sorted(self.chunks.items()) if chunk.stream == stream
        )

    @property
    def out(self) -> bytes:
        return self.bytes_of("stdout")

    @property
    def err(self) -> bytes:
        return self.bytes_of("stderr")

    async def until(self, shown: bytes, *, within: float = 20) -> None:
        """Return when this text is in the standard output."""
        async with asyncio.timeout(within):
            while shown not in self.out:
                self.changed.clear()
                await self.changed.wait()


class Run:
    """One run of a test: its processes have a mark of their own in the environment."""

    def __init__(self, text: str, **options: Any) -> None:
        self.mark = uuid.uuid4().hex
        self.sink = KeptOutput()
        options = {"kill_grace": GRACE, "timeout": 20.0} | options
        options["variables"] = {"TEST_MARK": self.mark} | options.get("variables", {})
        self.command = CommandRun(RunSpec(text=text, **options), self.sink)

    async def end(self) -> RunEnd:
        return await self.command.run()

    async def gone(self) -> None:
        """Return when the supervisor has ended."""
        async with asyncio.timeout(20):
            await self.command._gone.wait()

    @property
    def left(self) -> list[int]:
        return living(f"TEST_MARK={self.mark}")


async def ended(text: str, **options: Any) -> tuple[RunEnd, KeptOutput]:
    """How a command ends, and its output. Nothing of it is left."""
    run = Run(text, **options)
    end = await run.end()
    await run.gone()
    assert run.left == []
    return end, run.sink


def living(entry: str) -> list[int]:
    """The processes that have this entry in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                entries = (folder / "environ").read_bytes().split(b"\0")
                state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if entry.encode() in entries and state not in {"Z", "X"}:
                found.append(int(folder.name))
    return sorted(found)


async def until(done: Callable[[], bool], *, within: float = 20) -> None:
    """Poll until ``done()``, at most so many seconds."""
    deadline = time.monotonic() + within
    while not done():
        assert time.monotonic() < deadline, "the time is over"
        await asyncio.sleep(0.01)
