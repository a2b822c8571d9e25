"""What is run, where its output goes, and how it ended."""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Mode = Literal["shell", "argv"]
Stream = Literal["stdout", "stderr"]
EndStatus = Literal["succeeded", "failed", "timed_out", "killed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSpec:
    """One command to run.

    In the mode ``shell``, ``text`` goes to ``shell -c`` as it is. In the mode ``argv``
    it is split as a shell would split it, and names of ``variables`` are replaced.

    ``variables`` are added to a clean environment, which has of the node's own an
    allow-list and ``pass_environment``. ``secret_values`` of six characters
    and more are masked in the output. ``working_directory`` defaults to that of the
    node. ``timeout`` and ``kill_grace`` are seconds, ``output_limit`` and
    ``memory_limit`` bytes. ``memory_limit`` (what is resident) and ``cpu_seconds`` are
    for all processes of the command together, ``open_files`` is for each one.
    """

    text: str
    mode: Mode = "shell"
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret_values: Sequence[str] = field(default=(), repr=False)
    pass_environment: Sequence[str] = ()
    working_directory: str | None = None
    timeout: float = 60.0
    kill_grace: float = 5.0
    output_limit: int = 10 * 2**20
    keep_background: bool = False
    memory_limit: int | None = None
    cpu_seconds: int | None = None
    open_files: int | None = None
    shell: str = "/bin/sh"
    cgroup: bool = True
    """Whether a cgroup of version 2 is used where the node may make one."""


@dataclass(frozen=True, slots=True)
class OutputChunk:
    """A piece of the output. Chunks of both streams share one sequence, from 0. A number
    that is left out is a place where output was dropped.
    """

    sequence: int
    stream: Stream
    data: bytes


class OutputSink(Protocol):
    """Where the output of a run goes. The calls of one run do not overlap.

    An error of the sink does not end the command. It is in ``output_error`` of the end,
    and the sink is not called again.
    """

    def write(self, chunks: Sequence[OutputChunk]) -> Awaitable[object]:
        """Store these chunks, at most 1 MiB. Called when 16 KiB are there, or after
        250 ms.
        """
        ...

    def discard(self, first: int, before: int) -> Awaitable[object]:
        """Remove the chunks with ``first <= sequence < before``: they are not in the
        last half of the output any more.
        """
        ...


@dataclass(frozen=True, slots=True)
class RunEnd:
    """How a run ended.

    ``reason`` is text for people, None for a plain success. ``exit_code`` and
    ``signal`` are those of the command itself; one of them is None, or both where it
    did not start. ``peak_memory`` is the most bytes that one process had resident, and
    at least those of the supervisor (about 10 MiB). ``cpu_time`` is the sum of all
    processes, in seconds. ``duration`` is the seconds until the command itself ended.
    """

    status: EndStatus
    reason: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    peak_memory: int | None = None
    cpu_time: float | None = None
    dropped_bytes: int = 0
    duration: float = 0.0
    output_error: str | None = None
