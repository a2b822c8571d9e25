"""Runs one command under a supervisor process, and ends all that it started."""

from elihu.commands.runner.argv import expand, names_in, split
from elihu.commands.runner.run import CommandRun, run
from elihu.commands.runner.spec import (
    EndStatus,
    Mode,
    OutputChunk,
    OutputSink,
    RunEnd,
    RunSpec,
    Stream,
)

__all__ = [
    "CommandRun",
    "EndStatus",
    "Mode",
    "OutputChunk",
    "OutputSink",
    "RunEnd",
    "RunSpec",
    "Stream",
    "expand",
    "names_in",
    "run",
    "split",
]
